//===- RuntimeToLLVM.cpp - Calls of moert.h -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Memrefs become pointers before the conversion of memrefs itself: what the
// runtime takes is dense, so a pointer and sizes say all.
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/SymbolTable.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Target/ProgramDescription.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

namespace moe {
#define GEN_PASS_DEF_RUNTIMETOLLVM
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

/// moert_dtype of moert.h.
static int32_t dtypeOf(Type type) {
  if (type.isF32())
    return 0;
  if (type.isF64())
    return 1;
  if (type.isBF16())
    return 2;
  return type.isInteger(32) ? 3 : 4;
}

namespace {

class CallBuilder {
public:
  CallBuilder(ModuleOp module, Operation *op)
      : module(module), b(op), loc(op->getLoc()) {}

  Value i32(int64_t value) {
    return LLVM::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  }
  Value i64(int64_t value) {
    return LLVM::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value pointer(Value memref) {
    Value address =
        memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref);
    return LLVM::IntToPtrOp::create(b, loc, pointerType(), toI64(address));
  }
  Value toI64(Value index) {
    return arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
  }
  Value dim(Value memref, int64_t dim) {
    return toI64(memref::DimOp::create(b, loc, memref, dim));
  }
  /// Product of the sizes of dimensions [from, to).
  Value product(Value memref, int64_t from, int64_t to) {
    Value result = i64(1);
    for (int64_t i = from; i < to; ++i)
      result = arith::MulIOp::create(b, loc, result, dim(memref, i));
    return result;
  }
  int64_t rankOf(Value memref) {
    return cast<MemRefType>(memref.getType()).getRank();
  }
  Value dtype(Value memref) {
    return i32(dtypeOf(cast<MemRefType>(memref.getType()).getElementType()));
  }
  /// A string that ends in 0, once in the module.
  Value text(StringRef value) {
    std::string name =
        "moert_text_" + llvm::utohexstr(llvm::xxh3_64bits(value));
    OpBuilder top(module.getBodyRegion());
    auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
    if (!global)
      global = LLVM::GlobalOp::create(
          top, module.getLoc(),
          LLVM::LLVMArrayType::get(top.getI8Type(), value.size() + 1),
          /*isConstant=*/true, LLVM::Linkage::Internal, name,
          top.getStringAttr(value.str() + '\0'));
    return LLVM::AddressOfOp::create(b, loc, global);
  }
  /// The operation's place in the file, as a string.
  Value place() { return text(spmd::getPlace(loc)); }
  Type pointerType() { return LLVM::LLVMPointerType::get(b.getContext()); }

  Value call(StringRef name, ArrayRef<Value> operands, Type result = {}) {
    auto function = module.lookupSymbol<func::FuncOp>(name);
    if (!function) {
      OpBuilder top(module.getBodyRegion());
      SmallVector<Type> results;
      if (result)
        results.push_back(result);
      function = func::FuncOp::create(
          top, module.getLoc(), name,
          top.getFunctionType(ValueRange(operands).getTypes(), results));
      function.setPrivate();
    }
    auto call = func::CallOp::create(b, loc, function, operands);
    return result ? call.getResult(0) : Value();
  }

