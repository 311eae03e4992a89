//===- TopKKernel.cpp - The choice of experts -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Written out, for it is no loop over elements. A token whose scores are not
// numbers is reported through the rank's fault words: the kernel's number, from
// 1, and the token.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"

using namespace mlir;
using namespace moe;

/// A warp per token. Pass after pass it finds the best expert that comes after
/// the one found before, by score and then number, in f64 as the reference.
static constexpr llvm::StringLiteral kTopKText = R"mlir(
gpu.module @text {
  gpu.func @kernel(%scores: $SCORES, $BIAS_ARGUMENT %experts: $EXPERTS,
                   %fault: !llvm.ptr) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    %warps = arith.constant 8 : index
    %num_experts = arith.constant $NUM_EXPERTS : index
    %chosen = arith.constant $CHOSEN : index
    %groups = arith.constant $GROUPS : i32
    %limited = arith.constant $LIMITED : i32
    %group_size = arith.constant $GROUP_SIZE : index
    %passes = arith.ceildivui %num_experts, %c32 : index
    %none = arith.constant $NUM_EXPERTS : i32
    %minus_one = arith.constant -1 : i32
    %i0 = arith.constant 0 : i32
    %i1 = arith.constant 1 : i32
    %i32_lanes = arith.constant 32 : i32
    %true = arith.constant true
    %infinity = arith.constant 0x7FF0000000000000 : f64
    %least = arith.constant 0xFFF0000000000000 : f64
    %zero = arith.constant 0.0 : f64
    %b = gpu.block_id x
    %t = gpu.thread_id x
    %lane = arith.remui %t, %c32 : index
    %lane32 = arith.index_cast %lane : index to i32
    %warp = arith.divui %t, %c32 : index
    %first = arith.muli %b, %warps : index
    %token = arith.addi %first, %warp : index
    %tokens = memref.dim %scores, %c0 : $SCORES
    %exists = arith.cmpi ult, %token, %tokens : index
    scf.if %exists {
      // Lane g knows whether group g may be chosen from.
      %in_group = arith.cmpi ult, %lane32, %groups : i32
      %start = arith.muli %lane, %group_size : index
      %two:2 = scf.for %i = %c0 to %group_size step %c1
          iter_args(%m1 = %least, %m2 = %least) -> (f64, f64) {
        %e0 = arith.addi %start, %i : index
        %e = arith.select %in_group, %e0, %c0 : index
        %n = memref.load %scores[%token, %e] : $SCORES
        %s0 = $WIDEN
        $ADD_BIAS
        %gt1 = arith.cmpf ogt, %s, %m1 : f64
        %gt2 = arith.cmpf ogt, %s, %m2 : f64
        %n1 = arith.select %gt1, %s, %m1 : f64
        %n2_0 = arith.select %gt2, %s, %m2 : f64
        %n2 = arith.select %gt1, %m1, %n2_0 : f64
        scf.yield %n1, %n2 : f64, f64
      }
      %single = arith.cmpi eq, %group_size, %c1 : index
      %second = arith.select %single, %zero, %two#1 : f64
      %group_score = arith.addf %two#0, %second : f64
      %better_groups = scf.for %g = %i0 to %groups step %i1
          iter_args(%n = %i0) -> (i32) : i32 {
        %other, %v = gpu.shuffle idx %group_score, %g, %i32_lanes : f64
        %gt = arith.cmpf ogt, %other, %group_score : f64
        %eq = arith.cmpf oeq, %other, %group_score : f64
        %lower = arith.cmpi ult, %g, %lane32 : i32
        %tie = arith.andi %eq, %lower : i1
        %better = arith.ori %gt, %tie : i1
        %one = arith.extui %better : i1 to i32
        %next = arith.addi %n, %one : i32
        scf.yield %next : i32
      }
      %may = arith.cmpi ult, %better_groups, %limited : i32
      %may32 = arith.extui %may : i1 to i32

      %done:2 = scf.for %k = %c0 to %chosen step %c1
          iter_args(%last = %infinity, %last_e = %minus_one) -> (f64, i32) {
        %mine:2 = scf.for %i = %c0 to %passes step %c1
            iter_args(%best = %least, %best_e = %none) -> (f64, i32) {
          %skip = arith.muli %i, %c32 : index
          %e0 = arith.addi %skip, %lane : index
          %inside = arith.cmpi ult, %e0, %num_experts : index
          %e = arith.select %inside, %e0, %c0 : index
          %e32 = arith.index_cast %e : index to i32
          %group = arith.divui %e, %group_size : index
          %group32 = arith.index_cast %group : index to i32
          %allowed32, %v = gpu.shuffle idx %may32, %group32, %i32_lanes : i32
          %allowed = arith.cmpi ne, %allowed32, %i0 : i32
          %n = memref.load %scores[%token, %e] : $SCORES
          %s0 = $WIDEN
          $ADD_BIAS
          %lt = arith.cmpf olt, %s, %last : f64
          %eq = arith.cmpf oeq, %s, %last : f64
          %later = arith.cmpi sgt, %e32, %last_e : i32
          %tie = arith.andi %eq, %later : i1
          %after = arith.ori %lt, %tie : i1
          %open0 = arith.andi %inside, %allowed : i1
          %open = arith.andi %open0, %after : i1
          %gt = arith.cmpf ogt, %s, %best : f64
          %empty = arith.cmpi eq, %best_e, %none : i32
          %better = arith.ori %gt, %empty : i1
          %take = arith.andi %open, %better : i1
          %best_next = arith.select %take, %s, %best : f64
          %e_next = arith.select %take, %e32, %best_e : i32
          scf.yield %best_next, %e_next : f64, i32
        }
        %i16 = arith.constant 16 : i32
        %winner:3 = scf.while (%best = %mine#0, %best_e = %mine#1, %d = %i16)
            : (f64, i32, i32) -> (f64, i32, i32) {
          %more = arith.cmpi ugt, %d, %i0 : i32
          scf.condition(%more) %best, %best_e, %d : f64, i32, i32
        } do {
        ^bb0(%best: f64, %best_e: i32, %d: i32):
          %other, %v0 = gpu.shuffle xor %best, %d, %i32_lanes : f64
          %other_e, %v1 = gpu.shuffle xor %best_e, %d, %i32_lanes : i32
          %real = arith.cmpi ult, %other_e, %none : i32
          %empty = arith.cmpi eq, %best_e, %none : i32
          %gt = arith.cmpf ogt, %other, %best : f64
          %eq = arith.cmpf oeq, %other, %best : f64
          %lower = arith.cmpi ult, %other_e, %best_e : i32
          %tie = arith.andi %eq, %lower : i1
          %better0 = arith.ori %gt, %tie : i1
          %better1 = arith.ori %better0, %empty : i1
          %take = arith.andi %real, %better1 : i1
          %best_next = arith.select %take, %other, %best : f64
          %e_next = arith.select %take, %other_e, %best_e : i32
          %half = arith.shrui %d, %i1 : i32
          scf.yield %best_next, %e_next, %half : f64, i32, i32
        }
        %is_first = arith.cmpi eq, %lane, %c0 : index
        scf.if %is_first {
          memref.store %winner#1, %experts[%token, %k] : $EXPERTS
          %missing = arith.cmpi eq, %winner#1, %none : i32
          scf.if %missing {
            // Comparisons with a NaN find nobody.
            memref.store %i0, %experts[%token, %k] : $EXPERTS
            %self = arith.constant $SELF : i32
            %token32 = arith.index_cast %token : index to i32
            %where = llvm.getelementptr %fault[1] : (!llvm.ptr) -> !llvm.ptr, i32
            llvm.store %token32, %where : i32, !llvm.ptr
            llvm.store %self, %fault : i32, !llvm.ptr
          }
        }
        scf.yield %winner#0, %winner#1 : f64, i32
      }
    }
    gpu.return
  }
}
)mlir";

