//===- GraphImage.h - Pictures of graphs ------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_GRAPHIMAGE_H
#define MOE_TARGET_GRAPHIMAGE_H

#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace moe {

enum class GraphFormat { DOT, SVG };

/// By the file's extension; nothing for any other than dot and svg.
std::optional<GraphFormat> getGraphFormat(llvm::StringRef path);

/// The contents of a file with the graph that `dot` describes. For SVG runs
/// Graphviz's `dot`; errors say what to do.
llvm::Expected<std::string> renderGraph(llvm::StringRef dot,
                                        GraphFormat format);

} // namespace moe

#endif // MOE_TARGET_GRAPHIMAGE_H
