//===- TensorCoreProduct.cpp - Products of bf16 by the tensor cores -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block of four warps computes 128 x 128 elements, each warp 64 x 64, with
// mma.sync m16n8k16 and sums in f32. Slices of 64 along k come to shared memory
// by cp.async, two slices ahead of the one that is multiplied. A slice has the
// layout of the operand: 128 rows of 64 k, or 64 k of 128 rows; ldmatrix
// transposes the second. The 16-byte words of a row are permuted by the row
// number, so that the eight rows of an 8 x 8 matrix lie in different banks.
//
// Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16".
//
//===----------------------------------------------------------------------===//

#include "ProductKernels.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace moe;

static constexpr int64_t kTile = 128, kDepth = 64, kStages = 3;
static constexpr int64_t kThreads = 128, kWarpTile = 64;
/// Elements of a 16-byte word, and bytes of an operand's slice.
static constexpr int64_t kWord = 8, kSliceBytes = kTile * kDepth * 2;
static constexpr int64_t kStageBytes = 2 * kSliceBytes;
/// Words that each thread copies of a slice.
static constexpr int64_t kCopies = kTile * kDepth / kWord / kThreads;
/// Fragments of a warp: rows of 16, columns of 8, depths of 16.
static constexpr int64_t kRowTiles = kWarpTile / 16;
static constexpr int64_t kColumnTiles = kWarpTile / 8;
static constexpr int64_t kDepthTiles = kDepth / 16;

ProductShape moe::getTensorCoreShape() {
  return {kTile, kTile, kThreads, kStages * kStageBytes, "tensor_cores"};
}

bool moe::fitsTensorCores(const Product &product) {
  return llvm::all_of(
      ArrayRef{product.a, product.b, product.c}, [&](Value value) {
        MemRefType type = product.typeOf(value);
        int64_t last = type.getShape().back();
        bool typed = type.getElementType().isBF16() ||
                     (value == product.c && type.getElementType().isF32());
        return typed && type.getLayout().isIdentity() &&
               !ShapedType::isDynamic(last) && last % kWord == 0;
      });
}

namespace {

/// One operand's way to shared memory and from there to fragments.
struct Operand {
  bool kLast = true;
  /// Global address, rows of the tile and k, in elements.
  Value pointer, first, end, firstK, endK, pitch;
  /// Of this thread's first word: its place among the tile's rows and along k.
  Value row, depth;
  /// Byte offsets in a slice of the words this thread copies.
  SmallVector<Value> targets;
  /// Byte offset of the operand's slice in a stage.
  int64_t slice = 0;
};

class TensorCoreBody {
public:
  explicit TensorCoreBody(const ProductKernel &kernel)
      : kernel(kernel), product(kernel.product), tile(kernel.tile), k(kernel.k),
        loc(kernel.loc) {}
  void emit();

private:
  Value c32(int64_t value) {
    return arith::ConstantOp::create(k, loc, k.getI32IntegerAttr(value));
  }
  Value c64(int64_t value) {
    return arith::ConstantOp::create(k, loc, k.getI64IntegerAttr(value));
  }
  Value wide(Value number) {
    return arith::ExtSIOp::create(k, loc, k.getI64Type(), number);
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(k, loc, a, b); }
  Value sub(Value a, Value b) { return arith::SubIOp::create(k, loc, a, b); }
  Value mul(Value a, Value b) { return arith::MulIOp::create(k, loc, a, b); }
  Value div(Value a, int64_t b) {
    return arith::DivUIOp::create(k, loc, a, c32(b));
  }
  Value rem(Value a, int64_t b) {
    return arith::RemUIOp::create(k, loc, a, c32(b));
  }
  Value exclusiveOr(Value a, Value b) {
    return arith::XOrIOp::create(k, loc, a, b);
  }
  Value isBelow(Value a, Value b) {
    return arith::CmpIOp::create(k, loc, arith::CmpIPredicate::slt, a, b);
  }
  Value select(Value condition, Value a, Value b) {
    return arith::SelectOp::create(k, loc, condition, a, b);
  }

