//===- RowKernels.cpp - Counts and the order of rows ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Written out, for they are no loops over elements. Results do not depend on
// the order in which threads run: atomics add integers only, and rows are
// ranked, not appended.
//
// A number that cannot be is reported through the rank's fault words: the
// kernel's number, from 1, and the expert number.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

/// A block counts 4096 entries in shared memory and adds its counts.
static constexpr llvm::StringLiteral kCountText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%experts: $EXPERTS, %counts: $COUNTS, %fault: !llvm.ptr)
      workgroup(%local: memref<$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>)
      kernel {
    %c0 = arith.constant 0 : index
    %c256 = arith.constant 256 : index
    %per_block = arith.constant 4096 : index
    %num_experts = arith.constant $NUM_EXPERTS : index
    %chosen = arith.constant $CHOSEN : index
    %i0 = arith.constant 0 : i32
    %i1 = arith.constant 1 : i32
    %b = gpu.block_id x
    %t = gpu.thread_id x
    scf.for %e = %t to %num_experts step %c256 {
      memref.store %i0, %local[%e]
          : memref<$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
    }
    gpu.barrier
    %tokens = memref.dim %experts, %c0 : $EXPERTS
    %entries = arith.muli %tokens, %chosen : index
    %first = arith.muli %b, %per_block : index
    %from = arith.addi %first, %t : index
    %to0 = arith.addi %first, %per_block : index
    %to = arith.minui %to0, %entries : index
    scf.for %i = %from to %to step %c256 {
      %row = arith.divui %i, %chosen : index
      %column = arith.remui %i, %chosen : index
      %e32 = memref.load %experts[%row, %column] : $EXPERTS
      %e = arith.index_cast %e32 : i32 to index
      %valid = arith.cmpi ult, %e, %num_experts : index
      scf.if %valid {
        %old = memref.atomic_rmw addi %i1, %local[%e]
            : (i32, memref<$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>) -> i32
      } else {
        %self = arith.constant $SELF : i32
        %where = llvm.getelementptr %fault[1] : (!llvm.ptr) -> !llvm.ptr, i32
        llvm.store %e32, %where : i32, !llvm.ptr
        llvm.store %self, %fault : i32, !llvm.ptr
      }
    }
    gpu.barrier
    scf.for %e = %t to %num_experts step %c256 {
      %n = memref.load %local[%e]
          : memref<$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
      %old = memref.atomic_rmw addi %n, %counts[%e] : (i32, $COUNTS) -> i32
    }
    gpu.return
  }
}
)mlir";

static Value getFault(KernelBuilder &kernels, OpBuilder &b,
                      gpu::GPUFuncOp kernel) {
  return kernels.getFault(b, kernel, "there is no expert {}",
                          "look at the expert numbers that the layer is given");
}

LogicalResult moe::formCountKernel(KernelBuilder &kernels, rt::CountRowsOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  SizeBuilder sizes(b, loc);
  Value experts = op.getInputs()[0], counts = op.getOutputs()[0];
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  auto fill = linalg::FillOp::create(b, loc, zero, counts);
  if (failed(formLoopKernel(kernels, fill)))
    return failure();
  auto type = cast<MemRefType>(experts.getType());
  gpu::GPUFuncOp kernel = kernels.parse(
      loc, "count", kCountText,
      {{"EXPERTS", printType(type)},
       {"COUNTS", printType(counts.getType())},
       {"NUM_EXPERTS",
        std::to_string(cast<MemRefType>(counts.getType()).getDimSize(0))},
       {"CHOSEN", std::to_string(type.getDimSize(1))},
       {"SELF", std::to_string(kernels.getNumKernels() + 1)}});
  LaunchShape shape =
      getLineShape(sizes, sizes.ceilDiv(sizes.elements(experts), 4096), 256,
                   {experts, counts});
  kernels.launch(b, loc, kernel, shape,
                 {experts, counts, getFault(kernels, b, kernel)});
  op->erase();
  return success();
}

//===----------------------------------------------------------------------===//
// Order of rows
//===----------------------------------------------------------------------===//

