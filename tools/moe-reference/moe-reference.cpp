//===- moe-reference.cpp - Run a layer on simulated ranks -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ground truth of the project as a program: parses, checks and
// differentiates a layer and runs it with the interpreter. moe-run starts it
// and has the same flags, so errors speak as moe-run.
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include "Results.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Reference/Interpreter.h"
#include "moe/Support/StackOverflow.h"
#include "llvm/Support/SourceMgr.h"

using namespace moe;
using namespace moe::reference;

/// The function to run: the joint one, or the only one that others don't call.
static mlir::func::FuncOp findFunction(mlir::ModuleOp module,
                                       std::string &names) {
  std::vector<mlir::func::FuncOp> all, joint;
  auto functions = module.getOps<mlir::func::FuncOp>();
  bool hasPublic = llvm::any_of(functions, [](mlir::func::FuncOp function) {
    return function.isPublic();
  });
  for (auto function : functions) {
    if (hasPublic && function.isPrivate())
      continue;
    all.push_back(function);
    names += (names.empty() ? "'@" : ", '@") + function.getName().str() + "'";
    if (function.getName().ends_with(".vjp"))
      joint.push_back(function);
  }
  if (joint.size() == 1)
    return joint.front();
  return joint.empty() && all.size() == 1 ? all.front() : nullptr;
}

/// The argument's or result's name for people and files.
static std::string nameOf(mlir::DictionaryAttr attributes, const char *fallback,
                          unsigned index) {
  if (attributes)
    if (auto name =
            attributes.getAs<mlir::StringAttr>(spmd::SPMDDialect::kNameAttr))
      return name.str();
  return fallback + std::to_string(index);
}

/// Names and types of arguments and results.
static mlir::LogicalResult collectSlots(mlir::func::FuncOp function,
                                        std::vector<Slot> &args,
                                        std::vector<Slot> &results) {
  auto add = [&](std::vector<Slot> &slots, mlir::Type type, std::string name) {
    auto placed = llvm::dyn_cast<spmd::PlacedTensorType>(type);
    bool isNumber = placed && llvm::isa<mlir::FloatType, mlir::IntegerType>(
                                  placed.getElementType());
    bool isNew = llvm::none_of(
        slots, [&](const Slot &slot) { return slot.name == name; });
    if (isNumber && isNew)
      slots.push_back({std::move(name), placed});
    else
      function.emitError() << "'" << name << "' "
                           << (isNumber ? "names two values"
                                        : "is no placed tensor of numbers");
    return isNumber && isNew;
  };
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (!add(args, function.getArgumentTypes()[i],
             nameOf(function.getArgAttrDict(i), "arg", i)))
      return mlir::failure();
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (!add(results, function.getResultTypes()[i],
             nameOf(function.getResultAttrDict(i), "result", i)))
      return mlir::failure();
  return mlir::success();
}

template <typename T>
static int placeInputs(llvm::ArrayRef<Slot> slots, const RankMesh &mesh,
                       llvm::ArrayRef<Value<T>> globals, Random &random,
                       std::vector<LocalValues<T>> &locals) {
  for (auto [slot, global] : llvm::zip_equal(slots, globals)) {
    std::string error;
    mlir::FailureOr<LocalValues<T>> placed =
        place(global, mesh, slot.type.getPlacements(), random, {}, error);
    if (mlir::failed(placed))
      return fail(
          Rejected, "argument '" + slot.name + "': " + error,
          "give the argument a placement that its own shape determines");
    locals.push_back(std::move(*placed));
  }
  return Success;
}

static void printStatistics(const CollectiveStatistics &statistics) {
  std::printf("%-16s %-12s %8s %14s\n", "collective", "axis", "count", "bytes");
  CollectiveStatistics::Entry total;
  for (const auto &[key, entry] : statistics.entries) {
    std::printf("%-16s %-12s %8lld %14lld\n", key.first.c_str(),
                key.second.c_str(), static_cast<long long>(entry.count),
                static_cast<long long>(entry.bytes));
    total.count += entry.count;
    total.bytes += entry.bytes;
  }
  std::printf("%-16s %-12s %8lld %14lld\n", "total", "",
              static_cast<long long>(total.count),
              static_cast<long long>(total.bytes));
}

