//===- ProductKernels.cpp - Matrix products on the device -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What all products share: which tile of the result a block has. Where rows are
// grouped by expert no tile has rows of two experts; a kernel of its own lists
// the tiles, since only the device knows how many rows an expert has. The grid
// has a block for every tile that there can be.
//
//===----------------------------------------------------------------------===//

#include "ProductKernels.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "moe/Dialect/Runtime/IR/EinsumTerms.h"

using namespace mlir;
using namespace moe;

/// Neighbouring blocks share operands: tiles go down a band of this many tile
/// rows before they go on to the next tile column.
static constexpr int64_t kBand = 8;

//===----------------------------------------------------------------------===//
// Tiles of grouped rows
//===----------------------------------------------------------------------===//

/// Tile i: its expert, first and last row. Rows of no expert here have expert
/// -1, tiles that do not exist no rows.
static constexpr llvm::StringLiteral kTilesText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%offsets: $OFFSETS, %tiles: $TILES,
                   %rows: index) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %none = arith.constant -1 : i32
    %block = arith.constant 256 : index
    %size = arith.constant $SIZE : index
    %b = gpu.block_id x
    %t = gpu.thread_id x
    %first = arith.muli %b, %block : index
    %tile = arith.addi %first, %t : index
    %n = memref.dim %tiles, %c0 : $TILES
    %exists = arith.cmpi ult, %tile, %n : index
    scf.if %exists {
      %offsets_n = memref.dim %offsets, %c0 : $OFFSETS
      %parts = arith.addi %offsets_n, %c1 : index
      // Part 0 are rows before the first expert's, part p those of expert
      // p - 1, the last one those after the last expert's.
      %z = arith.constant 0 : i32
      %found:4 = scf.for %p = %c0 to %parts step %c1
          iter_args(%before = %c0, %e = %none, %from = %z, %to = %z)
          -> (index, i32, i32, i32) {
        %is_first = arith.cmpi eq, %p, %c0 : index
        %is_last = arith.cmpi eq, %p, %offsets_n : index
        %p_1 = arith.subi %p, %c1 : index
        %at = arith.select %is_first, %c0, %p_1 : index
        %at_end = arith.select %is_last, %c0, %p : index
        %begin64 = memref.load %offsets[%at] : $OFFSETS
        %end64 = memref.load %offsets[%at_end] : $OFFSETS
        %begin_i = arith.index_cast %begin64 : i64 to index
        %end_i = arith.index_cast %end64 : i64 to index
        %begin = arith.select %is_first, %c0, %begin_i : index
        %end = arith.select %is_last, %rows, %end_i : index
        %count = arith.subi %end, %begin : index
        %n_tiles = arith.ceildivui %count, %size : index
        %after = arith.addi %before, %n_tiles : index
        %ge = arith.cmpi uge, %tile, %before : index
        %lt = arith.cmpi ult, %tile, %after : index
        %mine = arith.andi %ge, %lt : i1
        %i = arith.subi %tile, %before : index
        %skip = arith.muli %i, %size : index
        %row = arith.addi %begin, %skip : index
        %row_end0 = arith.addi %row, %size : index
        %row_end = arith.minui %row_end0, %end : index
        %row32 = arith.index_cast %row : index to i32
        %end32 = arith.index_cast %row_end : index to i32
        %e_i = arith.index_cast %p_1 : index to i32
        %outside = arith.ori %is_first, %is_last : i1
        %e_or = arith.select %outside, %none, %e_i : i32
        %e_next = arith.select %mine, %e_or, %e : i32
        %from_next = arith.select %mine, %row32, %from : i32
        %to_next = arith.select %mine, %end32, %to : i32
        scf.yield %after, %e_next, %from_next, %to_next : index, i32, i32, i32
      }
      memref.store %found#1, %tiles[%tile, %c0] : $TILES
      memref.store %found#2, %tiles[%tile, %c1] : $TILES
      memref.store %found#3, %tiles[%tile, %c2] : $TILES
    }
    gpu.return
  }
}
)mlir";

/// The list of tiles of `rows` rows, made once for all products that share the
/// offsets.
static Value getTiles(KernelBuilder &kernels, Operation *op, Value offsets,
                      OpFoldResult rows, int64_t tile) {
  Value &tiles = kernels.tiles[{offsets, tile}];
  if (tiles)
    return tiles;
  OpBuilder b(op);
  Location loc = op->getLoc();
  SizeBuilder sizes(b, loc);
  // Each expert, the rows before and the rows after end with a tile of their
  // own.
  OpFoldResult parts = sizes.add(sizes.dim(offsets, 0), sizes.constant(1));
  OpFoldResult count = sizes.add(sizes.ceilDiv(rows, tile), parts);
  std::optional<int64_t> known = getConstantIntValue(count);
  SmallVector<Value> dynamic;
  if (!known)
    dynamic.push_back(sizes.toValue(count));
  tiles = memref::AllocOp::create(
      b, loc,
      MemRefType::get({known.value_or(ShapedType::kDynamic), 3},
                      b.getI32Type()),
      dynamic);
  gpu::GPUFuncOp kernel =
      kernels.parse(loc, "tiles", kTilesText,
                    {{"OFFSETS", printType(offsets.getType())},
                     {"TILES", printType(tiles.getType())},
                     {"SIZE", std::to_string(tile)}});
  kernels.launch(
      b, loc, kernel,
      getLineShape(sizes, sizes.ceilDiv(count, 256), 256, {offsets, tiles}),
      {offsets, tiles, sizes.toValue(rows)});
  return tiles;
}