// A counting sort in three kernels. The entries are cut into chunks of 256, a
// warp each. The first counts the entries of each expert in each chunk; the
// second makes of counts[expert, chunk] where the first such entry goes; the
// third ranks the entries of a chunk.

/// 4 warps; %counts is [E, chunks].
static constexpr llvm::StringLiteral kCountChunksText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%experts: $EXPERTS, %counts: $COUNTS, %fault: !llvm.ptr)
      workgroup(%local: memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>)
      kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %c32 = arith.constant 32 : index
    %c256 = arith.constant 256 : index
    %num_experts = arith.constant $NUM_EXPERTS : index
    %chosen = arith.constant $CHOSEN : index
    %i0 = arith.constant 0 : i32
    %i1 = arith.constant 1 : i32
    %b = gpu.block_id x
    %t = gpu.thread_id x
    %lane = arith.remui %t, %c32 : index
    %warp = arith.divui %t, %c32 : index
    %chunk0 = arith.muli %b, %c4 : index
    %chunk = arith.addi %chunk0, %warp : index
    %chunks = memref.dim %counts, %c1 : $COUNTS
    scf.for %e = %lane to %num_experts step %c32 {
      memref.store %i0, %local[%warp, %e]
          : memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
    }
    gpu.barrier
    %tokens = memref.dim %experts, %c0 : $EXPERTS
    %entries = arith.muli %tokens, %chosen : index
    %first = arith.muli %chunk, %c256 : index
    %from = arith.addi %first, %lane : index
    %to0 = arith.addi %first, %c256 : index
    %to = arith.minui %to0, %entries : index
    scf.for %i = %from to %to step %c32 {
      %row = arith.divui %i, %chosen : index
      %column = arith.remui %i, %chosen : index
      %e32 = memref.load %experts[%row, %column] : $EXPERTS
      %e = arith.index_cast %e32 : i32 to index
      %valid = arith.cmpi ult, %e, %num_experts : index
      scf.if %valid {
        %old = memref.atomic_rmw addi %i1, %local[%warp, %e]
            : (i32, memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>) -> i32
      } else {
        %self = arith.constant $SELF : i32
        %where = llvm.getelementptr %fault[1] : (!llvm.ptr) -> !llvm.ptr, i32
        llvm.store %e32, %where : i32, !llvm.ptr
        llvm.store %self, %fault : i32, !llvm.ptr
      }
    }
    gpu.barrier
    %real = arith.cmpi ult, %chunk, %chunks : index
    scf.if %real {
      scf.for %e = %lane to %num_experts step %c32 {
        %n = memref.load %local[%warp, %e]
            : memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
        memref.store %n, %counts[%e, %chunk] : $COUNTS
      }
    }
    gpu.return
  }
}
)mlir";

