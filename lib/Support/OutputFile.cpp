//===- OutputFile.cpp - Files that are whole or not there -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Support/OutputFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

static llvm::Error write(llvm::raw_fd_ostream &os, llvm::StringRef contents) {
  os << contents;
  os.flush();
  std::error_code problem = os.error();
  // An error that is left in place ends the program in the destructor.
  os.clear_error();
  return llvm::errorCodeToError(problem);
}

static llvm::Error writeInPlace(llvm::StringRef path,
                                llvm::StringRef contents) {
  std::error_code problem;
  llvm::raw_fd_ostream os(path, problem, llvm::sys::fs::CD_OpenExisting,
                          llvm::sys::fs::FA_Write, llvm::sys::fs::OF_None);
  return problem ? llvm::errorCodeToError(problem) : write(os, contents);
}

static llvm::Error writeAndMove(llvm::StringRef path,
                                llvm::StringRef contents) {
  auto file = llvm::sys::fs::TempFile::create(path + ".%%%%%%%%.tmp");
  if (!file)
    return file.takeError();
  llvm::Error error = llvm::Error::success();
  {
    llvm::raw_fd_ostream os(file->FD, /*shouldClose=*/false);
    error = llvm::joinErrors(std::move(error), write(os, contents));
  }
  if (error)
    return llvm::joinErrors(std::move(error), file->discard());
  return file->keep(path);
}

llvm::Error moe::writeOutputFile(llvm::StringRef path,
                                 llvm::StringRef contents) {
  if (path == "-") {
    llvm::Error error = write(llvm::outs(), contents);
    return error ? llvm::createStringError("standard output: " +
                                           llvm::toString(std::move(error)))
                 : llvm::Error::success();
  }
  llvm::sys::fs::file_status status;
  bool isSpecial =
      !llvm::sys::fs::status(path, status) && !is_regular_file(status);
  llvm::Error error =
      isSpecial ? writeInPlace(path, contents) : writeAndMove(path, contents);
  return error ? llvm::createStringError(path + ": " +
                                         llvm::toString(std::move(error)))
               : llvm::Error::success();
}