/// What to do about a run that failed; the interpreter has printed why.
static int runFailed() {
  return fail(RuntimeFailure, "the run failed",
              "see the error above; run without --no-verify if it was given");
}

//===----------------------------------------------------------------------===//
// Exact mode
//===----------------------------------------------------------------------===//

/// Global data of the exact mode: `given` if there is any, else random.
static std::vector<Value<Field>>
exactInputs(llvm::ArrayRef<Slot> slots, llvm::ArrayRef<Value<double>> given,
            Random &random) {
  std::vector<Value<Field>> values;
  for (auto [i, slot] : llvm::enumerate(slots)) {
    if (slot.isIndex()) {
      IndexTensor tensor(slot.shape());
      if (!given.empty())
        tensor = given[i].indices();
      else
        for (int64_t &x : tensor.data)
          x = int64_t(random() & 1);
      values.emplace_back(std::move(tensor));
      continue;
    }
    Tensor<Field> tensor(slot.shape());
    for (int64_t k = 0; k < tensor.size(); ++k)
      tensor.data[k] = given.empty()
                           ? Numerics<Field>::sample(random)
                           : Field::fromDouble(given[i].floats().data[k]);
    values.emplace_back(std::move(tensor));
  }
  return values;
}

static int runExact(const Options &options, mlir::func::FuncOp function,
                    const RankMesh &mesh, llvm::ArrayRef<Slot> args,
                    llvm::ArrayRef<Slot> results,
                    llvm::ArrayRef<Value<double>> given) {
  Random random(options.seed.value_or(1));
  std::vector<Value<Field>> globals = exactInputs(args, given, random);
  std::vector<LocalValues<Field>> sharded, unsharded;
  if (int code = placeInputs<Field>(args, mesh, globals, random, sharded))
    return code;
  for (const Value<Field> &global : globals)
    unsharded.push_back({global});

  Interpreter<Field> ranks(mesh), single(mesh.unsharded());
  mlir::FailureOr<std::vector<LocalValues<Field>>> have =
      ranks.run(function, sharded);
  if (mlir::failed(have))
    return runFailed();
  mlir::FailureOr<std::vector<LocalValues<Field>>> want =
      single.run(function, unsharded);
  if (mlir::failed(want))
    return runFailed();

  bool different = false;
  for (auto [i, slot] : llvm::enumerate(results)) {
    Denotation<Field> global = denote((*have)[i], mesh, slot.type.getShape(),
                                      slot.type.getPlacements());
    std::string verdict = "exactly equal, sharded and unsharded";
    if (!global.global)
      verdict = "DIFFERS: " + global.reason;
    else if (!global.global->hasSameBits((*want)[i].front()))
      verdict = "DIFFERS: sharded and unsharded values are not equal";
    different |= !global.global || verdict[0] == 'D';
    std::printf("%s: %s\n", slot.name.c_str(), verdict.c_str());
  }
  if (options.stats)
    printStatistics(ranks.getStatistics());
  if (!different)
    return Success;
  return fail(Different, "sharded and unsharded results differ",
              "the lines above say which; a claim of the program is false, or "
              "there is a bug");
}

//===----------------------------------------------------------------------===//
// Float mode
//===----------------------------------------------------------------------===//

