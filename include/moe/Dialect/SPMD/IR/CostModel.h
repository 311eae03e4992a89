//===- CostModel.h - What collectives are taken to cost ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A collective takes alpha + beta x bytes, where bytes are what one rank
// sends by a ring algorithm (Communication.h). Both numbers depend on the kind
// of collective, the mesh axes and the number of bytes. docs/Deferral.md has
// the format of files.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_COSTMODEL_H
#define MOE_DIALECT_SPMD_IR_COSTMODEL_H

#include "moe/Dialect/SPMD/IR/Communication.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <array>
#include <optional>

namespace moe::spmd {

enum class CollectiveKind : uint8_t {
  AllReduce,
  ReduceScatter,
  AllGather,
  AllToAll
};

/// How fast kernels are taken to be.
struct KernelRates {
  /// From the end of one kernel to the first work of the next.
  double startUs;
  /// Products of operands of 16 bits, and all other arithmetic.
  double bf16Tflops, f32Tflops;
  double gbPerS;
};

class CostModel {
public:
  /// Without collectives, and with the kernels of an H100.
  CostModel();
  /// NVLink between Hopper GPUs; the numbers and their source are in the .cpp.
  static CostModel nvlink();
  /// Of the file at `path`, or NVLink's if it is empty.
  static llvm::Expected<CostModel> load(llvm::StringRef path);
  /// Errors name the entry at fault and what to write instead.
  static llvm::Expected<CostModel> parse(llvm::StringRef text,
                                         llvm::StringRef path);

  /// Whether the model covers every axis of `mesh` with more than one rank and
  /// names no other; the error says which.
  llvm::Error check(MeshAttr mesh) const;

  /// Picoseconds, which are whole so that sums do not depend on their order.
  /// `bytes` are what a rank holds before; `axes` are leaves of `mesh`, several
  /// for one collective over the flattened group. Nothing for groups of one.
  int64_t get(CollectiveKind kind, MeshAttr mesh, llvm::ArrayRef<unsigned> axes,
              int64_t bytes) const;
  /// Of a kernel, picoseconds: it starts, and then either computes or moves
  /// bytes, whichever takes longer. `isNarrow` if its operands have 16 bits.
  int64_t getKernel(double operations, double bytes, bool isNarrow) const;

private:
  struct Segment {
    /// The most sent bytes that it is for; the last segment has no bound.
    std::optional<double> upToBytes;
    double alphaUs = 0, usPerByte = 0;
  };
  using Segments = llvm::SmallVector<Segment, 1>;

  llvm::Error readSegments(const llvm::json::Value &value,
                           const llvm::Twine &entry, Segments &segments);
  llvm::Error readKinds(const llvm::json::Value &value, llvm::StringRef axes,
                        const llvm::Twine &where);
  llvm::Error readKernels(const llvm::json::Value &value);
  const Segments *find(CollectiveKind kind, llvm::StringRef axes) const;

  /// By the names of axes, joined by commas in mesh order; `*` is any.
  std::array<llvm::StringMap<Segments>, 4> entries;
  KernelRates kernels;
  std::string path;
};

/// Picoseconds.
int64_t getCost(const CollectiveStep &step, MeshAttr mesh,
                const CostModel &model);
/// Of all collectives that a conversion takes.
int64_t getCost(mlir::Operation *op, const CostModel &model);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_COSTMODEL_H
