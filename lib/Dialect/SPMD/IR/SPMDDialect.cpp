//===- SPMDDialect.cpp - The spmd dialect, its attributes and types -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moe::spmd;

#include "moe/Dialect/SPMD/IR/SPMDDialect.cpp.inc"

#include "moe/Dialect/SPMD/IR/SPMDInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDTypes.cpp.inc"

namespace {
/// Prints each mesh once, as `#mesh`.
struct MeshAliases : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;
  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    if (!isa<MeshAttr>(attr))
      return AliasResult::NoAlias;
    os << "mesh";
    return AliasResult::FinalAlias;
  }
};
} // namespace

void SPMDDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe/Dialect/SPMD/IR/SPMDAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "moe/Dialect/SPMD/IR/SPMDTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "moe/Dialect/SPMD/IR/SPMDOps.cpp.inc"
      >();
  addInterfaces<MeshAliases>();
}

//===----------------------------------------------------------------------===//
// Discardable attributes
//===----------------------------------------------------------------------===//

LogicalResult SPMDDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attr) {
  if (attr.getName() == kVjpAttr && isa<FunctionOpInterface>(op) &&
      isa<FlatSymbolRefAttr>(attr.getValue()))
    return success();
  return op->emitOpError("has the attribute '")
         << attr.getName().getValue()
         << "', which the spmd dialect does not know here; it knows "
            "'spmd.vjp' on functions, and 'spmd.name', 'spmd.no_grad' and "
            "'spmd.grad_placement' on arguments and results";
}

static LogicalResult verifyValueAttribute(Operation *op, NamedAttribute attr,
                                          Type type, StringRef what,
                                          unsigned index, bool isArgument) {
  auto emit = [&] {
    return op->emitError() << "attribute '" << attr.getName().getValue()
                           << "' of " << what << " " << index;
  };
  if (attr.getName() == SPMDDialect::kNameAttr) {
    auto name = dyn_cast<StringAttr>(attr.getValue());
    if (!name || name.empty())
      return emit() << " must be a non-empty string";
    return success();
  }
  if (isArgument && attr.getName() == SPMDDialect::kNoGradAttr) {
    if (!isa<UnitAttr>(attr.getValue()))
      return emit() << " takes no value";
    return success();
  }
  if (attr.getName() == SPMDDialect::kGradPlacementAttr) {
    auto placements = dyn_cast<PlacementsAttr>(attr.getValue());
    auto tensor = dyn_cast<PlacedTensorType>(type);
    if (!placements || !tensor)
      return emit() << " must be a #spmd.placements on a placed tensor";
    if (!isa<FloatType>(tensor.getElementType()))
      return emit() << " is on a tensor of " << tensor.getElementType()
                    << ", which has no gradient";
    auto emitDetail = [&] { return emit() << ": "; };
    FailureOr<SmallVector<Placement>> resolved =
        placements.resolve(tensor.getMesh(), emitDetail);
    if (failed(resolved))
      return failure();
    return PlacedTensorType::verify(emitDetail, tensor.getShape(),
                                    tensor.getElementType(), tensor.getMesh(),
                                    *resolved);
  }
  return emit() << " is not known to the spmd dialect";
}

LogicalResult SPMDDialect::verifyRegionArgAttribute(Operation *op, unsigned,
                                                    unsigned index,
                                                    NamedAttribute attr) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  Type type = function ? function.getArgumentTypes()[index] : Type();
  return verifyValueAttribute(op, attr, type, "argument", index, true);
}

LogicalResult SPMDDialect::verifyRegionResultAttribute(Operation *op, unsigned,
                                                       unsigned index,
                                                       NamedAttribute attr) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  Type type = function ? function.getResultTypes()[index] : Type();
  return verifyValueAttribute(op, attr, type, "result", index, false);
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

static void printAxisName(AsmPrinter &printer, StringRef name) {
  printer.printKeywordOrString(name);
}

/// `<a, b, ..>`, perhaps empty. MLIR 22's Delimiter::LessGreater reports a
/// missing `<` and then succeeds.
static ParseResult parseAngleList(AsmParser &parser,
                                  function_ref<ParseResult()> parseElement) {
  if (parser.parseLess())
    return failure();
  if (succeeded(parser.parseOptionalGreater()))
    return success();
  return failure(parser.parseCommaSeparatedList(parseElement) ||
                 parser.parseGreater());
}

/// Bounds the recursion over text that nests without end.
constexpr unsigned kMaxAxisNesting = 64;