  Value globalPointer(Value memref, Value elements);
  Value sharedPointer(Value offset);
  Operand prepare(Value memref, bool kLast, Value first, Value end,
                  int64_t slice, Value expert);
  /// Starts the copy of slice `number` along k to the stage at byte `stage`.
  void copy(const Operand &operand, Value number, Value stage);
  /// Byte offsets that ldmatrix reads from, in the slice: one for each fragment
  /// pair along rows or columns and each 16 along k.
  SmallVector<SmallVector<Value>> fragmentOffsets(bool kLast, Value warpFirst,
                                                  bool isB);
  SmallVector<Value> loadFragments(Value address, bool transposed);
  SmallVector<Value> multiply(Value stage, ValueRange start);
  void store(ValueRange sums);

  const ProductKernel &kernel;
  const Product &product;
  const BlockTile &tile;
  OpBuilder &k;
  Location loc;
  Value shared, thread, lane, warpRow, warpColumn;
  Operand a, b;
  SmallVector<SmallVector<Value>> offsetsA, offsetsB;
};

} // namespace

/// The address of element `elements` of a dense buffer.
Value TensorCoreBody::globalPointer(Value memref, Value elements) {
  Value address =
      memref::ExtractAlignedPointerAsIndexOp::create(k, loc, memref);
  Value number = arith::IndexCastOp::create(k, loc, k.getI64Type(), address);
  int64_t bytes = product.elementOf(memref).getIntOrFloatBitWidth() / 8;
  number = add(number, mul(elements, c64(bytes)));
  return LLVM::IntToPtrOp::create(
      k, loc, LLVM::LLVMPointerType::get(k.getContext(), 1), number);
}

Value TensorCoreBody::sharedPointer(Value offset) {
  return LLVM::GEPOp::create(k, loc, shared.getType(), k.getI8Type(), shared,
                             ArrayRef<LLVM::GEPArg>{offset});
}

Operand TensorCoreBody::prepare(Value memref, bool kLast, Value first,
                                Value end, int64_t slice, Value expert) {
  Operand operand;
  operand.kLast = kLast;
  operand.first = first;
  operand.end = end;
  operand.firstK = tile.firstK;
  operand.endK = tile.endK;
  operand.slice = slice;
  auto type = cast<MemRefType>(memref.getType());
  operand.pitch = c64(type.getShape().back());
  Value start = c64(0);
  if (expert) {
    Value height = arith::IndexCastOp::create(
        k, loc, k.getI64Type(), memref::DimOp::create(k, loc, memref, 1));
    start = mul(expert, mul(height, operand.pitch));
  }
  operand.pointer = globalPointer(memref, start);
  // Neighbouring threads copy neighbouring words.
  int64_t words = (kLast ? kDepth : kTile) / kWord;
  Value word = rem(thread, words), line = div(thread, words);
  Value elements = mul(word, c32(kWord));
  operand.row = kLast ? line : elements;
  operand.depth = kLast ? elements : line;
  for (int64_t i = 0; i < kCopies; ++i) {
    Value ofLine = add(line, c32(i * kThreads / words));
    Value place = exclusiveOr(word, rem(ofLine, 8));
    operand.targets.push_back(
        add(mul(ofLine, c32(words * 16)), mul(place, c32(16))));
  }
  return operand;
}

