//===- Program.h - Load a compiled layer ------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a program that hosts compiled layers needs: it loads the shared object
// and gives every rank its local values. Run.h runs it.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_PROGRAM_H
#define MOERT_PROGRAM_H

#include "moert/SafeTensors.h"
#include "moert/moert.h"
#include <array>
#include <memory>

namespace moert {

/// Part `index` of `size` cut into `parts`, as `torch.chunk` cuts.
struct Chunk {
  int64_t begin, end;
  Chunk(int64_t size, int64_t parts, int64_t index);
  int64_t size() const { return end - begin; }
};

struct MeshAxis {
  std::string name;
  int64_t size = 1;
};

/// How an argument or result lies over one axis.
struct Placement {
  enum Kind { Replicate, Shard, Partial };
  Kind kind = Replicate;
  /// `Shard` only.
  int64_t dim = 0;

  bool operator==(const Placement &) const = default;
};

/// An argument or a result.
struct ValueInfo {
  std::string name;
  std::string dtype;
  /// Global.
  std::vector<int64_t> shape;
  /// One per mesh axis.
  std::vector<Placement> placements;

  /// All ranks have the value itself.
  bool isReplicated() const;
};

struct CollectiveInfo {
  std::string kind;
  std::vector<int64_t> axes;
  std::string site;
  std::string location;
  std::string phase;
};

/// A kernel of a program for GPUs.
struct KernelInfo {
  /// Its symbol in the device code.
  std::string name;
  /// What it computes, as "moe.einsum".
  std::string op;
  std::string location;
  std::string phase;
  /// The most dynamic shared memory that it is started with, in bytes.
  int64_t shared = 0;
  /// What is wrong if it reports a value, which takes the place of "{}", and
  /// what to do; may be empty.
  std::string fault, faultHelp;
};

/// What a compiled layer says of itself.
struct ProgramInfo {
  /// What runs it: "cpu", "cuda:sm_90a" and the like, or "cuda" if it has no
  /// kernels, hence runs on any GPU.
  std::string target;
  std::string function;
  std::vector<MeshAxis> mesh;
  std::vector<ValueInfo> arguments, results;
  std::vector<CollectiveInfo> collectives;

  // For GPUs only.

  std::vector<KernelInfo> kernels;
  /// Of a rank.
  int64_t arenaBytes = 0;
  /// Whether no step needs the host, so that a graph can repeat it.
  bool capturable = false;
  /// The same on all ranks that run one artifact.
  std::string hash;

  bool isForGPU() const { return target != "cpu"; }
  int64_t numRanks() const;
  /// Row-major over the mesh.
  std::vector<int64_t> coordinates(int64_t rank) const;
  std::vector<int64_t> localShape(const ValueInfo &value, int64_t rank) const;

  /// Reads the JSON of moert.h. Returns false and one sentence in `error` for
  /// any other text.
  static bool parse(const std::string &text, ProgramInfo &info,
                    std::string &error);
};

/// Equal for equal artifacts. The ranks of a run compare it.
using Fingerprint = std::array<std::byte, 32>;

/// A loaded shared object.
class Program {
public:
  using Main = int32_t (*)(moert_context *, void *const *);

  Program() = default;
  /// One that is part of this program.
  Program(ProgramInfo info, Main main) : main(main), info(std::move(info)) {}
  Program(Program &&) = delete;
  ~Program();

  /// Loads `path`, whatever its target is. Returns false and one sentence in
  /// `error` if it is no compiled layer, or of another version.
  bool load(const std::string &path, std::string &error);

  const ProgramInfo &getInfo() const { return info; }
  Main getMain() const { return main; }
  const Fingerprint &getFingerprint() const { return fingerprint; }
  /// A cubin, if it has kernels.
  const unsigned char *getDeviceCode() const { return deviceCode; }

private:
  void *handle = nullptr;
  Main main = nullptr;
  Fingerprint fingerprint{};
  const unsigned char *deviceCode = nullptr;
  ProgramInfo info;
};

/// A rank's local values of arguments or results, in their order.
using LocalTensors = std::vector<Tensor>;

/// The first of the ranks that hold the same part of `value` as `rank`.
int64_t firstReplica(const ProgramInfo &info, const ValueInfo &value,
                     int64_t rank);

/// Where the part of `rank` begins in a global tensor that has all of it in one
/// piece, in bytes; nothing if it is in several, or holds terms of a sum.
std::optional<int64_t> findPiece(const ProgramInfo &info,
                                 const ValueInfo &value, int64_t rank);

/// The part of a global tensor that `rank` holds. Of a partial value the first
/// rank holds all, the others zeros.
Tensor slice(const ProgramInfo &info, const ValueInfo &value,
             const std::byte *global, int64_t rank);

/// The global tensor that local ones, one per rank, are parts of; partial ones
/// are summed. Returns false and why in `error` where replicas differ.
bool gather(const ProgramInfo &info, const ValueInfo &value,
            const std::vector<const Tensor *> &locals, Tensor &global,
            std::string &error);

} // namespace moert

#endif // MOERT_PROGRAM_H
