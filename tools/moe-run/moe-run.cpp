//===- moe-run.cpp - Run a layer on several ranks -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The launcher checks the command line, picks the back end and starts the
// program that does the work: `moe-reference` beside this one, or `moe-compile`
// and then the ranks as threads of this process. It links no LLVM, so that it
// also works where only the runtime is installed.
//
//===----------------------------------------------------------------------===//

#include "Compiled.h"
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static constexpr const char *helpText =
    R"(usage: moe-run FILE.mlir|FILE.so [flags]

Runs a layer forward and backward on all ranks of its mesh. A compiled layer
(.so) runs on the CPU with each rank a thread; IR (.mlir) runs in the reference
interpreter, or with --backend cpu is compiled first.

  --backend B          reference (of a .mlir) or cpu
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
  --sgd LR --steps N   cpu: after each of N steps, parameters -= LR * gradients
  --timeout S          give up after S seconds; cpu: in one collective
  --help               print this

EXAMPLES
  moe-run layer.mlir --inputs in.safetensors --outputs out
  moe-run layer.mlir --inputs in.safetensors --outputs out --gather \
          --expect ref.safetensors --rtol 1e-5 --atol 1e-6
  moe-run layer.mlir --exact --seed 7 --stats --timeout 60
  moe-run layer.so --inputs in.safetensors --sgd 0.1 --steps 3

EXIT CODES
  0 ok   1 usage error or rejected program   2 results differ
  3 runtime failure   4 timeout
)";

int fail(ExitCode code, const std::string &message, const std::string &help) {
  // What was printed before comes before, also in one file.
  std::fflush(stdout);
  std::fprintf(stderr, "moe-run: error: %s\nhelp: %s\n", message.c_str(),
               help.c_str());
  return code;
}

//===----------------------------------------------------------------------===//
// The command line
//===----------------------------------------------------------------------===//

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
};

/// Flags that are promised for later versions: a better answer than that they
/// are unknown.
static constexpr const char *laterFlags[] = {"--bench", "--trace",
                                             "--processes"};

namespace {
/// A command line that has been checked.
struct Options {
  std::string file;
  /// The value of each flag that was given; empty for flags without one. The
  /// last one wins where a flag is repeated, so that scripts can append.
  std::map<std::string, std::string> values;

  bool has(const char *flag) const { return values.count(flag) != 0; }
  bool onCPU() const {
    auto backend = values.find("--backend");
    return file.ends_with(".so") ||
           (backend != values.end() && backend->second == "cpu");
  }
};
} // namespace

template <typename Number>
static std::optional<Number> parseNumber(const std::string &text) {
  Number number;
  const char *end = text.data() + text.size();
  auto [rest, code] = std::from_chars(text.data(), end, number);
  if (code != std::errc() || rest != end)
    return std::nullopt;
  return number;
}

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
    if (std::ranges::find(laterFlags, name) != std::end(laterFlags))
      return fail(UsageError, "this build does not have '" + name + "' yet",
                  "leave it out; moe-run --help lists the flags it has");
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
  if (options.file.empty())
    return fail(UsageError, "FILE is missing",
                "name a .mlir file, as in moe-run layer.mlir");
  return Success;
}

