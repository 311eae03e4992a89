"""A small MoE layer, written and parallelised as torchtitan's at three points in time.

`titan-1878`: after #1878, before #2416; `titan-2416`: #2416 as merged; `right`: with the
repair of the fault that #2416 left. Plans: `etp`, experts cut on the hidden dimension;
`tp2ep`, experts spread over the ranks, each of which routes its own tokens.

Runs on any backend; torchtitan's names are kept.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.distributed._functional_collectives import (all_to_all_single,
                                                       all_to_all_single_autograd)
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

BATCH, SEQ, D, F, E, K = 2, 16, 8, 24, 4, 2


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(E, F, D) / D**0.5)
        self.w2 = nn.Parameter(torch.randn(E, D, F) / F**0.5)
        self.w3 = nn.Parameter(torch.randn(E, F, D) / D**0.5)

    def forward(self, rows, counts):
        w1, w2, w3 = (w.to_local() if isinstance(w, DTensor) else w
                      for w in (self.w1, self.w2, self.w3))
        ends = torch.cumsum(counts, dim=0, dtype=torch.int32)
        h = nn.functional.silu(torch._grouped_mm(rows, w1.transpose(-2, -1), offs=ends))
        h = h * torch._grouped_mm(rows, w3.transpose(-2, -1), offs=ends)
        return torch._grouped_mm(h, w2.transpose(-2, -1), offs=ends)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(D, F, bias=False)
        self.w2 = nn.Linear(F, D, bias=False)
        self.w3 = nn.Linear(D, F, bias=False)

    def forward(self, x):
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))


class Router(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(D, E, bias=False)

    def forward(self, x):
        scores = torch.sigmoid(self.gate(x))
        _, chosen = torch.topk(scores, k=K, dim=1)
        return scores.gather(dim=1, index=chosen), chosen


class Reorderer(nn.Module):
    def forward(self, top_scores, chosen):
        order = torch.argsort(chosen.view(-1), stable=True)
        counts = (chosen.view(-1, 1) == torch.arange(E)).sum(dim=0)
        return top_scores.view(-1)[order], order, counts


class MoE(nn.Module):
    def __init__(self, score_before_experts: bool):
        super().__init__()
        self.experts, self.shared_experts = Experts(), Shared()
        self.router, self.reorderer = Router(), Reorderer()
        self.score_before_experts = score_before_experts
        self.x_grad_placements = None

    def forward(self, x):
        if isinstance(x, DTensor):
            x = x.to_local(grad_placements=self.x_grad_placements)
        batch, seq, dim = x.shape
        x = x.reshape(-1, dim)
        top_scores, chosen = self.router(x)
        scores, order, counts = self.reorderer(top_scores, chosen)
        tokens = (order // K).reshape(-1, 1).expand(-1, dim)
        rows = torch.gather(x, dim=0, index=tokens)
        if self.score_before_experts:
            rows = rows * scores.reshape(-1, 1)
        rows = self.experts(rows, counts)
        if not self.score_before_experts:
            rows = rows * scores.reshape(-1, 1)
        y = self.shared_experts(x)
        y = y.scatter_add(dim=0, index=tokens, src=rows)
        return y.reshape(batch, seq, dim)


# Parallel styles

def shard(module: nn.Module, mesh, **placements) -> None:
    for name, placement in placements.items():
        parameter = getattr(module, name)
        setattr(module, name, nn.Parameter(distribute_tensor(
            parameter.detach(), mesh, [placement])))


def no_parallel(gate: nn.Module, mesh, input_grad, output_grad) -> None:
    """torchtitan's NoParallel: a replicated linear layer among plain tensors."""
    shard(gate, mesh, weight=Replicate())

    def prepare_input(module, inputs):
        return DTensor.from_local(inputs[0], mesh, [Replicate()], run_check=False,
                                  grad_placements=input_grad)

    def prepare_output(module, inputs, output):
        return output.to_local(grad_placements=output_grad)

    gate.register_forward_pre_hook(prepare_input)
    gate.register_forward_hook(prepare_output)


def shared_parallel(shared: Shared, mesh, input_grad) -> None:
    for linear in (shared.w1, shared.w3):
        shard(linear, mesh, weight=Shard(0))
        linear.register_forward_pre_hook(lambda _, inputs: DTensor.from_local(
            inputs[0], mesh, [Replicate()], run_check=False, grad_placements=input_grad))
    shard(shared.w2, mesh, weight=Shard(1))
    shared.w2.register_forward_hook(lambda _, inputs, output: output.to_local())