  ModuleOp module;
  OpBuilder b;
  Location loc;
};

/// The kernels of the module that launches name, by number.
SmallVector<gpu::GPUFuncOp> getKernels(ModuleOp module) {
  SmallVector<gpu::GPUFuncOp> kernels;
  for (auto device : module.getOps<gpu::GPUModuleOp>())
    llvm::append_range(kernels, device.getOps<gpu::GPUFuncOp>());
  return kernels;
}

struct RuntimeToLLVMPass : ::moe::impl::RuntimeToLLVMBase<RuntimeToLLVMPass> {
  using RuntimeToLLVMBase::RuntimeToLLVMBase;
  void runOnOperation() override;

private:
  void lower(Operation *op);
  void lowerLaunch(rt::LaunchOp op);
  void emitMain(func::FuncOp function);
  void emitDescription(StringRef text);
};

} // namespace

/// A memref of `type` over dense memory at `pointer`.
static Value makeMemRef(CallBuilder &c, LLVMTypeConverter &converter,
                        MemRefType type, Value pointer, ArrayRef<Value> sizes) {
  OpBuilder &b = c.b;
  Location loc = c.loc;
  Value descriptor = LLVM::UndefOp::create(b, loc, converter.convertType(type));
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    descriptor =
        LLVM::InsertValueOp::create(b, loc, descriptor, value, position);
  };
  insert(pointer, 0);
  insert(pointer, 1);
  insert(c.i64(0), 2);
  Value stride = c.i64(1);
  for (int64_t i = sizes.size(); i-- > 0;) {
    insert(sizes[i], {3, i});
    insert(stride, {4, i});
    stride = arith::MulIOp::create(b, loc, stride, sizes[i]);
  }
  return UnrealizedConversionCastOp::create(b, loc, type, descriptor)
      .getResult(0);
}