/// Checks what can be checked only with all flags known. Returns Success or the
/// exit code, having printed the error.
static int checkOptions(const Options &options) {
  bool compiled = options.file.ends_with(".so");
  if (options.has("--backend")) {
    const std::string &backend = options.values.at("--backend");
    if (backend == "cuda")
      return fail(UsageError, "this build has no back end 'cuda'",
                  "use --backend cpu or --backend reference");
    if (backend != "reference" && backend != "cpu")
      return fail(UsageError, "unknown back end '" + backend + "'",
                  "use --backend cpu or --backend reference");
    if (backend == "reference" && compiled)
      return fail(UsageError, "the reference runs IR, no compiled layer",
                  "name the .mlir file, or leave --backend out");
  }
  if (!options.onCPU())
    for (const char *flag : {"--sgd", "--steps"})
      if (options.has(flag))
        return fail(UsageError, std::string("the reference has no ") + flag,
                    "add --backend cpu");
  if (options.onCPU())
    for (const char *flag : {"--exact", "--seed"})
      if (options.has(flag))
        return fail(UsageError, std::string("compiled code has no ") + flag,
                    "run the .mlir file with --backend reference");
  if (options.has("--steps") && !options.has("--sgd"))
    return fail(UsageError, "--steps needs --sgd",
                "add --sgd LR, or leave --steps out");

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

//===----------------------------------------------------------------------===//
// Starting the back end
//===----------------------------------------------------------------------===//

/// Returns the path of `program` in the directory of this executable, or "" if
/// that cannot be found out.
static std::string besideThis(const char *program) {
  std::string path(4096, '\0');
  ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0 || static_cast<size_t>(size) == path.size())
    return "";
  path.resize(size);
  return path.substr(0, path.rfind('/') + 1) + program;
}

/// Returns the command line of the back end.
static std::vector<std::string> makeCommand(const std::string &program,
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

/// Replaces this process by `command`. Returns only if that fails, then with
/// the exit code, having printed the error.
static int execute(const std::vector<std::string> &command) {
  std::vector<char *> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return fail(RuntimeFailure,
              "cannot start '" + command[0] +
                  "': " + std::generic_category().message(errno),
              "it must lie beside moe-run; build or install it");
}

/// Waits for the child to end, and kills it after `limit` seconds if there is
/// a limit. SIGCHLD must be blocked. Returns what waitpid does; `expired` says
/// that the child was killed here.
static pid_t waitFor(pid_t child, std::optional<double> limit, int &status,
                     bool &expired) {
  using Clock = std::chrono::steady_clock;
  // A clock counts nanoseconds in 64 bits; 30 years are as good as forever.
  std::chrono::duration<double> seconds(std::min(limit.value_or(1e9), 1e9));
  Clock::time_point deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(seconds);
  expired = false;
  while (true) {
    bool blocks = !limit || expired;
    pid_t ended = ::waitpid(child, &status, blocks ? 0 : WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR))
      return ended;
    if (blocks)
      continue;
    std::chrono::nanoseconds left = deadline - Clock::now();
    if (left.count() <= 0) {
      expired = true;
      ::kill(child, SIGKILL);
      continue;
    }
    timespec wait;
    wait.tv_sec = left.count() / 1'000'000'000;
    wait.tv_nsec = left.count() % 1'000'000'000;
    sigset_t childSignal;
    sigemptyset(&childSignal);
    sigaddset(&childSignal, SIGCHLD);
    ::sigtimedwait(&childSignal, nullptr, &wait);
  }
}

/// Runs `command` in a child process, for at most `limit` seconds if there is a
/// limit. Returns its exit code, or TimedOut if it had to be killed. A child
/// even without a limit, so that a crash of it ends in an error, too.
static int supervise(const std::vector<std::string> &command,
                     std::optional<double> limit, const Options &options) {
  // SIGCHLD is blocked and waited for with a time limit, and not ignored, as
  // the caller may have left it: the system would then drop the exit status.
  std::signal(SIGCHLD, SIG_DFL);
  sigset_t childSignal, previousSignals;
  sigemptyset(&childSignal);
  sigaddset(&childSignal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &childSignal, &previousSignals);

  pid_t parent = ::getpid();
  pid_t child = ::fork();
  if (child < 0)
    return fail(RuntimeFailure,
                "cannot start a process: " +
                    std::generic_category().message(errno),
                "check the limit on processes (ulimit -u) and the free memory");
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &previousSignals, nullptr);
    // The child must not outlive a launcher that is killed.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(RuntimeFailure);
    ::_exit(execute(command));
  }

  int status = 0;
  bool expired = false;
  if (waitFor(child, limit, status, expired) < 0)
    return fail(RuntimeFailure,
                "lost track of '" + command[0] +
                    "': " + std::generic_category().message(errno),
                "run it again");
  // The child may still have ended by itself between the check and the kill.
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  if (expired)
    return fail(TimedOut,
                "'" + options.file + "' did not finish within " +
                    options.values.at("--timeout") + " seconds",
                "raise --timeout, or look for ranks that wait for each other");
  return fail(RuntimeFailure,
              "'" + command[0] + "' was killed by signal " +
                  std::to_string(WTERMSIG(status)) + " (" +
                  ::strsignal(WTERMSIG(status)) + ") while it ran '" +
                  options.file + "'",
              WTERMSIG(status) == SIGKILL
                  ? "the system may have run out of memory; try a smaller layer"
                  : "this is a bug in moe-reference; please report it with the "
                    "file");
}