static FailureOr<MeshAxisAttr> parseAxis(AsmParser &parser,
                                         unsigned nesting = 0) {
  std::string name;
  SMLoc loc = parser.getCurrentLocation();
  if (nesting > kMaxAxisNesting)
    return parser.emitError(loc, "mesh axes nest deeper than ")
           << kMaxAxisNesting << " levels";
  if (parser.parseKeywordOrString(&name) || parser.parseEqual())
    return failure();
  SmallVector<MeshAxisAttr> subAxes;
  int64_t size = 1;
  if (succeeded(parser.parseOptionalLParen())) {
    auto parseSubAxis = [&]() -> ParseResult {
      FailureOr<MeshAxisAttr> axis = parseAxis(parser, nesting + 1);
      if (failed(axis))
        return failure();
      subAxes.push_back(*axis);
      if (axis->getSize() > 0 &&
          size > std::numeric_limits<int32_t>::max() / axis->getSize())
        return parser.emitError(loc, "axis '") << name << "' is too large";
      size *= axis->getSize();
      return success();
    };
    if (parser.parseCommaSeparatedList(parseSubAxis) || parser.parseRParen())
      return failure();
  } else if (parser.parseInteger(size)) {
    return failure();
  }
  auto axis = MeshAxisAttr::getChecked(
      [&] { return parser.emitError(loc); }, parser.getContext(),
      StringAttr::get(parser.getContext(), name), size, subAxes);
  if (!axis)
    return failure();
  return axis;
}

static void printAxis(AsmPrinter &printer, MeshAxisAttr axis) {
  printAxisName(printer, axis.getName().getValue());
  printer << "=";
  if (axis.getSubAxes().empty()) {
    printer << axis.getSize();
    return;
  }
  printer << "(";
  llvm::interleaveComma(axis.getSubAxes(), printer,
                        [&](MeshAxisAttr sub) { printAxis(printer, sub); });
  printer << ")";
}

Attribute MeshAxisAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  FailureOr<MeshAxisAttr> axis = parseAxis(parser);
  if (failed(axis) || parser.parseGreater())
    return {};
  return *axis;
}

void MeshAxisAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printAxis(printer, *this);
  printer << ">";
}

LogicalResult MeshAxisAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   StringAttr name, int64_t size,
                                   ArrayRef<MeshAxisAttr> subAxes) {
  if (name.empty())
    return emitError() << "a mesh axis needs a name";
  if (size < 1 || size > std::numeric_limits<int32_t>::max())
    return emitError() << "(M1) mesh axis '" << name.getValue() << "' has size "
                       << size << "; a size is at least 1 and below 2^31";
  if (subAxes.size() == 1)
    return emitError() << "(M3) mesh axis '" << name.getValue()
                       << "' is split into one sub-axis; give its size instead";
  return success();
}

Attribute MeshAttr::parse(AsmParser &parser, Type) {
  SmallVector<MeshAxisAttr> axes;
  SMLoc loc = parser.getCurrentLocation();
  auto parseOne = [&]() -> ParseResult {
    FailureOr<MeshAxisAttr> axis = parseAxis(parser);
    if (failed(axis))
      return failure();
    axes.push_back(*axis);
    return success();
  };
  if (parseAngleList(parser, parseOne))
    return {};
  return MeshAttr::getChecked([&] { return parser.emitError(loc); },
                              parser.getContext(), axes);
}

void MeshAttr::print(AsmPrinter &printer) const {
  printer << "<";
  llvm::interleaveComma(getAxes(), printer,
                        [&](MeshAxisAttr axis) { printAxis(printer, axis); });
  printer << ">";
}

static void collectNames(ArrayRef<MeshAxisAttr> axes,
                         SmallVectorImpl<StringRef> &names) {
  for (MeshAxisAttr axis : axes) {
    names.push_back(axis.getName().getValue());
    collectNames(axis.getSubAxes(), names);
  }
}

static void collectLeaves(ArrayRef<MeshAxisAttr> axes,
                          SmallVectorImpl<MeshAxisAttr> &leaves) {
  for (MeshAxisAttr axis : axes) {
    if (axis.getSubAxes().empty())
      leaves.push_back(axis);
    else
      collectLeaves(axis.getSubAxes(), leaves);
  }
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<MeshAxisAttr> axes) {
  SmallVector<StringRef> names;
  collectNames(axes, names);
  llvm::StringSet<> seen;
  for (StringRef name : names)
    if (!seen.insert(name).second)
      return emitError() << "(M2) mesh has two axes named '" << name << "'";
  int64_t ranks = 1;
  for (MeshAxisAttr axis : axes) {
    if (ranks > std::numeric_limits<int32_t>::max() / axis.getSize())
      return emitError() << "(M1) mesh has more than 2^31 ranks";
    ranks *= axis.getSize();
  }
  return success();
}

SmallVector<MeshAxisAttr> MeshAttr::getLeafAxes() const {
  SmallVector<MeshAxisAttr> leaves;
  collectLeaves(getAxes(), leaves);
  return leaves;
}