/// A launch passes pointers to its kernel's parameters: of a memref those that
/// MLIR's default descriptor has, element by element.
void RuntimeToLLVMPass::lowerLaunch(rt::LaunchOp op) {
  CallBuilder c(getOperation(), op);
  SmallVector<Value> parameters;
  for (Value argument : op.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (!type) {
      parameters.push_back(
          isa<IndexType>(argument.getType()) ? c.toI64(argument) : argument);
      continue;
    }
    auto metadata =
        memref::ExtractStridedMetadataOp::create(c.b, c.loc, argument);
    Value pointer = c.pointer(argument);
    parameters.append({pointer, pointer, c.toI64(metadata.getOffset())});
    for (Value size : metadata.getSizes())
      parameters.push_back(c.toI64(size));
    for (Value stride : metadata.getStrides())
      parameters.push_back(c.toI64(stride));
  }
  Type pointer = c.pointerType();
  auto reserve = [&](Type type, int64_t count) -> Value {
    return LLVM::AllocaOp::create(c.b, c.loc, pointer, type, c.i64(count));
  };
  Value list = reserve(pointer, parameters.size());
  for (auto [i, parameter] : llvm::enumerate(parameters)) {
    Value slot = reserve(parameter.getType(), 1);
    LLVM::StoreOp::create(c.b, c.loc, parameter, slot);
    Value entry =
        LLVM::GEPOp::create(c.b, c.loc, pointer, pointer, list,
                            ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    LLVM::StoreOp::create(c.b, c.loc, slot, entry);
  }
  SmallVector<gpu::GPUFuncOp> kernels = getKernels(getOperation());
  auto *found = llvm::find_if(kernels, [&](gpu::GPUFuncOp kernel) {
    return kernel.getName() == op.getKernel().getLeafReference();
  });
  auto toI32 = [&](Value index) -> Value {
    return arith::IndexCastOp::create(c.b, c.loc, c.b.getI32Type(), index);
  };
  c.call("moert_launch",
         {op.getRank(), c.i32(found - kernels.begin()), toI32(op.getGridX()),
          toI32(op.getGridY()), toI32(op.getGridZ()), c.i32(op.getBlock()),
          c.i32(op.getShared()), list, c.toI64(op.getFlops()),
          c.toI64(op.getBytes())});
}

/// Each operation is one call; what it passes is what moert.h says.
void RuntimeToLLVMPass::lower(Operation *op) {
  CallBuilder c(getOperation(), op);
  int64_t number = 0;
  if (auto collective = dyn_cast<rt::CollectiveOpInterface>(op))
    number = collective.getCollectiveAttr().getInt();
  // Dimensions before, at and after `dim`.
  auto extents = [&](Value whole, int64_t dim, SmallVector<Value> &operands) {
    operands.append({c.product(whole, 0, dim), c.dim(whole, dim),
                     c.product(whole, dim + 1, c.rankOf(whole))});
  };
  if (auto index = dyn_cast<rt::AxisIndexOp>(op)) {
    Value result =
        c.call("moert_axis_index", {index.getRank(), c.i32(index.getAxis())},
               c.b.getI64Type());
    index.replaceAllUsesWith(
        arith::IndexCastOp::create(c.b, c.loc, c.b.getIndexType(), result)
            .getResult());
  } else if (auto fail = dyn_cast<rt::FailIfOp>(op)) {
    auto branch =
        scf::IfOp::create(c.b, c.loc, fail.getCondition(), /*withElse=*/false);
    c.b.setInsertionPointToStart(branch.thenBlock());
    c.call("moert_fail",
           {fail.getRank(), c.place(), c.text(fail.getMessage())});
  } else if (auto reduce = dyn_cast<rt::AllReduceOp>(op)) {
    Value in = reduce.getInputs()[0], out = reduce.getOutputs()[0];
    c.call("moert_all_reduce",
           {reduce.getRank(), c.i32(number), c.dtype(in),
            c.i32(reduce.getReduction()), c.pointer(in), c.pointer(out),
            c.product(in, 0, c.rankOf(in))});
  } else if (auto gather = dyn_cast<rt::AllGatherOp>(op)) {
    Value in = gather.getInputs()[0], out = gather.getOutputs()[0];
    SmallVector<Value> operands{gather.getRank(), c.i32(number), c.dtype(in),
                                c.pointer(in), c.pointer(out)};
    extents(out, gather.getDim(), operands);
    c.call("moert_all_gather", operands);
  } else if (auto scatter = dyn_cast<rt::ReduceScatterOp>(op)) {
    Value in = scatter.getInputs()[0], out = scatter.getOutputs()[0];
    SmallVector<Value> operands{
        scatter.getRank(), c.i32(number),
        c.dtype(in),       c.i32(scatter.getReduction()),
        c.pointer(in),     c.pointer(out)};
    extents(in, scatter.getDim(), operands);
    c.call("moert_reduce_scatter", operands);
  } else if (auto exchange = dyn_cast<rt::AllToAllOp>(op)) {
    Value in = exchange.getInputs()[0], out = exchange.getOutputs()[0];
    c.call("moert_all_to_all",
           {exchange.getRank(), c.i32(number), c.dtype(in), c.pointer(in),
            c.pointer(exchange.getInputs()[1]), c.pointer(out),
            c.pointer(exchange.getInputs()[2]),
            c.product(in, 1, c.rankOf(in))});
  } else if (auto topK = dyn_cast<rt::TopKOp>(op)) {
    Value scores = topK.getInputs()[0], out = topK.getOutputs()[0];
    Value bias = topK.getInputs().size() > 1
                     ? c.pointer(topK.getInputs()[1])
                     : LLVM::ZeroOp::create(c.b, c.loc, c.pointerType());
    c.call("moert_top_k",
           {topK.getRank(), c.place(), c.dtype(scores), c.pointer(scores), bias,
            c.pointer(out), c.dim(scores, 0), c.dim(scores, 1), c.dim(out, 1),
            c.i64(topK.getGroups()), c.i64(topK.getLimitedGroups())});
  } else if (auto count = dyn_cast<rt::CountRowsOp>(op)) {
    Value experts = count.getInputs()[0], counts = count.getOutputs()[0];
    c.call("moert_count_rows",
           {count.getRank(), c.place(), c.pointer(experts),
            c.product(experts, 0, 2), c.dim(counts, 0), c.pointer(counts)});
  } else if (auto sort = dyn_cast<rt::SortRowsOp>(op)) {
    Value experts = sort.getInputs()[0];
    c.call("moert_sort_rows",
           {sort.getRank(), c.place(), c.pointer(experts), c.dim(experts, 0),
            c.dim(experts, 1), c.i64(sort.getNumExperts()),
            c.pointer(sort.getOutputs()[0]), c.pointer(sort.getOutputs()[1])});
  } else if (auto count = dyn_cast<rt::CountReceivedOp>(op)) {
    Value counts = count.getCounts();
    Value result =
        c.call("moert_count_received",
               {count.getRank(), c.i32(count.getAxis()), c.pointer(counts),
                c.dim(counts, 0), c.dim(counts, 1)},
               c.b.getI64Type());
    count.replaceAllUsesWith(
        arith::IndexCastOp::create(c.b, c.loc, c.b.getIndexType(), result)
            .getResult());
  } else if (auto launch = dyn_cast<rt::LaunchOp>(op)) {
    lowerLaunch(launch);
  } else if (auto arena = dyn_cast<rt::ArenaOp>(op)) {
    SmallVector<Value> sizes;
    int64_t width = arena.getType().getElementTypeBitWidth();
    Value bytes = c.i64((width + 7) / 8);
    auto dynamic = arena.getSizes().begin();
    for (int64_t size : arena.getType().getShape()) {
      sizes.push_back(ShapedType::isDynamic(size) ? c.toI64(*dynamic++)
                                                  : c.i64(size));
      bytes = c.b.createOrFold<arith::MulIOp>(c.loc, bytes, sizes.back());
    }
    Value place = c.call("moert_buffer",
                         {arena.getRank(), c.i64(arena.getOffset()), bytes},
                         c.pointerType());
    LLVMTypeConverter converter(&getContext());
    arena.replaceAllUsesWith(
        makeMemRef(c, converter, arena.getType(), place, sizes));
  } else if (auto wait = dyn_cast<rt::WaitOp>(op)) {
    c.call("moert_wait", {wait.getRank(), c.i32(wait.getCollective())});
  } else if (auto fault = dyn_cast<rt::FaultOp>(op)) {
    fault.replaceAllUsesWith(
        c.call("moert_fault", {fault.getRank()}, c.pointerType()));
  } else if (auto fetch = dyn_cast<rt::FetchOp>(op)) {
    Value from = fetch.getInputs()[0], to = fetch.getOutputs()[0];
    auto type = cast<MemRefType>(from.getType());
    Value bytes =
        arith::MulIOp::create(c.b, c.loc, c.product(from, 0, type.getRank()),
                              c.i64((type.getElementTypeBitWidth() + 7) / 8));
    c.call("moert_fetch",
           {fetch.getRank(), c.pointer(to), c.pointer(from), bytes});
  } else if (auto plan = dyn_cast<rt::PlanExchangeOp>(op)) {
    Value counts = plan.getInputs()[0];
    SmallVector<Value> operands{plan.getRank(), c.i32(plan.getAxis()),
                                c.pointer(counts), c.dim(counts, 0),
                                c.dim(counts, 1)};
    for (Value output : plan.getOutputs())
      operands.push_back(c.pointer(output));
    // Permutations that a kernel makes instead.
    while (operands.size() < 9)
      operands.push_back(LLVM::ZeroOp::create(c.b, c.loc, c.pointerType()));
    c.call("moert_plan_exchange", operands);
  }
  op->erase();
}

/// Sizes of a local value: static where they are, else this rank's chunk.
static Value localSize(CallBuilder &c, Value rank, spmd::PlacedTensorType type,
                       int64_t dim) {
  Value size = c.i64(type.getDimSize(dim));
  for (auto [axis, meshAxis] : llvm::enumerate(type.getMesh().getLeafAxes())) {
    spmd::Placement placement = type.getPlacements()[axis];
    if (!placement.isShard() || placement.dim != dim || meshAxis.getSize() == 1)
      continue;
    Value parts = c.i64(meshAxis.getSize());
    Value most = arith::CeilDivUIOp::create(c.b, c.loc, size, parts);
    Value index =
        c.call("moert_axis_index", {rank, c.i32(axis)}, c.b.getI64Type());
    Value begin = arith::MulIOp::create(c.b, c.loc, index, most);
    begin = arith::MinUIOp::create(c.b, c.loc, begin, size);
    Value rest = arith::SubIOp::create(c.b, c.loc, size, begin);
    size = arith::MinUIOp::create(c.b, c.loc, most, rest);
  }
  return size;
}

void RuntimeToLLVMPass::emitMain(func::FuncOp function) {
  OpBuilder b(getOperation().getBodyRegion());
  b.setInsertionPointToEnd(getOperation().getBody());
  Type pointer = LLVM::LLVMPointerType::get(&getContext());
  auto main = func::FuncOp::create(
      b, function.getLoc(), "moert_main",
      b.getFunctionType({pointer, pointer}, b.getI32Type()));
  b.setInsertionPointToStart(main.addEntryBlock());
  auto end =
      func::ReturnOp::create(b, main.getLoc(),
                             ValueRange{LLVM::ConstantOp::create(
                                 b, main.getLoc(), b.getI32IntegerAttr(0))});
  CallBuilder c(getOperation(), end);
  LLVMTypeConverter converter(&getContext());
  Value rank = main.getArgument(0);
  SmallVector<Value> operands{rank};
  auto values = function->getAttrOfType<DictionaryAttr>("moert.values");
  for (StringRef list : {"arguments", "results"})
    for (auto entry :
         values.getAs<ArrayAttr>(list).getAsRange<DictionaryAttr>()) {
      auto type = cast<spmd::PlacedTensorType>(
          entry.getAs<TypeAttr>("type").getValue());
      int32_t number = operands.size() - 1;
      Value slot =
          LLVM::GEPOp::create(c.b, c.loc, pointer, pointer, main.getArgument(1),
                              ArrayRef<LLVM::GEPArg>{number});
      Value buffer = LLVM::LoadOp::create(c.b, c.loc, pointer, slot);
      SmallVector<Value> sizes;
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        sizes.push_back(localSize(c, rank, type, dim));
      auto memref =
          cast<MemRefType>(function.getArgumentTypes()[operands.size()]);
      operands.push_back(makeMemRef(c, converter, memref, buffer, sizes));
    }
  func::CallOp::create(c.b, c.loc, function, operands);
}

void RuntimeToLLVMPass::emitDescription(StringRef text) {
  OpBuilder b(getOperation().getBodyRegion());
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), text.size() + 1);
  LLVM::GlobalOp::create(b, getOperation().getLoc(), type, /*isConstant=*/true,
                         LLVM::Linkage::External, "moert_program",
                         b.getStringAttr(text.str() + '\0'));
}