//===----------------------------------------------------------------------===//
// Compiled code
//===----------------------------------------------------------------------===//

static CompiledOptions compiledOptions(const Options &options) {
  CompiledOptions result;
  auto text = [&](const char *flag) -> std::optional<std::string> {
    if (!options.has(flag))
      return std::nullopt;
    return options.values.at(flag);
  };
  auto number = [&](const char *flag) -> std::optional<double> {
    return options.has(flag) ? parseNumber<double>(options.values.at(flag))
                             : std::nullopt;
  };
  result.file = options.file;
  if (options.has("--ranks"))
    result.ranks = parseNumber<int64_t>(options.values.at("--ranks"));
  result.inputs = text("--inputs");
  result.outputs = text("--outputs");
  result.expect = text("--expect");
  result.gather = options.has("--gather");
  result.stats = options.has("--stats");
  result.rtol = number("--rtol").value_or(result.rtol);
  result.atol = number("--atol").value_or(result.atol);
  result.timeout = number("--timeout");
  result.sgd = number("--sgd");
  if (options.has("--steps"))
    result.steps = *parseNumber<int64_t>(options.values.at("--steps"));
  return result;
}

/// Runs a compiled layer, or compiles IR to a file that is gone afterwards.
static int runOnCPU(const Options &options) {
  CompiledOptions compiled = compiledOptions(options);
  if (options.file.ends_with(".so"))
    return runCompiled(compiled);
  std::string compiler = besideThis("moe-compile");
  char folder[] = "/tmp/moe-run.XXXXXX";
  if (compiler.empty() || !::mkdtemp(folder))
    return fail(RuntimeFailure, "cannot make a temporary folder",
                "check that /proc is mounted and /tmp is writable");
  compiled.file = std::string(folder) + "/layer.so";
  std::vector<std::string> command = {compiler, options.file, "-o",
                                      compiled.file};
  if (options.has("--no-verify"))
    command.push_back("--no-verify");
  int code = supervise(command, std::nullopt, options);
  if (code == Success)
    code = runCompiled(compiled);
  ::unlink(compiled.file.c_str());
  ::rmdir(folder);
  return code;
}

int main(int argc, char **argv) {
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  for (const std::string &arg : args) {
    if (arg != "--help" && arg != "-h")
      continue;
    std::fputs(helpText, stdout);
    return Success;
  }

  Options options;
  if (int code = parseArguments(args, options))
    return code;
  if (int code = checkOptions(options))
    return code;

  if (options.onCPU())
    return runOnCPU(options);
  std::string program = besideThis("moe-reference");
  if (program.empty())
    return fail(RuntimeFailure, "cannot find out where moe-run lies",
                "check that /proc is mounted");
  std::vector<std::string> command = makeCommand(program, options);
  std::optional<double> limit;
  if (options.has("--timeout"))
    limit = parseNumber<double>(options.values.at("--timeout"));
  return supervise(command, limit, options);
}