/// One block of 1024: sums of what comes before, in place.
static constexpr llvm::StringLiteral kPrefixText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%counts: $COUNTS)
      workgroup(%sums: memref<1024xi32, #gpu.address_space<workgroup>>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %i0 = arith.constant 0 : i32
    %t = gpu.thread_id x
    %chunks = memref.dim %counts, %c1 : $COUNTS
    %num_experts = memref.dim %counts, %c0 : $COUNTS
    %n = arith.muli %num_experts, %chunks : index
    %share = arith.ceildivui %n, %c1024 : index
    %from0 = arith.muli %t, %share : index
    %from = arith.minui %from0, %n : index
    %to0 = arith.addi %from, %share : index
    %to = arith.minui %to0, %n : index
    %sum = scf.for %i = %from to %to step %c1 iter_args(%s = %i0) -> (i32) {
      %e = arith.divui %i, %chunks : index
      %c = arith.remui %i, %chunks : index
      %x = memref.load %counts[%e, %c] : $COUNTS
      %next = arith.addi %s, %x : i32
      scf.yield %next : i32
    }
    memref.store %sum, %sums[%t] : memref<1024xi32, #gpu.address_space<workgroup>>
    gpu.barrier
    %last:2 = scf.while (%d = %c1, %mine = %sum) : (index, i32) -> (index, i32) {
      %more = arith.cmpi ult, %d, %c1024 : index
      scf.condition(%more) %d, %mine : index, i32
    } do {
    ^bb0(%d: index, %mine: i32):
      %has = arith.cmpi uge, %t, %d : index
      %from_left = arith.subi %t, %d : index
      %at = arith.select %has, %from_left, %c0 : index
      %left0 = memref.load %sums[%at] : memref<1024xi32, #gpu.address_space<workgroup>>
      %left = arith.select %has, %left0, %i0 : i32
      %joined = arith.addi %mine, %left : i32
      gpu.barrier
      memref.store %joined, %sums[%t] : memref<1024xi32, #gpu.address_space<workgroup>>
      gpu.barrier
      %twice = arith.addi %d, %d : index
      scf.yield %twice, %joined : index, i32
    }
    %before = arith.subi %last#1, %sum : i32
    %end = scf.for %i = %from to %to step %c1 iter_args(%s = %before) -> (i32) {
      %e = arith.divui %i, %chunks : index
      %c = arith.remui %i, %chunks : index
      %x = memref.load %counts[%e, %c] : $COUNTS
      memref.store %s, %counts[%e, %c] : $COUNTS
      %next = arith.addi %s, %x : i32
      scf.yield %next : i32
    }
    gpu.return
  }
}
)mlir";

/// 4 warps; an entry's rank among its 32 neighbours is counted by each lane.
static constexpr llvm::StringLiteral kRankText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%experts: $EXPERTS, %counts: $COUNTS, %order: $ORDER,
                   %rows: $ROWS)
      workgroup(%next: memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>)
      kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %c32 = arith.constant 32 : index
    %c256 = arith.constant 256 : index
    %num_experts = arith.constant $NUM_EXPERTS : index
    %chosen = arith.constant $CHOSEN : index
    %i0 = arith.constant 0 : i32
    %i1 = arith.constant 1 : i32
    %i32 = arith.constant 32 : i32
    %minus_one = arith.constant -1 : i32
    %b = gpu.block_id x
    %t = gpu.thread_id x
    %lane = arith.remui %t, %c32 : index
    %lane32 = arith.index_cast %lane : index to i32
    %warp = arith.divui %t, %c32 : index
    %chunk0 = arith.muli %b, %c4 : index
    %chunk = arith.addi %chunk0, %warp : index
    %chunks = memref.dim %counts, %c1 : $COUNTS
    %real = arith.cmpi ult, %chunk, %chunks : index
    scf.if %real {
      scf.for %e = %lane to %num_experts step %c32 {
        %n = memref.load %counts[%e, %chunk] : $COUNTS
        memref.store %n, %next[%warp, %e]
            : memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
      }
    }
    gpu.barrier
    %tokens = memref.dim %experts, %c0 : $EXPERTS
    %entries = arith.muli %tokens, %chosen : index
    %first = arith.muli %chunk, %c256 : index
    scf.for %step = %c0 to %c256 step %c32 {
      %i0_ = arith.addi %first, %step : index
      %i = arith.addi %i0_, %lane : index
      %inside = arith.cmpi ult, %i, %entries : index
      %e32 = scf.if %inside -> (i32) {
        %row = arith.divui %i, %chosen : index
        %column = arith.remui %i, %chosen : index
        %x = memref.load %experts[%row, %column] : $EXPERTS
        %x_index = arith.index_cast %x : i32 to index
        %valid = arith.cmpi ult, %x_index, %num_experts : index
        %y = arith.select %valid, %x, %minus_one : i32
        scf.yield %y : i32
      } else {
        scf.yield %minus_one : i32
      }
      %rank:2 = scf.for %j = %i0 to %i32 step %i1
          iter_args(%before = %i0, %all = %i0) -> (i32, i32) : i32 {
        %other, %v = gpu.shuffle idx %e32, %j, %i32 : i32
        %same = arith.cmpi eq, %other, %e32 : i32
        %earlier = arith.cmpi ult, %j, %lane32 : i32
        %both = arith.andi %same, %earlier : i1
        %one_before = arith.extui %both : i1 to i32
        %one = arith.extui %same : i1 to i32
        %before_next = arith.addi %before, %one_before : i32
        %all_next = arith.addi %all, %one : i32
        scf.yield %before_next, %all_next : i32, i32
      }
      %known = arith.cmpi sge, %e32, %i0 : i32
      %e_or = arith.select %known, %e32, %i0 : i32
      %e = arith.index_cast %e_or : i32 to index
      %start = memref.load %next[%warp, %e]
          : memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
      gpu.barrier
      scf.if %known {
        %place32 = arith.addi %start, %rank#0 : i32
        %place = arith.index_cast %place32 : i32 to index
        %entry = arith.index_cast %i : index to i64
        %place64 = arith.extui %place32 : i32 to i64
        memref.store %entry, %order[%place] : $ORDER
        memref.store %place64, %rows[%i] : $ROWS
        %is_first = arith.cmpi eq, %rank#0, %i0 : i32
        scf.if %is_first {
          %end = arith.addi %start, %rank#1 : i32
          memref.store %end, %next[%warp, %e]
              : memref<4x$NUM_EXPERTSxi32, #gpu.address_space<workgroup>>
        }
      }
      gpu.barrier
    }
    gpu.return
  }
}
)mlir";