void RuntimeToLLVMPass::runOnOperation() {
  SmallVector<func::FuncOp> functions;
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function->hasAttr("moert.values"))
      functions.push_back(function);
  if (functions.size() != 1) {
    getOperation().emitError("a program has one function, this module has ")
        << functions.size()
        << "; help: keep one function over placed tensors in the file";
    return signalPassFailure();
  }
  func::FuncOp function = functions.front();
  SmallVector<Operation *> ops;
  SmallVector<memref::CopyOp> copies;
  function.walk([&](Operation *op) {
    if (auto copy = dyn_cast<memref::CopyOp>(op))
      copies.push_back(copy);
    if (isa<rt::MoERTDialect>(op->getDialect()))
      ops.push_back(op);
  });
  // Upstream lowers a strided copy to a call of a library that we do not have.
  for (memref::CopyOp copy : copies) {
    OpBuilder b(copy);
    linalg::makeMemRefCopyOp(b, copy.getLoc(), copy.getSource(),
                             copy.getTarget());
    copy.erase();
  }
  SmallVector<rt::CollectiveOpInterface> collectives;
  for (Operation *op : ops)
    if (auto collective = dyn_cast<rt::CollectiveOpInterface>(op)) {
      IntegerAttr number = collective.getCollectiveAttr();
      if (!number || number.getInt() != int64_t(collectives.size())) {
        op->emitError("its number must be ")
            << collectives.size()
            << ", its place among all collectives; help: run "
               "moert-number-collectives before";
        return signalPassFailure();
      }
      collectives.push_back(collective);
    }
  SmallVector<rt::LaunchOp> launches(function.getOps<rt::LaunchOp>());
  llvm::json::Value program(describeProgram(
      function, collectives, launches, getKernels(getOperation()), target));
  emitDescription(llvm::formatv("{0}", program).str());
  for (Operation *op : ops)
    lower(op);
  emitMain(function);
  function->removeAttr("moert.values");
  function.setPrivate();
}