void TensorCoreBody::copy(const Operand &operand, Value number, Value stage) {
  int64_t linesAtOnce = kThreads / ((operand.kLast ? kDepth : kTile) / kWord);
  Value depthStart = add(operand.firstK, mul(number, c64(kDepth)));
  for (int64_t i = 0; i < kCopies; ++i) {
    Value row = wide(operand.row), depth = wide(operand.depth);
    Value step = c64(i * linesAtOnce);
    (operand.kLast ? row : depth) = add(operand.kLast ? row : depth, step);
    row = add(operand.first, row);
    depth = add(depthStart, depth);
    Value inside = arith::AndIOp::create(k, loc, isBelow(row, operand.end),
                                         isBelow(depth, operand.endK));
    Value element = operand.kLast ? add(mul(row, operand.pitch), depth)
                                  : add(mul(depth, operand.pitch), row);
    // What lies outside is not read, and becomes zero.
    element = select(inside, element, c64(0));
    Value source =
        LLVM::GEPOp::create(k, loc, operand.pointer.getType(), k.getBF16Type(),
                            operand.pointer, ArrayRef<LLVM::GEPArg>{element});
    Value target =
        sharedPointer(add(stage, add(operand.targets[i], c32(operand.slice))));
    NVVM::CpAsyncOp::create(
        k, loc, target, source, k.getI32IntegerAttr(16),
        NVVM::LoadCacheModifierKindAttr::get(k.getContext(),
                                             NVVM::LoadCacheModifierKind::CG),
        select(inside, c32(16), c32(0)));
  }
}

SmallVector<SmallVector<Value>>
TensorCoreBody::fragmentOffsets(bool kLast, Value warpFirst, bool isB) {
  // Lane l gives the address of row l % 8 of 8 x 8 matrix l / 8. The four
  // matrices are two along rows and two along k; rows first for A, k first for
  // B.
  Value matrix = div(lane, 8), inMatrix = rem(lane, 8);
  Value low = rem(matrix, 2), high = div(matrix, 2);
  Value alongRows = isB ? high : low, alongDepth = isB ? low : high;
  SmallVector<SmallVector<Value>> offsets;
  for (int64_t pair = 0; pair < kWarpTile / 16; ++pair) {
    SmallVector<Value> &perDepth = offsets.emplace_back();
    Value block = add(warpFirst, c32(pair * 16));
    for (int64_t depth = 0; depth < kDepthTiles; ++depth) {
      if (kLast) {
        Value row = add(block, add(mul(alongRows, c32(8)), inMatrix));
        Value word = add(c32(depth * 2), alongDepth);
        perDepth.push_back(add(mul(row, c32(kDepth * 2)),
                               mul(exclusiveOr(word, inMatrix), c32(16))));
      } else {
        Value line =
            add(c32(depth * 16), add(mul(alongDepth, c32(8)), inMatrix));
        Value word = add(div(block, 8), alongRows);
        perDepth.push_back(add(mul(line, c32(kTile * 2)),
                               mul(exclusiveOr(word, inMatrix), c32(16))));
      }
    }
  }
  return offsets;
}

SmallVector<Value> TensorCoreBody::loadFragments(Value address,
                                                 bool transposed) {
  Type i32 = k.getI32Type();
  auto type =
      LLVM::LLVMStructType::getLiteral(k.getContext(), {i32, i32, i32, i32});
  auto layout = NVVM::MMALayoutAttr::get(
      k.getContext(), transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row);
  Value loaded = NVVM::LdMatrixOp::create(
      k, loc, type, sharedPointer(address), k.getI32IntegerAttr(4), layout,
      NVVM::LdStMatrixShapeAttr::get(k.getContext(), 8, 8),
      NVVM::LdStMatrixEltTypeAttr::get(k.getContext(),
                                       NVVM::LdStMatrixEltType::B16));
  SmallVector<Value> fragments;
  for (int64_t i = 0; i < 4; ++i)
    fragments.push_back(
        LLVM::ExtractValueOp::create(k, loc, loaded, ArrayRef<int64_t>{i}));
  return fragments;
}