LogicalResult moe::formSortKernels(KernelBuilder &kernels, rt::SortRowsOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  SizeBuilder sizes(b, loc);
  Value experts = op.getInputs()[0];
  Value order = op.getOutputs()[0], rows = op.getOutputs()[1];
  auto type = cast<MemRefType>(experts.getType());
  OpFoldResult chunks = sizes.ceilDiv(sizes.elements(experts), 256);
  std::optional<int64_t> known = getConstantIntValue(chunks);
  int64_t numExperts = op.getNumExperts();
  SmallVector<Value> dynamic;
  if (!known)
    dynamic.push_back(sizes.toValue(chunks));
  Value counts = memref::AllocOp::create(
      b, loc,
      MemRefType::get({numExperts, known.value_or(ShapedType::kDynamic)},
                      b.getI32Type()),
      dynamic);
  auto parse = [&](StringRef stem, StringRef text) {
    return kernels.parse(
        loc, stem, text,
        {{"EXPERTS", printType(type)},
         {"COUNTS", printType(counts.getType())},
         {"ORDER", printType(order.getType())},
         {"ROWS", printType(rows.getType())},
         {"NUM_EXPERTS", std::to_string(numExperts)},
         {"CHOSEN", std::to_string(type.getDimSize(1))},
         {"SELF", std::to_string(kernels.getNumKernels() + 1)}});
  };
  OpFoldResult blocks = sizes.ceilDiv(chunks, 4);
  gpu::GPUFuncOp countChunks = parse("count_chunks", kCountChunksText);
  kernels.launch(b, loc, countChunks,
                 getLineShape(sizes, blocks, 128, {experts, counts}),
                 {experts, counts, getFault(kernels, b, countChunks)});
  kernels.launch(b, loc, parse("prefix", kPrefixText),
                 getLineShape(sizes, sizes.constant(1), 1024, {counts, counts}),
                 {counts});
  kernels.launch(
      b, loc, parse("rank", kRankText),
      getLineShape(sizes, blocks, 128, {experts, counts, order, rows}),
      {experts, counts, order, rows});
  op->erase();
  return success();
}

//===----------------------------------------------------------------------===//
// Exchange
//===----------------------------------------------------------------------===//