LogicalResult moe::formTopKKernel(KernelBuilder &kernels, rt::TopKOp op) {
  Value scores = op.getInputs()[0], experts = op.getOutputs()[0];
  Value bias = op.getInputs().size() > 1 ? op.getInputs()[1] : Value();
  auto type = cast<MemRefType>(scores.getType());
  int64_t numExperts = type.getDimSize(1);
  int64_t groups = op.getGroups();
  if (groups > 32)
    return op.emitError("top-k over ")
           << groups
           << " groups has no kernel; help: a device takes 32 at most";
  auto widen = [](StringRef value, Type element) {
    std::string from = printType(element);
    return element.isF64()
               ? ("arith.bitcast " + value + " : f64 to f64").str()
               : ("arith.extf " + value + " : " + from + " to f64").str();
  };
  OpBuilder b(op);
  Location loc = op.getLoc();
  SizeBuilder sizes(b, loc);
  std::string biasType = bias ? printType(bias.getType()) : "";
  std::string addBias = "%s = arith.addf %s0, %zero : f64";
  if (bias)
    addBias = "%bn = memref.load %bias[%e] : " + biasType + "\n%bw = " +
              widen("%bn", cast<MemRefType>(bias.getType()).getElementType()) +
              "\n%s = arith.addf %s0, %bw : f64";
  gpu::GPUFuncOp kernel = kernels.parse(
      loc, "top_k", kTopKText,
      {{"SCORES", printType(type)},
       {"BIAS_ARGUMENT", bias ? "%bias: " + biasType + "," : ""},
       {"EXPERTS", printType(experts.getType())},
       {"NUM_EXPERTS", std::to_string(numExperts)},
       {"CHOSEN",
        std::to_string(cast<MemRefType>(experts.getType()).getDimSize(1))},
       {"GROUPS", std::to_string(groups)},
       {"LIMITED", std::to_string(op.getLimitedGroups())},
       {"GROUP_SIZE", std::to_string(numExperts / groups)},
       {"WIDEN", widen("%n", type.getElementType())},
       {"ADD_BIAS", addBias},
       {"SELF", std::to_string(kernels.getNumKernels() + 1)}});
  SmallVector<Value> arguments{scores};
  if (bias)
    arguments.push_back(bias);
  arguments.push_back(experts);
  LaunchShape shape = getLineShape(
      sizes, sizes.ceilDiv(sizes.dim(scores, 0), 8), 256, arguments);
  arguments.push_back(kernels.getFault(
      b, kernel,
      "the scores of this rank's token {} have no order: not all are "
      "finite numbers",
      "look for what is infinite or not a number in the arguments that scores "
      "come from: the tokens, the gate's weight, the bias"));
  kernels.launch(b, loc, kernel, shape, arguments);
  op->erase();
  return success();
}
