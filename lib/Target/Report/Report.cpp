//===- Report.cpp - What a compilation did --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/Report.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Target/ProgramDescription.h"
#include <map>

using namespace mlir;
using namespace moe;
using namespace moe::spmd;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// Bytes of one row of what an operand is part of.
static int64_t rowBytes(rt::CollectiveOpInterface op) {
  auto type = cast<PlacedTensorType>(
      cast<TypeAttr>(op.getGlobalTypesAttr()[0]).getValue());
  int64_t bytes = (type.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t size : type.getShape().drop_front())
    bytes *= size;
  return bytes;
}

/// Adds what the program itself need not know: names of axes and bytes.
static void describeBytes(rt::CollectiveOpInterface op, int64_t numRanks,
                          json::Object &collective) {
  json::Array bytes;
  bool isBound = false;
  for (int64_t rank = 0; rank < numRanks; ++rank)
    if (auto sent = rt::getBytesSent(op, rank)) {
      bytes.push_back(sent->bytes);
      isBound |= sent->isBound;
    }
  collective["bytes"] = std::move(bytes);
  collective["bound"] = isBound;
  if (op.dependsOnRouting())
    collective["row_bytes"] = rowBytes(op);
  collective["members"] = op.getGlobalTypesAttr().size();
}

namespace {

struct Total {
  int64_t count = 0, bytes = 0;
  bool isBound = false;
};

} // namespace

static json::Array sumUp(const json::Array &collectives) {
  // Phases and kinds in the order in which they first come.
  using Key = std::tuple<std::string, std::string, std::string>;
  std::vector<Key> order;
  std::map<Key, Total> totals;
  std::map<Key, json::Array> axesOf;
  for (const json::Value &value : collectives) {
    const json::Object &collective = *value.getAsObject();
    const json::Array &axes = *collective.getArray("axes");
    std::string names;
    for (const json::Value &axis : axes)
      names += "," + axis.getAsString()->str();
    Key key{collective.getString("phase")->str(),
            collective.getString("kind")->str(), names};
    if (!totals.count(key))
      order.push_back(key);
    axesOf.insert({key, axes});
    Total &total = totals[key];
    ++total.count;
    for (const json::Value &bytes : *collective.getArray("bytes"))
      total.bytes += *bytes.getAsInteger();
    total.isBound |= *collective.getBoolean("bound");
  }
  json::Array list;
  for (const Key &key : order)
    list.push_back(json::Object{{"phase", std::get<0>(key)},
                                {"kind", std::get<1>(key)},
                                {"axes", std::move(axesOf[key])},
                                {"count", totals[key].count},
                                {"bytes", totals[key].bytes},
                                {"bound", totals[key].isBound}});
  return list;
}

FailureOr<json::Object> moe::makeReport(ModuleOp module, ReductionLog &log,
                                        const ReportOptions &options) {
  SmallVector<func::FuncOp> functions;
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr("moert.values"))
      functions.push_back(function);
  if (functions.size() != 1)
    return module.emitError("a report is of one program, this module has ")
           << functions.size()
           << "; help: keep one function over placed tensors in the file";
  SmallVector<rt::CollectiveOpInterface> collectives;
  functions.front().walk(
      [&](rt::CollectiveOpInterface op) { collectives.push_back(op); });

  json::Object report =
      describeProgram(functions.front(), collectives, {}, {}, options.target);
  report.erase("abi");
  report["version"] = 1;
  report["source"] = options.source;
  report["policy"] = options.policy.empty() ? json::Value(nullptr)
                                            : json::Value(options.policy);
  const json::Array &mesh = *report.getArray("mesh");
  int64_t numRanks = 1;
  for (const json::Value &axis : mesh)
    numRanks *= *axis.getAsObject()->getInteger("size");
  for (auto [op, value] :
       llvm::zip_equal(collectives, *report.getArray("collectives"))) {
    json::Object &collective = *value.getAsObject();
    collective["id"] = op.getCollectiveAttr().getInt();
    for (json::Value &axis : *collective.getArray("axes"))
      axis = mesh[*axis.getAsInteger()].getAsObject()->getString("name")->str();
    describeBytes(op, numRanks, collective);
  }
  // In the order of collectives, which have numbers only after the schedule.
  for (json::Value &value : log.takeOverlaps()) {
    json::Object &overlap = *value.getAsObject();
    size_t number = *overlap.getInteger("collective");
    overlap.erase("collective");
    for (auto &[key, entry] : overlap)
      (*(*report.getArray("collectives"))[number].getAsObject())[key] =
          std::move(entry);
  }
  report["schedule"] = log.takeSchedule();
  report["buckets"] = log.takeBuckets();
  report["estimates"] = log.takeEstimates();
  report["policies"] = log.takeTotals();
  report["reductions"] = log.takeReductions();
  report["totals"] = sumUp(*report.getArray("collectives"));
  return report;
}