/// A block for each expert and rank: rows are ordered by (expert, rank) and
/// arrive by (rank, expert).
static constexpr llvm::StringLiteral kExchangeText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%counts: $COUNTS, %arrival: $ARRIVAL,
                   %departure: $DEPARTURE, %first: index, %experts: index)
      kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c256 = arith.constant 256 : index
    %ranks = memref.dim %counts, %c0 : $COUNTS
    %b = gpu.block_id x
    %t = gpu.thread_id x
    %my_expert = arith.divui %b, %ranks : index
    %my_rank = arith.remui %b, %ranks : index
    %z = arith.constant 0 : i32
    %sums:3 = scf.for %e = %c0 to %experts step %c1
        iter_args(%row = %z, %arrives = %z, %mine = %z) -> (i32, i32, i32) {
      %next:3 = scf.for %r = %c0 to %ranks step %c1
          iter_args(%row1 = %row, %arrives1 = %arrives, %mine1 = %mine)
          -> (i32, i32, i32) {
        %global = arith.addi %first, %e : index
        %n = memref.load %counts[%r, %global] : $COUNTS
        %same_e = arith.cmpi eq, %e, %my_expert : index
        %same_r = arith.cmpi eq, %r, %my_rank : index
        %lower_e = arith.cmpi ult, %e, %my_expert : index
        %lower_r = arith.cmpi ult, %r, %my_rank : index
        %e_then_r = arith.andi %same_e, %lower_r : i1
        %row_before = arith.ori %lower_e, %e_then_r : i1
        %r_then_e = arith.andi %same_r, %lower_e : i1
        %arrives_before = arith.ori %lower_r, %r_then_e : i1
        %is_mine = arith.andi %same_e, %same_r : i1
        %n_row = arith.select %row_before, %n, %z : i32
        %n_arrives = arith.select %arrives_before, %n, %z : i32
        %n_mine = arith.select %is_mine, %n, %z : i32
        %row2 = arith.addi %row1, %n_row : i32
        %arrives2 = arith.addi %arrives1, %n_arrives : i32
        %mine2 = arith.addi %mine1, %n_mine : i32
        scf.yield %row2, %arrives2, %mine2 : i32, i32, i32
      }
      scf.yield %next#0, %next#1, %next#2 : i32, i32, i32
    }
    %row = arith.index_cast %sums#0 : i32 to index
    %arrives = arith.index_cast %sums#1 : i32 to index
    %count = arith.index_cast %sums#2 : i32 to index
    scf.for %i = %t to %count step %c256 {
      %r = arith.addi %row, %i : index
      %a = arith.addi %arrives, %i : index
      %r64 = arith.index_cast %r : index to i64
      %a64 = arith.index_cast %a : index to i64
      memref.store %a64, %arrival[%r] : $ARRIVAL
      memref.store %r64, %departure[%a] : $DEPARTURE
    }
    gpu.return
  }
}
)mlir";

LogicalResult moe::formExchangeKernel(KernelBuilder &kernels,
                                      rt::PlanExchangeOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  SizeBuilder sizes(b, loc);
  Value counts = op.getInputs()[0];
  Value arrival = op.getOutputs()[2], departure = op.getOutputs()[3];
  auto type = cast<MemRefType>(counts.getType());
  int64_t ranks = type.getDimSize(0), numExperts = type.getDimSize(1);
  // This rank's experts, as torch.chunk cuts.
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value self = rt::AxisIndexOp::create(b, loc, b.getIndexType(), kernels.rank,
                                       op.getAxisAttr());
  Value most = index((numExperts + ranks - 1) / ranks), all = index(numExperts);
  Value first = arith::MinUIOp::create(
      b, loc, arith::MulIOp::create(b, loc, self, most), all);
  Value experts = arith::MinUIOp::create(
      b, loc, most, arith::SubIOp::create(b, loc, all, first));
  gpu::GPUFuncOp kernel =
      kernels.parse(loc, "exchange", kExchangeText,
                    {{"COUNTS", printType(type)},
                     {"ARRIVAL", printType(arrival.getType())},
                     {"DEPARTURE", printType(departure.getType())}});
  kernels.launch(b, loc, kernel,
                 getLineShape(sizes, sizes.mul(experts, sizes.constant(ranks)),
                              256, {counts, arrival, departure}),
                 {counts, arrival, departure, first, experts});
  return success();
}
