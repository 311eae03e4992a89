//===- Options.cpp - Command line of moe-reference ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>

static constexpr const char *helpText =
    R"(usage: moe-reference FILE.mlir [flags]

Runs a layer forward and backward on simulated ranks, in float64 or exactly.
Usually started by moe-run --backend reference.

  --ranks N            number of ranks; must be the size of the mesh
  --inputs FILE        global inputs by argument name (.safetensors)
  --outputs DIR        write DIR/rank<r>.safetensors; DIR is made if missing
  --gather             also write DIR/global.safetensors; replicas must agree
  --expect FILE        compare the results with these (.safetensors)
  --rtol X, --atol X   tolerances of --expect: Frobenius norm, largest element
  --exact              compute modulo 2^61 - 1, sharded and unsharded, and
                       compare bit for bit
  --seed N             with --exact: draw the inputs from this seed (1)
  --stats              count collectives and bytes
  --no-verify          run even a program that makes false claims
  --help               print this

EXIT CODES
  0 ok   1 usage error or rejected program   2 results differ
  3 runtime failure
)";

int fail(ExitCode code, const std::string &message, const std::string &help) {
  std::fflush(stdout);
  std::fprintf(stderr, "moe-run: error: %s\nhelp: %s\n", message.c_str(),
               help.c_str());
  return code;
}

template <typename Number>
static bool parseNumber(const std::string &text, std::optional<Number> &out) {
  Number number;
  const char *end = text.data() + text.size();
  auto [rest, code] = std::from_chars(text.data(), end, number);
  if (code != std::errc() || rest != end || text.empty())
    return false;
  out = number;
  return true;
}

static bool parseTolerance(const std::string &text,
                           std::optional<double> &out) {
  return parseNumber(text, out) && std::isfinite(*out) && *out >= 0;
}

/// Stores the value of the flag `name`; returns false if it is not one, and
/// clears `known` if there is no such flag.
static bool storeValue(const std::string &name, const std::string &value,
                       Options &options, bool &known) {
  if (name == "--ranks")
    return parseNumber(value, options.ranks) && *options.ranks > 0;
  if (name == "--rtol")
    return parseTolerance(value, options.rtol);
  if (name == "--atol")
    return parseTolerance(value, options.atol);
  if (name == "--seed")
    return parseNumber(value, options.seed);
  for (auto [flag, target] : {std::pair{"--inputs", &options.inputs},
                              std::pair{"--outputs", &options.outputs},
                              std::pair{"--expect", &options.expect}})
    if (name == flag) {
      *target = value;
      return !value.empty();
    }
  known = false;
  return false;
}

static int checkCombination(const Options &options) {
  if (options.file.empty())
    return fail(Rejected, "FILE is missing",
                "name a .mlir file, as in moe-run layer.mlir");
  if (options.seed && !options.exact)
    return fail(Rejected, "--seed needs --exact",
                "add --exact, or give the data with --inputs FILE");
  if (options.seed && options.inputs)
    return fail(Rejected, "--seed and --inputs exclude each other",
                "keep the one that the data should come from");
  if (options.exact && (options.outputs || options.expect))
    return fail(Rejected,
                std::string("--exact has no ") +
                    (options.outputs ? "--outputs" : "--expect") +
                    ": its numbers are integers modulo 2^61 - 1",
                "leave out one of the two");
  if ((options.rtol || options.atol) && !options.expect)
    return fail(Rejected, "--rtol and --atol need --expect",
                "add --expect FILE, or leave the tolerance out");
  if (options.gather && !options.outputs)
    return fail(Rejected, "--gather needs --outputs",
                "add --outputs DIR, where global.safetensors will lie");
  return Success;
}

int parseOptions(int argc, char **argv, Options &options, bool &helpShown) {
  helpShown = false;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (arg == "--help" || arg == "-h") {
      std::fputs(helpText, stdout);
      helpShown = true;
      return Success;
    }
    bool *flag = arg == "--gather"      ? &options.gather
                 : arg == "--no-verify" ? &options.verify
                 : arg == "--stats"     ? &options.stats
                 : arg == "--exact"     ? &options.exact
                                        : nullptr;
    if (flag) {
      *flag = arg != "--no-verify";
      continue;
    }
    if (arg.empty() || arg[0] != '-') {
      if (arg.empty() || !options.file.empty())
        return fail(Rejected, "there must be exactly one FILE",
                    "name one .mlir file");
      options.file = arg;
      continue;
    }
    size_t equals = arg.find('=');
    std::string name = arg.substr(0, equals), value;
    if (equals != std::string::npos)
      value = arg.substr(equals + 1);
    else if (i + 1 < argc && std::string_view(argv[i + 1]).substr(0, 2) != "--")
      value = argv[++i];
    bool known = true;
    if (storeValue(name, value, options, known))
      continue;
    if (!known)
      return fail(Rejected, "unknown flag '" + name + "'",
                  "moe-reference --help lists the flags");
    return fail(Rejected,
                name + " has no valid value" +
                    (value.empty() ? "" : ": '" + value + "'"),
                "moe-reference --help says what it takes");
  }
  return checkCombination(options);
}
