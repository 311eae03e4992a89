//===- CommandLine.cpp - The flags of moe-run -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CommandLine.h"
#include "Errors.h"
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <system_error>

#include <sys/stat.h>

static constexpr const char *helpText =
    R"(usage: moe-run FILE.mlir|FILE.so [flags]
       moe-run --calibrate FILE [--ranks N | --mesh dp=2,tp=4] [flags]

Runs a layer forward and backward on all ranks of its mesh. A compiled layer
(.so) runs on the CPU or on GPUs, as it is compiled; IR (.mlir) runs in the
reference interpreter, or with --backend cpu or cuda is compiled first.

  --backend B          reference (of a .mlir), cpu or cuda
  --ranks N            number of ranks; must be the size of the mesh
  --inputs FILE        global inputs by argument name (.safetensors)
  --outputs DIR        write DIR/rank<r>.safetensors; DIR is made if missing
  --gather             also write DIR/global.safetensors; replicas must agree
  --expect FILE        compare the results with these (.safetensors)
  --rtol X, --atol X   tolerances of --expect, relative and absolute
  --exact              compute in a prime field: equality is exact
  --seed N             with --exact: draw the inputs from this seed
  --stats              count collectives and bytes
  --no-verify          run even a program that makes false claims
  --timeout S          give up after S seconds; cpu, cuda: in one collective
  --help               print this

Of compiled code only:
  --processes          start a process for each rank; without it ranks are
                       processes of torchrun, Open MPI or Slurm if one has
                       started this program, else threads
  --sgd LR --steps N   after each of N steps, parameters -= LR * gradients
  --no-graph           cuda: start each kernel of each step by itself
  --separate-buffers   cuda: allocate each buffer by itself, for memcheck
  --nccl               cuda: use NCCL even where there is one rank
  --bench              5 steps, then 20 or --steps measured: a table of times
  --trace FILE         write what each rank did when, for chrome://tracing

Without a layer:
  --calibrate FILE     measure collectives, 20 times or --steps each, and write
                       FILE, the costs that moe-compile places reductions by
  --mesh A=N,B=M       measure them along each of these axes too
  --largest BYTES      up to so many bytes; cpu: 4 MiB, cuda: 64 MiB

EXAMPLES
  moe-run layer.mlir --inputs in.safetensors --outputs out
  moe-run layer.mlir --inputs in.safetensors --outputs out --gather \
          --expect ref.safetensors --rtol 1e-5 --atol 1e-6
  moe-run layer.mlir --exact --seed 7 --stats --timeout 60
  moe-run layer.so --inputs in.safetensors --sgd 0.1 --steps 3 --processes
  torchrun --nproc-per-node 2 --no-python moe-run layer.so --inputs in.safetensors

EXIT CODES
  0 ok   1 usage error or rejected program   2 results differ
  3 runtime failure   4 timeout
)";

void printHelp() { std::fputs(helpText, stdout); }

int fail(ExitCode code, const std::string &message, const std::string &help) {
  // What was printed before comes before, also in one file.
  std::fflush(stdout);
  std::fprintf(stderr, "moe-run: error: %s\nhelp: %s\n", message.c_str(),
               help.c_str());
  return code;
}

namespace {
/// What the value of a flag must be.
enum class ValueKind {
  None,
  /// Any string but the empty one.
  Text,
  /// An integer from 1 to 2^31 - 1.
  Count,
  /// An integer from 0 to 2^64 - 1.
  Seed,
  /// A finite number, 0 or more.
  Tolerance,
  /// A finite number of seconds, more than 0.
  Seconds,
};

struct Flag {
  const char *name;
  ValueKind kind;
  /// Whether the back end gets the flag too.
  bool passedOn;
};
} // namespace

