//===- Placement.cpp - How a value lies over one mesh axis ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/Placement.h"
#include "llvm/Support/ErrorHandling.h"

using namespace moe::spmd;

Placement Placement::dual() const {
  switch (kind) {
  case PlacementKind::Replicate:
    return partial();
  case PlacementKind::Partial:
    return replicate();
  case PlacementKind::Unknown:
  case PlacementKind::Shard:
  case PlacementKind::Ragged:
  case PlacementKind::Mixed:
    return *this;
  }
  llvm_unreachable("unknown placement kind");
}

llvm::StringRef moe::spmd::stringifyReduction(ReductionKind kind) {
  switch (kind) {
  case ReductionKind::Sum:
    return "sum";
  case ReductionKind::Avg:
    return "avg";
  case ReductionKind::Max:
    return "max";
  case ReductionKind::Min:
    return "min";
  }
  llvm_unreachable("unknown reduction kind");
}

llvm::raw_ostream &moe::spmd::operator<<(llvm::raw_ostream &os,
                                         const Placement &p) {
  switch (p.kind) {
  case PlacementKind::Unknown:
    return os << "?";
  case PlacementKind::Replicate:
    return os << "replicate";
  case PlacementKind::Shard:
    return os << "shard<" << p.dim << ">";
  case PlacementKind::Ragged:
    return os << "ragged<" << p.dim << ">";
  case PlacementKind::Partial:
    return os << "partial<" << stringifyReduction(p.reduction) << ">";
  case PlacementKind::Mixed:
    return os << "a mix of replicate and partial";
  }
  llvm_unreachable("unknown placement kind");
}

std::string Placement::str() const {
  std::string text;
  llvm::raw_string_ostream(text) << *this;
  return text;
}