//===----------------------------------------------------------------------===//
// The block's tile
//===----------------------------------------------------------------------===//

namespace {

/// Arithmetic in i64 in a kernel.
struct WideBuilder {
  OpBuilder &k;
  Location loc;

  Value constant(int64_t value) {
    return arith::ConstantOp::create(k, loc, k.getI64IntegerAttr(value));
  }
  Value of(Value index) {
    return arith::IndexCastOp::create(k, loc, k.getI64Type(), index);
  }
  Value dim(Value memref, int64_t dim) {
    auto type = cast<MemRefType>(memref.getType());
    if (!type.isDynamicDim(dim))
      return constant(type.getDimSize(dim));
    return of(memref::DimOp::create(k, loc, memref, dim));
  }
  Value load(Value memref, ArrayRef<Value> wideIndices) {
    SmallVector<Value> indices;
    for (Value index : wideIndices)
      indices.push_back(
          arith::IndexCastOp::create(k, loc, k.getIndexType(), index));
    Value number = memref::LoadOp::create(k, loc, memref, indices);
    if (number.getType().isInteger(32))
      number = arith::ExtSIOp::create(k, loc, k.getI64Type(), number);
    return number;
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(k, loc, a, b); }
  Value sub(Value a, Value b) { return arith::SubIOp::create(k, loc, a, b); }
  Value mul(Value a, Value b) { return arith::MulIOp::create(k, loc, a, b); }
  Value div(Value a, Value b) { return arith::DivUIOp::create(k, loc, a, b); }
  Value rem(Value a, Value b) { return arith::RemUIOp::create(k, loc, a, b); }
  Value min(Value a, Value b) { return arith::MinSIOp::create(k, loc, a, b); }
};

/// Makes and launches the kernel of one product.
class ProductForming {
public:
  ProductForming(KernelBuilder &kernels, Operation *op, Product product)
      : kernels(kernels), op(op), product(product), loc(op->getLoc()), b(op),
        sizes(b, loc) {}
  void form();

private:
  /// The tile of block (x, y), on a grid of tile rows times tile columns.
  BlockTile emitTile(OpBuilder &k, const ProductShape &shape, Value a, Value b,
                     Value list);

  KernelBuilder &kernels;
  Operation *op;
  Product product;
  Location loc;
  OpBuilder b;
  SizeBuilder sizes;
};

} // namespace

BlockTile ProductForming::emitTile(OpBuilder &k, const ProductShape &shape,
                                   Value a, Value b, Value list) {
  WideBuilder w{k, loc};
  Value block = w.of(gpu::BlockIdOp::create(k, loc, gpu::Dimension::x));
  BlockTile tile;
  tile.numColumns = w.dim(b, product.nDim());
  tile.firstK = w.constant(0);
  tile.endK = w.dim(a, product.kDim());
  Value tileM = w.constant(shape.tileM), tileN = w.constant(shape.tileN);
  auto tilesOf = [&](Value size, Value tileSize) {
    return w.div(w.add(size, w.sub(tileSize, w.constant(1))), tileSize);
  };
  Value rows = list ? w.dim(list, 0) : w.dim(a, product.mDim());
  Value tilesM = list ? rows : tilesOf(rows, tileM);
  Value tilesN = tilesOf(tile.numColumns, tileN);
  // Bands of kBand tile rows; the last one may be narrower.
  Value band = w.constant(kBand);
  Value perBand = w.mul(band, tilesN);
  Value firstTile = w.mul(w.div(block, perBand), band);
  Value height = w.min(band, w.sub(tilesM, firstTile));
  Value inBand = w.rem(block, perBand);
  Value tileRow = w.add(firstTile, w.rem(inBand, height));
  tile.firstColumn = w.mul(w.div(inBand, height), tileN);
  if (list) {
    tile.expert = w.load(list, {tileRow, w.constant(0)});
    tile.firstRow = w.load(list, {tileRow, w.constant(1)});
    tile.endRow = w.load(list, {tileRow, w.constant(2)});
    // Rows of no expert here are zero: nothing is summed.
    Value none = arith::CmpIOp::create(k, loc, arith::CmpIPredicate::slt,
                                       tile.expert, w.constant(0));
    tile.endK = arith::SelectOp::create(k, loc, none, tile.firstK, tile.endK);
    tile.expert =
        arith::SelectOp::create(k, loc, none, w.constant(0), tile.expert);
  } else {
    tile.firstRow = w.mul(tileRow, tileM);
    tile.endRow = w.min(rows, w.add(tile.firstRow, tileM));
  }
  return tile;
}