static constexpr Flag flags[] = {
    {"--backend", ValueKind::Text, false},
    {"--ranks", ValueKind::Count, true},
    {"--inputs", ValueKind::Text, true},
    {"--outputs", ValueKind::Text, true},
    {"--gather", ValueKind::None, true},
    {"--expect", ValueKind::Text, true},
    {"--rtol", ValueKind::Tolerance, true},
    {"--atol", ValueKind::Tolerance, true},
    {"--exact", ValueKind::None, true},
    {"--seed", ValueKind::Seed, true},
    {"--stats", ValueKind::None, true},
    {"--no-verify", ValueKind::None, true},
    {"--sgd", ValueKind::Tolerance, false},
    {"--steps", ValueKind::Count, false},
    {"--timeout", ValueKind::Seconds, false},
    {"--processes", ValueKind::None, false},
    {"--bench", ValueKind::None, false},
    {"--trace", ValueKind::Text, false},
    {"--no-graph", ValueKind::None, false},
    {"--separate-buffers", ValueKind::None, false},
    {"--nccl", ValueKind::None, false},
    {"--calibrate", ValueKind::Text, false},
    {"--mesh", ValueKind::Text, false},
    {"--largest", ValueKind::Count, false},
};

/// Returns what a value of this kind must be if `value` is not one, else
/// nothing.
static const char *complaintAbout(ValueKind kind, const std::string &value) {
  switch (kind) {
  case ValueKind::None:
  case ValueKind::Text:
    return nullptr;
  case ValueKind::Count: {
    std::optional<int32_t> number = parseNumber<int32_t>(value);
    return number && *number > 0 ? nullptr : "a positive integer";
  }
  case ValueKind::Seed:
    return parseNumber<uint64_t>(value) ? nullptr : "a non-negative integer";
  case ValueKind::Tolerance: {
    std::optional<double> number = parseNumber<double>(value);
    return number && std::isfinite(*number) && *number >= 0
               ? nullptr
               : "a finite number, 0 or more";
  }
  case ValueKind::Seconds: {
    std::optional<double> number = parseNumber<double>(value);
    return number && std::isfinite(*number) && *number > 0
               ? nullptr
               : "a positive number of seconds";
  }
  }
  return nullptr;
}

/// Reads the flag at `args[index]` and its value; `index` ends on the last
/// argument used. Returns Success or the exit code, having printed the error.
static int parseFlag(const std::vector<std::string> &args, size_t &index,
                     Options &options) {
  const std::string &arg = args[index];
  size_t equals = arg.find('=');
  std::string name = arg.substr(0, equals);
  const Flag *flag = std::ranges::find_if(
      flags, [&](const Flag &flag) { return name == flag.name; });
  if (flag == std::end(flags)) {
    return fail(UsageError, "unknown flag '" + name + "'",
                "moe-run --help lists the flags");
  }

  std::string value;
  if (flag->kind == ValueKind::None) {
    if (equals != std::string::npos)
      return fail(UsageError, name + " takes no value",
                  "write just '" + name + "'");
  } else {
    // A following flag is not taken for the value.
    if (equals != std::string::npos)
      value = arg.substr(equals + 1);
    else if (index + 1 < args.size() && !args[index + 1].starts_with("--"))
      value = args[++index];
    if (value.empty())
      return fail(UsageError, name + " needs a value",
                  "write '" + name + " VALUE' or '" + name + "=VALUE'");
    if (const char *expected = complaintAbout(flag->kind, value))
      return fail(UsageError,
                  name + " must be " + expected + ", but is '" + value + "'",
                  std::string("give ") + expected + " after " + name);
  }
  options.values[name] = value;
  return Success;
}

/// Reads the arguments into `options`. Returns Success or the exit code, having
/// printed the error.
static int parseArguments(const std::vector<std::string> &args,
                          Options &options) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].starts_with('-')) {
      if (int code = parseFlag(args, i, options))
        return code;
      continue;
    }
    if (args[i].empty())
      return fail(UsageError, "FILE is empty", "name one .mlir file");
    if (!options.file.empty())
      return fail(UsageError,
                  "more than one FILE: '" + options.file + "' and '" + args[i] +
                      "'",
                  "name one .mlir file for each run");
    options.file = args[i];
  }
  if (options.file.empty() && !options.has("--calibrate"))
    return fail(UsageError, "FILE is missing",
                "name a .mlir file, as in moe-run layer.mlir");
  return Success;
}