unsigned MeshAttr::getNumLeafAxes() const { return getLeafAxes().size(); }

/// Returns true once the axis called `name` was found; `next` counts leaves.
static bool findLeaves(ArrayRef<MeshAxisAttr> axes, StringRef name, bool inside,
                       unsigned &next, SmallVectorImpl<unsigned> &leaves) {
  for (MeshAxisAttr axis : axes) {
    bool here = inside || axis.getName().getValue() == name;
    if (axis.getSubAxes().empty()) {
      if (here)
        leaves.push_back(next);
      ++next;
    } else {
      findLeaves(axis.getSubAxes(), name, here, next, leaves);
    }
  }
  return !leaves.empty();
}

SmallVector<unsigned> MeshAttr::getLeavesOf(StringRef name) const {
  SmallVector<unsigned> leaves;
  unsigned next = 0;
  findLeaves(getAxes(), name, /*inside=*/false, next, leaves);
  return leaves;
}

std::string MeshAttr::describeAxes() const {
  if (getAxes().empty())
    return "none";
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(getLeafAxes(), os, [&](MeshAxisAttr axis) {
    os << "'" << axis.getName().getValue() << "'";
  });
  return text;
}

//===----------------------------------------------------------------------===//
// Placements
//===----------------------------------------------------------------------===//

static ParseResult parsePlacement(AsmParser &parser, Placement &placement) {
  if (succeeded(parser.parseOptionalQuestion())) {
    placement = Placement::unknown();
    return success();
  }
  SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  if (parser.parseKeyword(&keyword))
    return failure();
  if (keyword == "replicate") {
    placement = Placement::replicate();
    return success();
  }
  if (keyword == "shard" || keyword == "ragged") {
    SMLoc dimLoc;
    int64_t dim = 0;
    if (parser.parseLess() || parser.getCurrentLocation(&dimLoc) ||
        parser.parseInteger(dim) || parser.parseGreater())
      return failure();
    if (dim < 0 || dim > std::numeric_limits<int16_t>::max())
      return parser.emitError(dimLoc, "(T2) there is no dimension ") << dim;
    placement =
        keyword == "shard" ? Placement::shard(dim) : Placement::ragged(dim);
    return success();
  }
  if (keyword == "partial") {
    StringRef kind;
    SMLoc kindLoc;
    if (parser.parseLess() || parser.getCurrentLocation(&kindLoc) ||
        parser.parseKeyword(&kind) || parser.parseGreater())
      return failure();
    for (ReductionKind candidate : {ReductionKind::Sum, ReductionKind::Avg,
                                    ReductionKind::Max, ReductionKind::Min})
      if (stringifyReduction(candidate) == kind) {
        placement = Placement::partial(candidate);
        return success();
      }
    return parser.emitError(kindLoc, "unknown reduction '")
           << kind << "'; use sum, avg, max or min";
  }
  return parser.emitError(loc, "unknown placement '")
         << keyword
         << "'; use ?, replicate, shard<dim>, ragged<dim> or partial<kind>";
}

static ParseResult parseAxisPlacement(AsmParser &parser,
                                      SmallVectorImpl<StringAttr> &axes,
                                      SmallVectorImpl<Placement> &placements) {
  std::string name;
  if (parser.parseKeywordOrString(&name) || parser.parseColon() ||
      parsePlacement(parser, placements.emplace_back()))
    return failure();
  axes.push_back(StringAttr::get(parser.getContext(), name));
  return success();
}

Attribute PlacementsAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> axes;
  SmallVector<Placement> placements;
  SMLoc loc = parser.getCurrentLocation();
  if (parseAngleList(
          parser, [&] { return parseAxisPlacement(parser, axes, placements); }))
    return {};
  return PlacementsAttr::getChecked([&] { return parser.emitError(loc); },
                                    parser.getContext(), axes, placements);
}

void PlacementsAttr::print(AsmPrinter &printer) const {
  printer << "<";
  llvm::interleaveComma(llvm::zip(getAxes(), getPlacements()), printer,
                        [&](auto entry) {
                          printAxisName(printer, std::get<0>(entry).getValue());
                          printer << ": " << std::get<1>(entry).str();
                        });
  printer << ">";
}

LogicalResult
PlacementsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       ArrayRef<StringAttr> axes,
                       ArrayRef<Placement> placements) {
  if (axes.size() != placements.size())
    return emitError() << "one placement per axis name expected";
  llvm::StringSet<> seen;
  for (StringAttr axis : axes)
    if (!seen.insert(axis.getValue()).second)
      return emitError() << "axis '" << axis.getValue() << "' is placed twice";
  return success();
}

