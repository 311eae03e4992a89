//===- moe-run.cpp - Run a layer on several ranks -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The launcher checks the command line, picks the back end and starts the
// program that does the work: `moe-reference` beside this one, or `moe-compile`
// and then the ranks. It links no LLVM, so that it also works where only the
// runtime is installed.
//
//===----------------------------------------------------------------------===//

#include "Calibrate.h"
#include "CommandLine.h"
#include "Compiled.h"
#include "Errors.h"
#include "Subprocess.h"
#include <algorithm>
#include <cstdio>
#include <new>

#include <unistd.h>

static CompiledOptions compiledOptions(const Options &options) {
  CompiledOptions result;
  result.file = options.file;
  result.ranks = options.number<int64_t>("--ranks");
  result.inputs = options.text("--inputs");
  result.outputs = options.text("--outputs");
  result.expect = options.text("--expect");
  result.trace = options.text("--trace");
  result.gather = options.has("--gather");
  result.stats = options.has("--stats");
  result.bench = options.has("--bench");
  result.graph = !options.has("--no-graph");
  result.separateBuffers = options.has("--separate-buffers");
  result.nccl = options.has("--nccl");
  result.rtol = options.number<double>("--rtol").value_or(result.rtol);
  result.atol = options.number<double>("--atol").value_or(result.atol);
  result.timeout = options.number<double>("--timeout").value_or(result.timeout);
  result.sgd = options.number<double>("--sgd");
  result.warmup = result.bench ? 5 : 0;
  result.steps =
      options.number<int64_t>("--steps").value_or(result.bench ? 20 : 1);
  return result;
}

static int load(const std::string &path, moert::Program &program) {
  std::string error;
  if (program.load(path, error))
    return Success;
  return fail(UsageError, error, "make it with moe-compile");
}

/// Compiles IR to a file that is gone afterwards, and loads it.
static int compile(const Options &options, moert::Program &program) {
  std::string compiler = besideThis("moe-compile");
  char folder[] = "/tmp/moe-run.XXXXXX";
  if (compiler.empty() || !::mkdtemp(folder))
    return fail(RuntimeFailure, "cannot make a temporary folder",
                "check that /proc is mounted and /tmp is writable");
  std::string path = std::string(folder) + "/layer.so";
  std::vector<std::string> command = {compiler, options.file, "-o", path};
  if (options.text("--backend") == "cuda")
    command.insert(command.end(), {"--target", "cuda:sm_90a"});
  if (options.has("--no-verify"))
    command.emplace_back("--no-verify");
  int code = supervise(command, std::nullopt, options.file);
  if (code == Success)
    code = load(path, program);
  // What is loaded stays, whatever happens to the run.
  ::unlink(path.c_str());
  ::rmdir(folder);
  return code;
}

static int runCompiledCode(const Options &options) {
  Launch launch;
  if (int code = findLaunch(options, launch))
    return code;
  if (options.has("--calibrate"))
    return calibrate(options, launch);
  moert::Program program;
  if (int code = options.isCompiled() ? load(options.file, program)
                                      : compile(options, program))
    return code;
  return runCompiled(program, compiledOptions(options), launch);
}

static int run(const std::vector<std::string> &args) {
  for (const std::string &arg : args) {
    if (arg != "--help" && arg != "-h")
      continue;
    printHelp();
    return Success;
  }

  Options options;
  if (int code = parseCommandLine(args, options))
    return code;
  if (options.runsCompiledCode())
    return runCompiledCode(options);
  std::string program = besideThis("moe-reference");
  if (program.empty())
    return fail(RuntimeFailure, "cannot find out where moe-run lies",
                "check that /proc is mounted");
  return supervise(makeReferenceCommand(program, options),
                   options.number<double>("--timeout"), options.file);
}

int main(int argc, char **argv) {
  int code;
  try {
    code = run({argv + std::min(argc, 1), argv + argc});
  } catch (const std::bad_alloc &) {
    return fail(RuntimeFailure, "there is not enough memory",
                "free some, or run a smaller layer");
  }
  // Verdicts that nobody can read are no success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    return fail(RuntimeFailure, "cannot write to the standard output",
                "check where it goes");
  return code;
}
