//===- OutputFiles.h - Files that appear together ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_OUTPUTFILES_H
#define MOERT_OUTPUTFILES_H

#include "moert/SafeTensors.h"
#include <string_view>

namespace moert {

/// Files of which a reader sees all or none, and each one whole. The data goes
/// to temporary files in the directories of the files, is synced, and is then
/// renamed (a symbolic link in the place is replaced, not followed). What is
/// not put in place is removed. A device or a pipe is written to at once and
/// never replaced.
///
/// The functions return false and one sentence in `error` on failure.
class OutputFiles {
public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles &) = delete;
  OutputFiles &operator=(const OutputFiles &) = delete;
  ~OutputFiles();

  /// Writes the temporary file for `path`.
  bool add(const std::string &path, std::string_view text, std::string &error);
  /// In the safetensors format. Fails too if a tensor is inconsistent: its data
  /// does not have the size that its type and shape demand.
  bool add(const std::string &path, const TensorMap &tensors,
           std::string &error);

  /// Puts all files in place. After a failure none is there; one that lay in a
  /// place before is lost only if the file system fails in between.
  bool commit(std::string &error);

  /// Removes files that `commit` has put in place.
  void retract();

private:
  struct File {
    std::string path, temporary;
  };
  void write(const std::string &path,
             const std::vector<std::string_view> &pieces);

  /// Not yet in place, and in place.
  std::vector<File> pending, placed;
};

} // namespace moert

#endif // MOERT_OUTPUTFILES_H