FailureOr<SmallVector<Placement>>
PlacementsAttr::resolve(MeshAttr mesh,
                        function_ref<InFlightDiagnostic()> emitError) const {
  SmallVector<Placement> resolved(mesh.getNumLeafAxes(),
                                  Placement::replicate());
  SmallVector<bool> given(resolved.size());
  for (auto [name, placement] : llvm::zip(getAxes(), getPlacements())) {
    SmallVector<unsigned> leaves = mesh.getLeavesOf(name.getValue());
    if (leaves.empty()) {
      emitError() << "the mesh has no axis '" << name.getValue() << "'; it has "
                  << mesh.describeAxes();
      return failure();
    }
    for (unsigned leaf : leaves) {
      if (given[leaf]) {
        emitError() << "axis '" << mesh.getLeafAxes()[leaf].getName().getValue()
                    << "' is placed twice";
        return failure();
      }
      given[leaf] = true;
      resolved[leaf] = placement;
    }
  }
  return resolved;
}

//===----------------------------------------------------------------------===//
// The placed tensor
//===----------------------------------------------------------------------===//

Type PlacedTensorType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type elementType;
  MeshAttr mesh;
  SmallVector<StringAttr> axes;
  SmallVector<Placement> placements;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/true) ||
      parser.parseType(elementType) || parser.parseComma() ||
      parser.parseAttribute(mesh))
    return {};
  while (succeeded(parser.parseOptionalComma()))
    if (parseAxisPlacement(parser, axes, placements))
      return {};
  if (parser.parseGreater())
    return {};
  auto emitError = [&] { return parser.emitError(loc); };
  auto list = PlacementsAttr::getChecked(emitError, parser.getContext(), axes,
                                         placements);
  if (!list)
    return {};
  FailureOr<SmallVector<Placement>> resolved = list.resolve(mesh, emitError);
  if (failed(resolved))
    return {};
  return PlacedTensorType::getChecked(emitError, parser.getContext(), shape,
                                      elementType, mesh, *resolved);
}

void PlacedTensorType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  if (!getShape().empty())
    printer << "x";
  printer << getElementType() << ", " << getMesh();
  for (auto [axis, placement] :
       llvm::zip(getMesh().getLeafAxes(), getPlacements())) {
    if (placement.isReplicate())
      continue;
    printer << ", ";
    printAxisName(printer, axis.getName().getValue());
    printer << ": " << placement.str();
  }
  printer << ">";
}

LogicalResult
PlacedTensorType::verify(function_ref<InFlightDiagnostic()> emitError,
                         ArrayRef<int64_t> shape, Type elementType,
                         MeshAttr mesh, ArrayRef<Placement> placements) {
  if (!elementType.isIntOrFloat())
    return emitError() << "element type must be an integer or a float, not "
                       << elementType;
  if (shape.size() > std::numeric_limits<int16_t>::max())
    return emitError() << "(T4) a placed tensor has fewer than 2^15 dimensions";
  int64_t elements = 1;
  for (int64_t size : shape) {
    if (size < 0)
      return emitError() << "(T4) the shape of a placed tensor is static";
    // Any product of dimensions has to be a number, in an empty tensor too.
    if (llvm::MulOverflow(elements, std::max<int64_t>(size, 1), elements))
      return emitError() << "(T4) a placed tensor has fewer than 2^63 elements";
  }
  if (placements.size() != mesh.getNumLeafAxes())
    return emitError() << "(T1) " << placements.size()
                       << " placements for a mesh with "
                       << mesh.getNumLeafAxes() << " axes";
  const Placement *partial = nullptr;
  for (const Placement &placement : placements) {
    if (placement.isMixed())
      return emitError() << "no type holds a mix of replicate and partial";
    if (placement.isCut() && placement.dim >= static_cast<int>(shape.size()))
      return emitError() << "(T2) " << placement.str()
                         << " cuts a dimension that a tensor of rank "
                         << shape.size() << " does not have";
    if (!placement.isPartial())
      continue;
    if (partial && *partial != placement)
      return emitError() << "(T3) one kind of reduction per value, not "
                         << partial->str() << " and " << placement.str();
    partial = &placement;
  }
  return success();
}

PlacedTensorType
PlacedTensorType::cloneWith(std::optional<ArrayRef<int64_t>> shape,
                            Type elementType) const {
  return get(getContext(), shape.value_or(getShape()), elementType, getMesh(),
             getPlacements());
}

PlacedTensorType
PlacedTensorType::withPlacements(ArrayRef<Placement> placements) const {
  return get(getContext(), getShape(), getElementType(), getMesh(), placements);
}

PlacedTensorType PlacedTensorType::withUnknownPlacements() const {
  return withPlacements(SmallVector<Placement>(getPlacements().size()));
}

bool PlacedTensorType::hasUnknownPlacement() const {
  return llvm::any_of(getPlacements(),
                      [](Placement p) { return p.isUnknown(); });
}