def tensor_parallel(experts: Experts, mesh, reduces: bool) -> None:
    shard(experts, mesh, w1=Shard(1), w2=Shard(2), w3=Shard(1))
    if reduces:
        experts.register_forward_pre_hook(lambda _, inputs: (
            DTensor.from_local(inputs[0], mesh, [Replicate()]).to_local(
                grad_placements=[Partial()]), inputs[1]))


def expert_parallel(experts: Experts, mesh) -> None:
    """Rows go to the rank of their expert, and back."""
    shard(experts, mesh, w1=Shard(0), w2=Shard(0), w3=Shard(0))
    state = {}

    def dispatch(_, inputs):
        rows, counts = inputs
        local = E // mesh.size()
        received = all_to_all_single(counts, None, None, mesh)
        send = counts.view(mesh.size(), -1).sum(dim=1).tolist()
        get = received.view(mesh.size(), -1).sum(dim=1).tolist()
        state["splits"] = get, send
        rows = all_to_all_single_autograd(rows, get, send, mesh)
        # Rows come by rank, then expert.
        numbers = torch.arange(mesh.size() * local) % local
        expert = torch.repeat_interleave(numbers, received, output_size=rows.shape[0])
        state["order"] = order = torch.argsort(expert, stable=True)
        return rows[order], received.view(mesh.size(), -1).sum(dim=0)

    def combine(_, inputs, output):
        back = output[torch.argsort(state["order"])]
        return all_to_all_single_autograd(back, *reversed(state["splits"]), mesh)

    experts.register_forward_pre_hook(dispatch)
    experts.register_forward_hook(combine)


def reorderer_sequence_parallel(reorderer: Reorderer, mesh) -> None:
    """Each rank routes its own part of the tokens."""
    state = {}

    def take(_, inputs):
        size = inputs[0].shape[0] // mesh.size()
        state["offset"] = offset = mesh.get_local_rank() * size
        return tuple(x[offset:offset + size] for x in inputs)

    def shift(_, inputs, output):
        scores, order, counts = output
        return scores, order + state["offset"] * K, counts

    reorderer.register_forward_pre_hook(take)
    reorderer.register_forward_hook(shift)


@dataclasses.dataclass(frozen=True)
class Labels:
    """Which gradients are labelled Partial, or left so; the others Replicate."""

    x: bool
    gate_input: bool
    gate_output: bool
    shared: bool
    #: Whether the gradient of the experts' rows is reduced (`etp` only).
    rows_reduced: bool


ERAS = {
    "titan-1878": Labels(False, False, False, False, True),
    "titan-2416": Labels(True, False, True, True, False),
    "right": Labels(True, True, True, True, False),
}


def parallelize(moe: MoE, mesh, plan: str, labels: Labels) -> MoE:
    def partial(label: bool):
        return [Partial()] if label else None

    moe.x_grad_placements = partial(labels.x)

    def prepare_input(_, inputs):
        return inputs[0].redistribute(placements=[Replicate()])

    def prepare_output(_, inputs, output):
        return DTensor.from_local(output, mesh, [Partial()]).redistribute(
            placements=[Shard(1)])

    moe.register_forward_pre_hook(prepare_input)
    moe.register_forward_hook(prepare_output)
    no_parallel(moe.router.gate, mesh, partial(labels.gate_input), partial(labels.gate_output))
    shared_parallel(moe.shared_experts, mesh, partial(labels.shared))
    if plan == "etp":
        tensor_parallel(moe.experts, mesh, labels.rows_reduced)
    else:
        reorderer_sequence_parallel(moe.reorderer, mesh)
        expert_parallel(moe.experts, mesh)
    return moe


def make(mesh, plan: str, era: str | Labels, score_before_experts: bool) -> MoE:
    labels = ERAS[era] if isinstance(era, str) else era
    return parallelize(MoE(score_before_experts), mesh, plan, labels)


def inputs(mesh, batch: int = BATCH):
    x = distribute_tensor(torch.randn(batch, SEQ, D), mesh, [Shard(1)])
    return (x.requires_grad_(),)
