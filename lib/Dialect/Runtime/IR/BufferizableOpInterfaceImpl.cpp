//===- BufferizableOpInterfaceImpl.cpp - From tensors to buffers ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace moe;

/// The runtime takes dense row-major buffers: any other layout is copied first.
static FailureOr<Value> getDenseBuffer(RewriterBase &rewriter, Value tensor,
                                       bool copyIn,
                                       const BufferizationOptions &options,
                                       const BufferizationState &state) {
  FailureOr<Value> buffer = getBuffer(rewriter, tensor, options, state);
  if (failed(buffer))
    return failure();
  auto type = cast<MemRefType>(buffer->getType());
  if (type.getLayout().isIdentity())
    return buffer;
  if (!copyIn)
    return failure();
  Location loc = tensor.getLoc();
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(memref::DimOp::create(rewriter, loc, *buffer, i));
  auto dense = MemRefType::get(type.getShape(), type.getElementType());
  Value copy = memref::AllocOp::create(rewriter, loc, dense, sizes);
  memref::CopyOp::create(rewriter, loc, *buffer, copy);
  return copy;
}

namespace {

template <typename OpT>
struct DestinationModel
    : DstBufferizableOpInterfaceExternalModel<DestinationModel<OpT>, OpT> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    rewriter.setInsertionPoint(op);
    auto destination = cast<DestinationStyleOpInterface>(op);
    SmallVector<Value> operands;
    SmallVector<Value> outputs;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<TensorType>(operand.get().getType())) {
        operands.push_back(operand.get());
        continue;
      }
      bool output = destination.isDpsInit(&operand);
      FailureOr<Value> buffer =
          getDenseBuffer(rewriter, operand.get(), !output, options, state);
      if (failed(buffer))
        return op->emitError("its destination is no dense buffer");
      operands.push_back(*buffer);
      if (output)
        outputs.push_back(*buffer);
    }
    OperationState newState(op->getLoc(), op->getName(), operands, TypeRange{},
                            op->getAttrs());
    newState.propertiesAttr = op->getPropertiesAsAttribute();
    rewriter.create(newState);
    replaceOpWithBufferizedValues(rewriter, op, outputs);
    return success();
  }
};

struct CountReceivedModel
    : BufferizableOpInterface::ExternalModel<CountReceivedModel,
                                             rt::CountReceivedOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto count = cast<rt::CountReceivedOp>(op);
    FailureOr<Value> buffer =
        getDenseBuffer(rewriter, count.getCounts(), true, options, state);
    if (failed(buffer))
      return failure();
    rewriter.replaceOpWithNewOp<rt::CountReceivedOp>(
        op, rewriter.getIndexType(), count.getRank(), *buffer,
        count.getAxisAttr(), count.getMaxRowsAttr());
    return success();
  }
};

} // namespace

void rt::registerBufferizableOpInterfaceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, rt::MoERTDialect *) {
    rt::AllReduceOp::attachInterface<DestinationModel<rt::AllReduceOp>>(
        *context);
    rt::AllGatherOp::attachInterface<DestinationModel<rt::AllGatherOp>>(
        *context);
    rt::ReduceScatterOp::attachInterface<DestinationModel<rt::ReduceScatterOp>>(
        *context);
    rt::AllToAllOp::attachInterface<DestinationModel<rt::AllToAllOp>>(*context);
    rt::TopKOp::attachInterface<DestinationModel<rt::TopKOp>>(*context);
    rt::CountRowsOp::attachInterface<DestinationModel<rt::CountRowsOp>>(
        *context);
    rt::EinsumOp::attachInterface<DestinationModel<rt::EinsumOp>>(*context);
    rt::GroupedEinsumOp::attachInterface<DestinationModel<rt::GroupedEinsumOp>>(
        *context);
    rt::SortRowsOp::attachInterface<DestinationModel<rt::SortRowsOp>>(*context);
    rt::PlanExchangeOp::attachInterface<DestinationModel<rt::PlanExchangeOp>>(
        *context);
    rt::CountReceivedOp::attachInterface<CountReceivedModel>(*context);
  });
}
