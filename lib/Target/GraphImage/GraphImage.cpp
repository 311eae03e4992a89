//===- GraphImage.cpp - Pictures of graphs --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/GraphImage.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using llvm::StringRef;

std::optional<moe::GraphFormat> moe::getGraphFormat(StringRef path) {
  StringRef extension = llvm::sys::path::extension(path);
  if (extension == ".dot")
    return GraphFormat::DOT;
  if (extension == ".svg")
    return GraphFormat::SVG;
  return std::nullopt;
}

llvm::Expected<std::string> moe::renderGraph(StringRef dot,
                                             GraphFormat format) {
  if (format == GraphFormat::DOT)
    return dot.str();
  auto fail = [](const llvm::Twine &message, const llvm::Twine &help) {
    return llvm::createStringError(message + "; help: " + help);
  };
  llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName("dot");
  if (!program)
    return fail("no dot found to draw with",
                "install Graphviz, or let the file end in .dot");
  llvm::SmallString<128> input, output, log;
  for (auto [suffix, path] :
       {std::pair("dot", &input), {"svg", &output}, {"log", &log}})
    if (std::error_code code =
            llvm::sys::fs::createTemporaryFile("moe", suffix, *path))
      return fail("cannot make a temporary file: " + code.message(),
                  "TMPDIR must be a writable folder with space left");
  llvm::FileRemover removeInput(input), removeOutput(output), removeLog(log);
  if (llvm::Error error =
          llvm::writeToOutput(input, [&](llvm::raw_ostream &os) {
            os << dot;
            return llvm::Error::success();
          }))
    return std::move(error);
  StringRef arguments[] = {*program, "-Tsvg", "-o", output, input};
  std::optional<StringRef> redirects[] = {StringRef(), log.str(), log.str()};
  std::string error;
  int code = llvm::sys::ExecuteAndWait(*program, arguments, std::nullopt,
                                       redirects, 0, 0, &error);
  auto messages = llvm::MemoryBuffer::getFile(log);
  StringRef said = messages ? (*messages)->getBuffer().take_front(2000) : "";
  auto drawn = llvm::MemoryBuffer::getFile(output);
  if (code || !drawn || (*drawn)->getBuffer().empty())
    return fail(*program + " failed: " + error + said.rtrim(),
                "look whether it is Graphviz's, 2.40 or later, or let the file "
                "end in .dot");
  return (*drawn)->getBuffer().str();
}
