//===- KernelBuilder.cpp - Kernels and their launches ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace moe;

std::string KernelBuilder::nextName(StringRef stem) {
  return (stem + "_" + Twine(count++)).str();
}

gpu::GPUFuncOp KernelBuilder::create(Location loc, StringRef stem,
                                     TypeRange arguments) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  auto function = gpu::GPUFuncOp::create(b, loc, nextName(stem),
                                         b.getFunctionType(arguments, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  b.setInsertionPointToEnd(&function.getBody().front());
  gpu::ReturnOp::create(b, loc);
  return function;
}

gpu::GPUFuncOp
KernelBuilder::parse(Location loc, StringRef stem, StringRef text,
                     ArrayRef<std::pair<StringRef, std::string>> values) {
  std::string source = text.str();
  for (const auto &[name, value] : values) {
    std::string placeholder = ("$" + name).str();
    for (size_t at = source.find(placeholder); at != std::string::npos;
         at = source.find(placeholder, at + value.size()))
      source.replace(at, placeholder.size(), value);
  }
  OwningOpRef<ModuleOp> parsed =
      parseSourceString<ModuleOp>(source, module.getContext());
  assert(parsed && "a kernel's text must be valid");
  gpu::GPUFuncOp kernel;
  parsed->walk([&](gpu::GPUFuncOp function) { kernel = function; });
  kernel->remove();
  module.getBody()->push_back(kernel);
  kernel.setName(nextName(stem));
  kernel->walk([&](Operation *op) { op->setLoc(loc); });
  return kernel;
}

void KernelBuilder::launch(OpBuilder &builder, Location loc,
                           gpu::GPUFuncOp kernel, const LaunchShape &shape,
                           ValueRange arguments) {
  SizeBuilder sizes(builder, loc);
  auto symbol = SymbolRefAttr::get(
      module.getNameAttr(), {FlatSymbolRefAttr::get(kernel.getNameAttr())});
  rt::LaunchOp::create(builder, loc, rank, symbol, sizes.toValue(shape.x),
                       sizes.toValue(shape.y), sizes.toValue(shape.z),
                       builder.getI32IntegerAttr(shape.block),
                       builder.getI32IntegerAttr(shape.shared), arguments,
                       sizes.toValue(shape.flops), sizes.toValue(shape.bytes));
}

Value KernelBuilder::getFault(OpBuilder &builder, gpu::GPUFuncOp kernel,
                              StringRef error, StringRef help) {
  kernel->setAttr("moert.fault", builder.getStrArrayAttr({error, help}));
  return rt::FaultOp::create(builder, kernel.getLoc(), rank.getType(), rank);
}

LaunchShape moe::getLineShape(SizeBuilder &sizes, OpFoldResult blocks,
                              int32_t threads, ArrayRef<Value> buffers) {
  LaunchShape shape;
  shape.x = blocks;
  shape.y = shape.z = sizes.constant(1);
  shape.block = threads;
  shape.flops = shape.bytes = sizes.constant(0);
  for (Value buffer : buffers)
    shape.bytes = sizes.add(shape.bytes, sizes.bytes(buffer));
  return shape;
}

std::string moe::printType(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

//===----------------------------------------------------------------------===//
// Sizes on the host
//===----------------------------------------------------------------------===//

OpFoldResult SizeBuilder::dim(Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return builder.getIndexAttr(type.getDimSize(dim));
  return memref::DimOp::create(builder, loc, memref, dim).getResult();
}

Value SizeBuilder::toValue(OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(builder, loc, size);
}

OpFoldResult SizeBuilder::mul(OpFoldResult a, OpFoldResult b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return constant(*x * *y);
  return arith::MulIOp::create(builder, loc, toValue(a), toValue(b))
      .getResult();
}

OpFoldResult SizeBuilder::add(OpFoldResult a, OpFoldResult b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return constant(*x + *y);
  return arith::AddIOp::create(builder, loc, toValue(a), toValue(b))
      .getResult();
}

OpFoldResult SizeBuilder::ceilDiv(OpFoldResult a, int64_t b) {
  if (std::optional<int64_t> x = getConstantIntValue(a))
    return constant((*x + b - 1) / b);
  return arith::CeilDivUIOp::create(builder, loc, toValue(a),
                                    toValue(constant(b)))
      .getResult();
}

OpFoldResult SizeBuilder::product(ArrayRef<OpFoldResult> sizes) {
  OpFoldResult result = constant(1);
  for (OpFoldResult size : sizes)
    result = mul(result, size);
  return result;
}

OpFoldResult SizeBuilder::elements(Value memref) {
  OpFoldResult result = constant(1);
  for (int64_t i = 0; i < cast<MemRefType>(memref.getType()).getRank(); ++i)
    result = mul(result, dim(memref, i));
  return result;
}

OpFoldResult SizeBuilder::bytes(Value memref) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  return mul(elements(memref),
             constant((element.getIntOrFloatBitWidth() + 7) / 8));
}