/// What may stand beside --calibrate.
static int checkCalibration(const Options &options) {
  if (!options.file.empty())
    return fail(UsageError,
                "--calibrate measures this machine, not '" + options.file + "'",
                "leave the layer out");
  for (const Flag &flag : flags) {
    std::string_view name = flag.name;
    constexpr std::string_view allowed[] = {
        "--calibrate", "--mesh",      "--largest", "--ranks",
        "--backend",   "--processes", "--timeout", "--steps"};
    if (options.has(flag.name) &&
        std::ranges::find(allowed, name) == std::end(allowed))
      return fail(UsageError,
                  std::string(name) + " and --calibrate exclude each other",
                  "leave one of them out");
  }
  if (options.text("--backend").value_or("cpu") == "reference")
    return fail(UsageError, "the reference has no times",
                "add --backend cpu or cuda");
  return Success;
}

/// Checks what can be checked only with all flags known. Returns Success or the
/// exit code, having printed the error.
static int checkOptions(const Options &options) {
  bool compiled = options.isCompiled();
  if (options.has("--backend")) {
    const std::string &backend = options.values.at("--backend");
    if (backend != "reference" && backend != "cpu" && backend != "cuda")
      return fail(UsageError, "unknown back end '" + backend + "'",
                  "use --backend reference, cpu or cuda");
    if (backend == "reference" && compiled)
      return fail(UsageError, "the reference runs IR, no compiled layer",
                  "name the .mlir file, or leave --backend out");
  }
  if (options.has("--calibrate"))
    return checkCalibration(options);
  for (const char *flag : {"--mesh", "--largest"})
    if (options.has(flag))
      return fail(UsageError, std::string(flag) + " needs --calibrate",
                  "leave it out: a layer has its own mesh and sizes");
  if (!options.runsCompiledCode())
    for (const char *flag :
         {"--sgd", "--steps", "--processes", "--bench", "--trace", "--no-graph",
          "--separate-buffers", "--nccl"})
      if (options.has(flag))
        return fail(UsageError, std::string("the reference has no ") + flag,
                    "add --backend cpu");
  if (options.runsCompiledCode())
    for (const char *flag : {"--exact", "--seed"})
      if (options.has(flag))
        return fail(UsageError, std::string("compiled code has no ") + flag,
                    "run the .mlir file with --backend reference");
  if (options.has("--steps") && !options.has("--sgd") &&
      !options.has("--bench"))
    return fail(UsageError, "--steps needs --sgd or --bench",
                "add --sgd LR, or leave --steps out");
  if (options.has("--sgd") && options.has("--bench"))
    return fail(UsageError, "--sgd and --bench exclude each other",
                "run the layer once for each");

  struct stat status;
  if (::stat(options.file.c_str(), &status) != 0)
    return fail(UsageError,
                errno == ENOENT ? "'" + options.file + "' does not exist"
                                : "cannot examine '" + options.file + "': " +
                                      std::generic_category().message(errno),
                "check the path of the file");
  if (S_ISDIR(status.st_mode))
    return fail(UsageError, "'" + options.file + "' is a directory",
                "name a .mlir or .so file");
  // A pipe could make the back end wait for ever.
  if (!S_ISREG(status.st_mode))
    return fail(UsageError, "'" + options.file + "' is not a regular file",
                "name a .mlir or .so file");
  if (!options.file.ends_with(".mlir") && !compiled)
    return fail(UsageError,
                "'" + options.file + "' is neither a .mlir nor a .so file",
                "rename it if it holds MLIR text; nothing else can be run");

  if (options.has("--seed") && !options.has("--exact"))
    return fail(UsageError, "--seed needs --exact",
                "add --exact, or give the data with --inputs FILE");
  if (options.has("--seed") && options.has("--inputs"))
    return fail(UsageError, "--seed and --inputs exclude each other",
                "keep the one that the data should come from");
  for (const char *tolerance : {"--rtol", "--atol"})
    if (options.has(tolerance) && !options.has("--expect"))
      return fail(UsageError, std::string(tolerance) + " needs --expect",
                  "add --expect FILE, or leave the tolerance out");
  return Success;
}

int parseCommandLine(const std::vector<std::string> &args, Options &options) {
  if (int code = parseArguments(args, options))
    return code;
  return checkOptions(options);
}

std::vector<std::string> makeReferenceCommand(const std::string &program,
                                              const Options &options) {
  std::vector<std::string> command = {program, options.file};
  for (const Flag &flag : flags) {
    if (!flag.passedOn || !options.has(flag.name))
      continue;
    const std::string &value = options.values.at(flag.name);
    command.push_back(value.empty() ? flag.name
                                    : std::string(flag.name) + "=" + value);
  }
  return command;
}
