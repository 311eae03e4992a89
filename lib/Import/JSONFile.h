//===- JSONFile.h - JSON that a user wrote ----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to the importer: reading text of which nothing is trusted, and
// quoting it in errors.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_IMPORT_JSONFILE_H
#define MOE_LIB_IMPORT_JSONFILE_H

#include "moe/Import/LayerConfig.h"
#include "llvm/Support/JSON.h"

namespace moe::importer {

/// Parses `text`, the contents of the file at `path`, as a JSON object. Refuses
/// also what llvm::json does not survive or silently drops: deep nesting and a
/// key that occurs twice in one object. `help` is the remedy in errors.
mlir::FailureOr<llvm::json::Object> parseJSONObject(llvm::StringRef text,
                                                    llvm::StringRef path,
                                                    llvm::StringRef help,
                                                    ImportError &error);

/// The value as JSON text, cut short where it is long.
std::string show(const llvm::json::Value &value);

/// `text` in single quotes, cut short where it is long, control characters
/// escaped.
std::string quote(llvm::StringRef text);

} // namespace moe::importer

#endif // MOE_LIB_IMPORT_JSONFILE_H