static int runFloat(const Options &options, mlir::func::FuncOp function,
                    const RankMesh &mesh, llvm::ArrayRef<Slot> args,
                    llvm::ArrayRef<Slot> slots,
                    llvm::ArrayRef<Value<double>> given) {
  Random random(1);
  std::vector<LocalValues<double>> locals;
  if (int code = placeInputs<double>(args, mesh, given, random, locals))
    return code;
  Interpreter<double> ranks(mesh);
  mlir::FailureOr<std::vector<LocalValues<double>>> outcome =
      ranks.run(function, locals);
  if (mlir::failed(outcome))
    return runFailed();

  RunResults results{slots, mesh, std::move(*outcome), {}};
  for (auto [slot, locals] : llvm::zip_equal(slots, results.locals))
    results.globals.push_back(
        denote(locals, mesh, slot.type.getShape(), slot.type.getPlacements()));
  printReplicas(results);
  // Before anything is written: a wrong --expect leaves no files.
  int code = options.expect ? compareWithExpected(options, results) : Success;
  if (code == Rejected)
    return code;
  if (options.outputs)
    if (int written = writeOutputs(options, results))
      code = written;
  if (options.stats)
    printStatistics(ranks.getStatistics());
  return code;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

static int runModule(const Options &options, mlir::ModuleOp module) {
  std::string names;
  mlir::func::FuncOp function = findFunction(module, names);
  if (!function)
    return fail(Rejected,
                names.empty()
                    ? "'" + options.file + "' has no function"
                    : "which function to run is not clear: there are " + names,
                "keep one function, or exactly one whose name ends in '.vjp'");
  std::vector<Slot> args, results;
  const std::string cannotRun = "'" + options.file + "' cannot be run";
  if (mlir::failed(collectSlots(function, args, results)))
    return fail(Rejected, cannotRun,
                "see the error above; arguments and results need different "
                "names and placed types");
  mlir::FailureOr<spmd::MeshAttr> attr = getMesh(function);
  if (mlir::failed(attr))
    return fail(Rejected, cannotRun,
                "see the error above; use a smaller layer or mesh, or another "
                "back end");
  std::string error;
  mlir::FailureOr<RankMesh> mesh = RankMesh::get(*attr, error);
  if (mlir::failed(mesh))
    return fail(Rejected, error, "use a smaller mesh");
  if (options.ranks && *options.ranks != mesh->numRanks())
    return fail(Rejected,
                "--ranks is " + std::to_string(*options.ranks) +
                    ", but the mesh has " + std::to_string(mesh->numRanks()) +
                    " ranks",
                "leave --ranks out, or import the layer for another mesh");

  std::vector<Value<double>> given;
  if (options.inputs) {
    if (int code = readInputs(*options.inputs, args, given))
      return code;
  } else if (!options.exact && !args.empty()) {
    return fail(Rejected,
                "there are no inputs, but the function has argument '" +
                    args.front().name + "'",
                "add --inputs FILE.safetensors, or --exact for random data");
  }
  return options.exact
             ? runExact(options, function, *mesh, args, results, given)
             : runFloat(options, function, *mesh, args, results, given);
}

/// Parses, checks and runs the program.
static int runFile(const Options &options) {
  std::string error;
  auto buffer = mlir::openInputFile(options.file, &error);
  if (!buffer)
    return fail(Rejected, error, "check the path of the .mlir file");
  reportStackOverflow("moe-run", options.file);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  // Errors quote the line; the joint function beside it would be pages.
  context.printOpOnDiagnostic(false);
  context.loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  mlir::SourceMgrDiagnosticHandler diagnostics(sources, &context);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return fail(Rejected, "'" + options.file + "' is no valid program",
                "see the errors above");
  mlir::PassManager passes(&context);
  buildMoECheckPipeline(passes, {.verify = options.verify});
  if (mlir::failed(passes.run(*module)))
    return fail(Rejected, "'" + options.file + "' was rejected",
                options.verify
                    ? "see the errors above; --no-verify runs a program in "
                      "spite of false claims"
                    : "see the errors above");
  return runModule(options, *module);
}

int main(int argc, char **argv) {
  Options options;
  bool helpShown = false;
  if (int code = parseOptions(argc, argv, options, helpShown))
    return code;
  int code = helpShown ? Success : runFile(options);
  // Verdicts that nobody can read are no success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    return fail(RuntimeFailure, "cannot write to the standard output",
                "check where it goes");
  return code;
}
