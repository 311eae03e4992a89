//===- Policies.cpp - What each policy makes of the reductions ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Target/Report.h"
#include "llvm/ADT/StringSet.h"
#include <map>

using namespace mlir;
using namespace moe;
using namespace moe::spmd;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Remarks
//===----------------------------------------------------------------------===//

static StringRef phaseOf(Location loc) {
  return isBackward(loc) ? "backward" : "forward";
}

/// As a number, where the name says that it is one.
static void add(StringRef key, StringRef text, json::Object &object) {
  int64_t bytes;
  double microseconds;
  if ((key.starts_with("bytes") || key == "members" || key == "collective") &&
      !text.getAsInteger(10, bytes))
    object[key.str()] = bytes;
  else if (key.starts_with("us_") && !text.getAsDouble(microseconds))
    object[key.str()] = microseconds;
  else
    object[key.str()] = text.str();
}

namespace {

struct ReductionStreamer : remark::detail::MLIRRemarkStreamerBase {
  explicit ReductionStreamer(std::shared_ptr<ReductionLog::Run> run)
      : run(std::move(run)) {}

  // A JSON value of a StringRef only refers to it.
  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    if (remark.getRemarkName() == "estimate") {
      json::Object estimate = convert(remark);
      estimate["function"] = remark.getFunction().str();
      run->estimates.push_back(std::move(estimate));
      return;
    }
    if (remark.getRemarkName() == "schedule") {
      run->schedule = convert(remark);
      return;
    }
    if (remark.getRemarkName() == "overlap") {
      run->overlaps.push_back(convert(remark));
      return;
    }
    if (remark.getRemarkName() == "bucketed") {
      json::Object bucket = convert(remark);
      bucket["location"] = getPlace(remark.getLocation());
      bucket["phase"] = phaseOf(remark.getLocation());
      run->buckets.push_back(std::move(bucket));
      return;
    }
    json::Object reduction{{"fate", remark.getRemarkName().str()},
                           {"function", remark.getFunction().str()},
                           {"location", getPlace(remark.getLocation())},
                           {"phase", phaseOf(remark.getLocation())}};
    json::Array places;
    for (const auto &arg : remark.getArgs()) {
      if (arg.key == "to") {
        auto [kind, location] = StringRef(arg.val).split(' ');
        places.push_back(
            json::Object{{"kind", kind.str()}, {"location", location.str()}});
      } else {
        add(arg.key, arg.val, reduction);
      }
    }
    reduction["to"] = std::move(places);
    run->reductions.push_back(std::move(reduction));
  }

  static json::Object convert(const remark::detail::Remark &remark) {
    json::Object object;
    json::Array beside;
    for (const auto &arg : remark.getArgs()) {
      if (arg.key != "beside") {
        add(arg.key, arg.val, object);
        continue;
      }
      auto [time, kernel] = StringRef(arg.val).split(' ');
      auto [op, location] = kernel.split(' ');
      json::Object entry{{"op", op.str()}, {"location", location.str()}};
      add("us_beside", time, entry);
      beside.push_back(std::move(entry));
    }
    if (remark.getRemarkName() == "overlap")
      object["beside"] = std::move(beside);
    return object;
  }

  std::shared_ptr<ReductionLog::Run> run;
};

} // namespace