SmallVector<Value> TensorCoreBody::multiply(Value stage, ValueRange start) {
  SmallVector<Value> sums(start);
  Type f32 = k.getF32Type();
  auto sumType =
      LLVM::LLVMStructType::getLiteral(k.getContext(), {f32, f32, f32, f32});
  Value stageB = add(stage, c32(kSliceBytes));
  for (int64_t depth = 0; depth < kDepthTiles; ++depth) {
    SmallVector<SmallVector<Value>> fragmentsA, fragmentsB;
    for (int64_t i = 0; i < kRowTiles; ++i)
      fragmentsA.push_back(
          loadFragments(add(stage, offsetsA[i][depth]), !product.kLastInA));
    for (int64_t j = 0; j < kColumnTiles / 2; ++j)
      fragmentsB.push_back(
          loadFragments(add(stageB, offsetsB[j][depth]), !product.kLastInB));
    for (int64_t i = 0; i < kRowTiles; ++i)
      for (int64_t j = 0; j < kColumnTiles; ++j) {
        int64_t at = (i * kColumnTiles + j) * 4;
        ArrayRef<Value> pair = fragmentsB[j / 2];
        Value result = NVVM::MmaOp::create(
            k, loc, sumType, ValueRange(fragmentsA[i]),
            ValueRange(pair.slice(j % 2 * 2, 2)), ValueRange(sums).slice(at, 4),
            ArrayRef<int64_t>{16, 8, 16}, std::nullopt, std::nullopt,
            std::array<NVVM::MMATypes, 2>{NVVM::MMATypes::bf16,
                                          NVVM::MMATypes::bf16},
            std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row,
                                           NVVM::MMALayout::col});
        for (int64_t e = 0; e < 4; ++e)
          sums[at + e] = LLVM::ExtractValueOp::create(k, loc, result,
                                                      ArrayRef<int64_t>{e});
      }
  }
  return sums;
}

void TensorCoreBody::store(ValueRange sums) {
  auto type = cast<MemRefType>(kernel.c.getType());
  Type element = type.getElementType();
  bool narrow = element.isBF16();
  Value pitch = c64(type.getShape().back());
  Value start = c64(0);
  if (product.grouping == Product::Experts) {
    Value height = arith::IndexCastOp::create(
        k, loc, k.getI64Type(), memref::DimOp::create(k, loc, kernel.c, 1));
    start = mul(tile.expert, mul(height, pitch));
  }
  Value pointer = globalPointer(kernel.c, start);
  Value row = add(tile.firstRow, wide(add(warpRow, div(lane, 4))));
  Value column =
      add(tile.firstColumn, wide(add(warpColumn, mul(rem(lane, 4), c32(2)))));
  auto pairType = VectorType::get({2}, element);
  for (int64_t i = 0; i < kRowTiles; ++i)
    for (int64_t half = 0; half < 2; ++half) {
      Value line = add(row, c64(i * 16 + half * 8));
      Value rowInside = isBelow(line, tile.endRow);
      Value lineStart = mul(line, pitch);
      for (int64_t j = 0; j < kColumnTiles; ++j) {
        Value place = add(column, c64(j * 8));
        Value inside = arith::AndIOp::create(k, loc, rowInside,
                                             isBelow(place, tile.numColumns));
        auto guarded = scf::IfOp::create(k, loc, inside, /*withElse=*/false);
        OpBuilder::InsertionGuard guard(k);
        k.setInsertionPointToStart(guarded.thenBlock());
        Value pair = LLVM::UndefOp::create(k, loc, pairType);
        for (int64_t e = 0; e < 2; ++e) {
          Value number = sums[(i * kColumnTiles + j) * 4 + half * 2 + e];
          if (narrow)
            number = arith::TruncFOp::create(k, loc, element, number);
          pair = LLVM::InsertElementOp::create(k, loc, pair, number, c32(e));
        }
        Value target =
            LLVM::GEPOp::create(k, loc, pointer.getType(), element, pointer,
                                ArrayRef<LLVM::GEPArg>{add(lineStart, place)});
        LLVM::StoreOp::create(k, loc, pair, target,
                              /*alignment=*/narrow ? 4 : 8);
      }
    }
}

