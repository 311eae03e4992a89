//===- ProgramDescription.cpp - What a compiled program says of itself ----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/ProgramDescription.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;
namespace json = llvm::json;

/// As in safetensors.
static StringRef dtypeName(Type type) {
  if (type.isBF16())
    return "BF16";
  bool wide = type.getIntOrFloatBitWidth() == 64;
  if (type.isInteger())
    return wide ? "I64" : "I32";
  return wide ? "F64" : "F32";
}

static json::Value describeValue(DictionaryAttr value) {
  auto type = cast<PlacedTensorType>(value.getAs<TypeAttr>("type").getValue());
  json::Array placements;
  for (Placement placement : type.getPlacements())
    placements.push_back(placement.str());
  return json::Object{{"name", value.getAs<StringAttr>("name").getValue()},
                      {"dtype", dtypeName(type.getElementType())},
                      {"shape", json::Array(type.getShape())},
                      {"placements", std::move(placements)}};
}

/// Equal for equal programs: ranks compare it before they work together.
static std::string hash(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os);
  return llvm::toHex(llvm::SHA256::hash(llvm::arrayRefFromStringRef(text)),
                     /*LowerCase=*/true);
}

static void describeDeviceProgram(func::FuncOp function,
                                  ArrayRef<rt::LaunchOp> launches,
                                  ArrayRef<gpu::GPUFuncOp> kernels,
                                  json::Object &program) {
  json::Array list;
  for (gpu::GPUFuncOp kernel : kernels) {
    // `product_rows_12`: what it is, and its number.
    json::Object object{
        {"name", kernel.getName()},
        {"op", kernel.getName().rsplit('_').first},
        {"location", getPlace(kernel.getLoc())},
        {"phase", isBackward(kernel.getLoc()) ? "backward" : "forward"}};
    if (auto fault = kernel->getAttrOfType<ArrayAttr>("moert.fault")) {
      object["fault"] = cast<StringAttr>(fault[0]).getValue();
      object["fault_help"] = cast<StringAttr>(fault[1]).getValue();
    }
    const auto *launch = llvm::find_if(launches, [&](rt::LaunchOp op) {
      return op.getKernel().getLeafReference() == kernel.getName();
    });
    int64_t shared = 0;
    if (launch != launches.end())
      shared = rt::LaunchOp(*launch).getShared();
    object["shared"] = shared;
    list.push_back(std::move(object));
  }
  program["kernels"] = std::move(list);
  auto bytes = function->getAttrOfType<IntegerAttr>("moert.arena_bytes");
  program["arena_bytes"] = bytes ? bytes.getInt() : 0;
  // What the host has to look at can not be replayed.
  program["capturable"] = function.getOps<rt::FetchOp>().empty();
}

json::Object
moe::describeProgram(func::FuncOp function,
                     ArrayRef<rt::CollectiveOpInterface> collectives,
                     ArrayRef<rt::LaunchOp> launches,
                     ArrayRef<gpu::GPUFuncOp> kernels, StringRef target) {
  auto values = function->getAttrOfType<DictionaryAttr>("moert.values");
  json::Object program{
      {"abi", 3}, {"target", target}, {"function", function.getName()}};
  for (StringRef list : {"arguments", "results"}) {
    json::Array array;
    for (auto value :
         values.getAs<ArrayAttr>(list).getAsRange<DictionaryAttr>())
      array.push_back(describeValue(value));
    program[list] = std::move(array);
  }
  auto first = cast<DictionaryAttr>(values.getAs<ArrayAttr>("arguments")[0]);
  json::Array mesh;
  for (MeshAxisAttr axis :
       cast<PlacedTensorType>(first.getAs<TypeAttr>("type").getValue())
           .getMesh()
           .getLeafAxes())
    mesh.push_back(json::Object{{"name", axis.getName().getValue()},
                                {"size", axis.getSize()}});
  program["mesh"] = std::move(mesh);
  json::Array list;
  for (rt::CollectiveOpInterface op : collectives) {
    json::Object object{
        {"kind", op->getName().stripDialect()},
        {"axes", json::Array(op.getAxesAttr().asArrayRef())},
        {"location", getPlace(op.getLoc())},
        {"phase", isBackward(op.getLoc()) ? "backward" : "forward"}};
    if (StringAttr site = op.getSiteAttr())
      object["site"] = site.getValue();
    list.push_back(std::move(object));
  }
  program["collectives"] = std::move(list);
  program["hash"] = hash(function->getParentOfType<ModuleOp>());
  if (!kernels.empty())
    describeDeviceProgram(function, launches, kernels, program);
  return program;
}
