//===- CommandLine.h - The flags of moe-run ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_COMMANDLINE_H
#define MOE_TOOLS_MOE_RUN_COMMANDLINE_H

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// A command line that has been checked.
struct Options {
  std::string file;
  /// The value of each flag that was given; empty for flags without one. The
  /// last one wins where a flag is repeated, so that scripts can append.
  std::map<std::string, std::string> values;

  bool has(const char *flag) const { return values.count(flag) != 0; }
  std::optional<std::string> text(const char *flag) const {
    return has(flag) ? std::optional(values.at(flag)) : std::nullopt;
  }
  template <typename Number>
  std::optional<Number> number(const char *flag) const;

  bool isCompiled() const { return file.ends_with(".so"); }
  /// Whether compiled code runs, given or made.
  bool runsCompiledCode() const {
    return isCompiled() || has("--calibrate") ||
           text("--backend").value_or("reference") != "reference";
  }
};

/// All of `text` as a number.
template <typename Number>
std::optional<Number> parseNumber(const std::string &text) {
  Number number;
  const char *end = text.data() + text.size();
  auto [rest, code] = std::from_chars(text.data(), end, number);
  if (code != std::errc() || rest != end)
    return std::nullopt;
  return number;
}

template <typename Number>
std::optional<Number> Options::number(const char *flag) const {
  return has(flag) ? parseNumber<Number>(values.at(flag)) : std::nullopt;
}

/// Reads and checks the arguments. Returns Success or the exit code, having
/// printed the error.
int parseCommandLine(const std::vector<std::string> &args, Options &options);

/// The command line that gives `program` the same flags, as far as they concern
/// it.
std::vector<std::string> makeReferenceCommand(const std::string &program,
                                              const Options &options);

void printHelp();

#endif // MOE_TOOLS_MOE_RUN_COMMANDLINE_H