void TensorCoreBody::emit() {
  auto module =
      k.getInsertionBlock()->getParentOp()->getParentOfType<gpu::GPUModuleOp>();
  constexpr llvm::StringLiteral name = "shared_memory";
  auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
  if (!global) {
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    global = LLVM::GlobalOp::create(
        top, module.getLoc(), LLVM::LLVMArrayType::get(k.getI8Type(), 0),
        /*isConstant=*/false, LLVM::Linkage::External, name, Attribute(),
        /*alignment=*/128, /*addrSpace=*/3);
  }
  shared = LLVM::AddressOfOp::create(k, loc, global);
  thread = arith::IndexCastOp::create(
      k, loc, k.getI32Type(),
      gpu::ThreadIdOp::create(k, loc, gpu::Dimension::x));
  lane = rem(thread, 32);
  Value warp = div(thread, 32);
  warpRow = mul(div(warp, 2), c32(kWarpTile));
  warpColumn = mul(rem(warp, 2), c32(kWarpTile));
  a = prepare(kernel.a, product.kLastInA, tile.firstRow, tile.endRow, 0,
              Value());
  b = prepare(kernel.b, product.kLastInB, tile.firstColumn, tile.numColumns,
              kSliceBytes,
              product.grouping == Product::Rows ? tile.expert : Value());
  offsetsA = fragmentOffsets(product.kLastInA, warpRow, /*isB=*/false);
  offsetsB = fragmentOffsets(product.kLastInB, warpColumn, /*isB=*/true);

  Value extent = sub(tile.endK, tile.firstK);
  Value numSlices =
      arith::DivUIOp::create(k, loc, add(extent, c64(kDepth - 1)), c64(kDepth));
  auto copySlice = [&](Value number, Value stage) {
    copy(a, number, stage);
    copy(b, number, stage);
    NVVM::CpAsyncCommitGroupOp::create(k, loc);
  };
  for (int64_t i = 0; i < kStages - 1; ++i)
    copySlice(c64(i), c32(i * kStageBytes));

  Value zero = arith::ConstantOp::create(k, loc, k.getF32FloatAttr(0));
  SmallVector<Value> state(kRowTiles * kColumnTiles * 4, zero);
  // Stages to read from and to write to, as byte offsets.
  state.push_back(c32(0));
  state.push_back(c32((kStages - 1) * kStageBytes));
  auto loop = scf::ForOp::create(k, loc, c64(0), numSlices, c64(1), state);
  {
    OpBuilder::InsertionGuard guard(k);
    k.setInsertionPointToStart(loop.getBody());
    ValueRange values = loop.getRegionIterArgs();
    Value readFrom = values[values.size() - 2], writeTo = values.back();
    // The slice that is read now is there, on every thread's side, and nobody
    // reads the one that is overwritten.
    NVVM::CpAsyncWaitGroupOp::create(k, loc, k.getI32IntegerAttr(kStages - 2));
    gpu::BarrierOp::create(k, loc);
    copySlice(add(loop.getInductionVar(), c64(kStages - 1)), writeTo);
    SmallVector<Value> next = multiply(readFrom, values.drop_back(2));
    auto advance = [&](Value stage) {
      Value moved = add(stage, c32(kStageBytes));
      return select(isBelow(moved, c32(kStages * kStageBytes)), moved, c32(0));
    };
    next.push_back(advance(readFrom));
    next.push_back(advance(writeTo));
    scf::YieldOp::create(k, loc, next);
  }
  // No copy may be under way when the block ends.
  NVVM::CpAsyncWaitGroupOp::create(k, loc, k.getI32IntegerAttr(0));
  store(loop.getResults().drop_back(2));
}

void moe::emitTensorCoreBody(const ProductKernel &kernel) {
  TensorCoreBody(kernel).emit();
}
