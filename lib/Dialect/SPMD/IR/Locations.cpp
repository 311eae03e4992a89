//===- Locations.cpp - What a location says to a user ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/Locations.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

bool moe::spmd::isBackward(Location loc) {
  return loc
      ->walk([](Location part) {
        auto fused = dyn_cast<FusedLoc>(part);
        auto metadata =
            fused ? dyn_cast_or_null<StringAttr>(fused.getMetadata()) : nullptr;
        return metadata && metadata.getValue() == "vjp"
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

std::string moe::spmd::getPlace(Location loc) {
  std::string place;
  loc->walk([&](Location part) {
    auto file = dyn_cast<FileLineColLoc>(part);
    if (!file)
      return WalkResult::advance();
    place = llvm::formatv("{0}:{1}:{2}", file.getFilename().getValue(),
                          file.getLine(), file.getColumn());
    return WalkResult::interrupt();
  });
  return place;
}