void ProductForming::form() {
  bool tensorCores = fitsTensorCores(product);
  ProductShape way = tensorCores ? getTensorCoreShape() : getThreadShape();
  SmallVector<Value> arguments{product.a, product.b, product.c};
  OpFoldResult rows = sizes.dim(product.a, product.mDim());
  OpFoldResult columns = sizes.dim(product.b, product.nDim());
  LaunchShape shape;
  OpFoldResult tilesM = sizes.ceilDiv(rows, way.tileM);
  Value list;
  shape.y = shape.z = sizes.constant(1);
  if (product.grouping == Product::Rows) {
    list = getTiles(kernels, op, product.offsets, rows, way.tileM);
    tilesM = sizes.dim(list, 0);
    arguments.push_back(list);
  } else if (product.grouping == Product::Experts) {
    arguments.push_back(product.offsets);
    shape.y = sizes.dim(product.c, 0);
  }
  shape.x = sizes.mul(tilesM, sizes.ceilDiv(columns, way.tileN));
  shape.block = way.threads;
  shape.shared = way.shared;
  shape.flops = sizes.mul(
      sizes.constant(2),
      sizes.product({rows, columns, sizes.dim(product.a, product.kDim())}));
  shape.bytes = sizes.constant(0);
  for (Value value : {product.a, product.b, product.c})
    shape.bytes = sizes.add(shape.bytes, sizes.bytes(value));

  StringRef stem = product.grouping == Product::Dense  ? "product"
                   : product.grouping == Product::Rows ? "product_rows"
                                                       : "product_experts";
  gpu::GPUFuncOp function = kernels.create(loc, (stem + "_" + way.name).str(),
                                           ValueRange(arguments).getTypes());
  OpBuilder k(function.getBody().front().getTerminator());
  ProductKernel kernel{k,
                       loc,
                       product,
                       function.getArgument(0),
                       function.getArgument(1),
                       function.getArgument(2),
                       {}};
  kernel.tile = emitTile(k, way, kernel.a, kernel.b,
                         list ? function.getArgument(3) : Value());
  if (product.grouping == Product::Experts) {
    WideBuilder w{k, loc};
    Value expert = w.of(gpu::BlockIdOp::create(k, loc, gpu::Dimension::y));
    kernel.tile.expert = expert;
    kernel.tile.firstK = w.load(function.getArgument(3), {expert});
    kernel.tile.endK =
        w.load(function.getArgument(3), {w.add(expert, w.constant(1))});
  }
  function->setAttr(
      "nvvm.maxntid",
      k.getDenseI32ArrayAttr({static_cast<int32_t>(way.threads), 1, 1}));
  if (tensorCores)
    emitTensorCoreBody(kernel);
  else
    emitThreadBody(kernel, function);
  kernels.launch(b, loc, function, shape, arguments);
  op->erase();
}

//===----------------------------------------------------------------------===//
// From equations
//===----------------------------------------------------------------------===//

LogicalResult moe::formProductKernel(KernelBuilder &kernels, rt::EinsumOp op) {
  rt::EinsumTerms terms(op.getEquation());
  char m = terms.result[0];
  unsigned first = terms.operands[0].contains(m) ? 0 : 1;
  Product product;
  product.a = op.getInputs()[first];
  product.b = op.getInputs()[1 - first];
  product.c = op.getOutputs()[0];
  product.kLastInA = terms.operands[first][0] == m;
  product.kLastInB = terms.operands[1 - first][0] == terms.result[1];
  ProductForming(kernels, op, product).form();
  return success();
}

LogicalResult moe::formProductKernel(KernelBuilder &kernels,
                                     rt::GroupedEinsumOp op) {
  rt::EinsumTerms terms(op.getEquation());
  Product product;
  product.c = op.getOutputs()[0];
  product.offsets = op.getInputs()[2];
  auto refuse = [&] {
    return op.emitError("the grouped product \"")
           << op.getEquation()
           << "\" has no kernel; help: give rows [n, k] and matrices [e, m, k] "
              "with one letter besides n and e summed";
  };
  auto isRows = [](StringRef term) {
    return term.size() == 2 && term[0] == 'n';
  };
  auto isMatrices = [](StringRef term) {
    return term.size() == 3 && term[0] == 'e';
  };
  if (isRows(terms.result)) {
    unsigned first = isRows(terms.operands[0]) ? 0 : 1;
    StringRef rows = terms.operands[first],
              matrices = terms.operands[1 - first];
    if (!isRows(rows) || !isMatrices(matrices) || !matrices.contains(rows[1]) ||
        !matrices.contains(terms.result[1]))
      return refuse();
    product.grouping = Product::Rows;
    product.a = op.getInputs()[first];
    product.b = op.getInputs()[1 - first];
    product.kLastInB = matrices[2] == rows[1];
  } else {
    if (!isMatrices(terms.result) || !isRows(terms.operands[0]) ||
        !isRows(terms.operands[1]))
      return refuse();
    unsigned first = terms.operands[0][1] == terms.result[1] ? 0 : 1;
    product.grouping = Product::Experts;
    product.a = op.getInputs()[first];
    product.b = op.getInputs()[1 - first];
    product.kLastInA = product.kLastInB = false;
  }
  ProductForming(kernels, op, product).form();
  return success();
}
