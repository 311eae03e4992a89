//===- ProgramDescription.cpp - What a compiled program says of itself ----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/ProgramDescription.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"

using namespace mlir;
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

json::Object
moe::describeProgram(func::FuncOp function,
                     ArrayRef<rt::CollectiveOpInterface> collectives,
                     StringRef target) {
  auto values = function->getAttrOfType<DictionaryAttr>("moert.values");
  json::Object program{
      {"abi", 1}, {"target", target}, {"function", function.getName()}};
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
  return program;
}