LogicalResult ReductionLog::attach(MLIRContext &context) {
  // Remarks come in the order of the program.
  context.disableMultithreading();
  remark::RemarkCategories categories;
  categories.passed = categories.analysis =
      "spmd-defer-reductions|moert-bucket-collectives|"
      "moert-schedule-collectives";
  return remark::enableOptimizationRemarks(
      context, std::make_unique<ReductionStreamer>(run),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}

//===----------------------------------------------------------------------===//
// Policies
//===----------------------------------------------------------------------===//

namespace {

/// What conversions send, by phase. What routing decides is not counted: no
/// policy changes it.
struct Totals {
  struct Total {
    int64_t count = 0, bytes = 0, picoseconds = 0;
  };

  /// A call sends what its function does, a loop what one round does.
  void add(func::FuncOp function, const CostModel &model) {
    functions.insert(function.getName());
    function.walk([&](Operation *op) {
      if (auto call = dyn_cast<func::CallOp>(op))
        if (func::FuncOp callee = getCallee(call);
            callee && !callee.isDeclaration())
          add(callee, model);
      for (const CollectiveStep &step : getCollectiveSteps(op)) {
        auto type = cast<PlacedTensorType>(op->getOperand(0).getType());
        Total &total = phases[isBackward(op->getLoc())];
        ++total.count;
        total.bytes += step.sent;
        total.picoseconds += getCost(step, type.getMesh(), model);
      }
    });
  }

  Total phases[2];
  /// The program's: public ones and those that they call.
  llvm::StringSet<> functions;
};

} // namespace

static Totals addTotals(StringRef policy, ModuleOp module,
                        const CostModel &model, json::Array &rows) {
  Totals totals;
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isDeclaration() && !function.isPrivate() &&
        !function->hasAttr(SPMDDialect::kVjpAttr))
      totals.add(function, model);
  for (auto [phase, total] : llvm::zip(
           std::array<StringRef, 2>{"forward", "backward"}, totals.phases))
    rows.push_back(json::Object{{"policy", policy.str()},
                                {"phase", phase.str()},
                                {"collectives", total.count},
                                {"bytes", total.bytes},
                                {"us", double(total.picoseconds) / 1e6}});
  return totals;
}

namespace {

/// Tells reductions apart in the program as it was, which is the same under
/// each policy: by axis, kind, place and site, and if these are equal by order.
class ReductionKeys {
public:
  std::string get(const json::Object &reduction) {
    std::string key;
    for (StringRef part : {"axis", "kind", "location", "phase", "site"})
      key += reduction.getString(part).value_or("").str() + "\n";
    return key + std::to_string(seen[key]++);
  }

private:
  std::map<std::string, unsigned> seen;
};

} // namespace

/// Leaves what is said of the program's functions, which need no name then.
static void takeProgram(const llvm::StringSet<> &functions,
                        json::Array &remarks) {
  json::Array kept;
  for (json::Value &value : remarks) {
    json::Object &remark = *value.getAsObject();
    bool isPart = functions.contains(*remark.getString("function"));
    remark.erase("function");
    if (isPart)
      kept.push_back(std::move(value));
  }
  remarks = std::move(kept);
}

LogicalResult ReductionLog::comparePolicies(ModuleOp module,
                                            const MoEDeferOptions &chosen) {
  auto model = CostModel::load(chosen.costFile);
  if (!model)
    return emitError(module.getLoc()) << llvm::toString(model.takeError());
  addTotals("as written", module, *model, totals);
  std::map<std::string, json::Object> fates;
  Run ours;
  for (StringRef policy : {"eager", "boundary", "min-cut"}) {
    *run = {};
    MoEDeferOptions options = chosen;
    options.policy = policy.str();
    if (policy != chosen.policy)
      options.memoryBudget = -1;
    OwningOpRef<ModuleOp> copy = module.clone();
    PassManager pm(module.getContext());
    buildMoEDeferPipeline(pm, options);
    if (failed(pm.run(*copy)))
      return failure();
    Totals sums = addTotals(policy, *copy, *model, totals);
    for (json::Array *list : {&run->reductions, &run->estimates})
      takeProgram(sums.functions, *list);
    ReductionKeys keys;
    for (const json::Value &value : run->reductions) {
      const json::Object &reduction = *value.getAsObject();
      json::Object fate;
      for (auto [ours, theirs] : {std::pair("fate", "fate"),
                                  {"to", "to"},
                                  {"why", "why"},
                                  {"bytes", "bytes_after"},
                                  {"us", "us_after"}})
        fate[ours] = *reduction.get(theirs);
      fates[keys.get(reduction)][policy] = std::move(fate);
    }
    if (policy == chosen.policy)
      ours = std::move(*run);
  }
  ReductionKeys keys;
  for (json::Value &value : ours.reductions) {
    json::Object &reduction = *value.getAsObject();
    reduction["policies"] = std::move(fates[keys.get(reduction)]);
  }
  reductions = std::move(ours.reductions);
  estimates = std::move(ours.estimates);
  return success();
}
