# Each operation carries what a gradient is: the right label passes, the wrong one does not.
# RUN: %python -W ignore %s

import unittest

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch import nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import moe_mlir.torch

ROWS, DIM, HIDDEN = 8, 4, 12
INDEX = torch.tensor([5, 0, 0, 7, 2, 1, 6, 3])


def groups(x):
    weight = torch.ones(2, DIM, DIM)
    ends = torch.tensor([3, ROWS], dtype=torch.int32)
    return torch._grouped_mm(x, weight, offs=ends)


def put(x):
    y = torch.zeros_like(x)
    y[1:5] = x[1:5]
    return y


# Of a [ROWS, DIM] tensor, the same shape; each has a derivative.
FUNCTIONS = {
    "add": lambda x: x + x,
    "add_constant": lambda x: 1 + x,
    "add_scaled": lambda x: torch.add(x, x * x, alpha=3),
    "addmm": lambda x: torch.addmm(x, x, torch.ones(DIM, DIM)),
    "bmm": lambda x: torch.bmm(x.view(2, 4, DIM), torch.ones(2, DIM, DIM)).view(ROWS, DIM),
    "broadcast": lambda x: x * x.sum(1, keepdim=True),
    "broadcast_row": lambda x: x + x[0],
    "cast": lambda x: x.bfloat16().float(),
    "cat": lambda x: torch.cat([x[:, 2:], x[:, :2]], dim=1),
    "clone": lambda x: x.clone().contiguous(),
    "cumsum": lambda x: x.cumsum(1),
    "div": lambda x: x / (1 + x * x),
    "divided_by": lambda x: 1 / (2 + x * x),
    "embedding": lambda x: nn.functional.embedding(INDEX, x),
    "exp": lambda x: torch.exp(x),
    "flatten": lambda x: x.flatten().unflatten(0, (ROWS, DIM)),
    "gather": lambda x: x.gather(0, INDEX.view(-1, 1).expand(-1, DIM)),
    "gelu": nn.functional.gelu,
    "grouped_mm": groups,
    "index": lambda x: x[INDEX],
    "index_add": lambda x: torch.zeros_like(x).index_add(0, INDEX, x),
    "index_put": lambda x: torch.zeros_like(x).index_put((INDEX,), x, accumulate=True),
    "index_select": lambda x: x.index_select(0, INDEX),
    "in_place": lambda x: x.clone().mul_(2).add_(x),
    "layer": lambda x: nn.functional.linear(x.view(2, 4, DIM), torch.ones(DIM, DIM)).view(
        ROWS, DIM),
    "masked_fill": lambda x: x.masked_fill(x > 0, 0.0),
    "matmul": lambda x: x @ torch.ones(DIM, DIM),
    "mean": lambda x: x - x.mean(1, keepdim=True),
    "neg": lambda x: -x,
    "pad": lambda x: nn.functional.pad(x[:, 1:], (0, 1)),
    "permute": lambda x: x.view(2, 4, DIM).permute(1, 0, 2).reshape(ROWS, DIM),
    "relu": torch.relu,
    "rsub": lambda x: 1 - x,
    "scatter": lambda x: torch.zeros_like(x).scatter(1, x.argsort(1), x),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(
        0, INDEX.view(-1, 1).expand(-1, DIM), x),
    "select": lambda x: torch.stack([x[:, 1], x[:, 0], x[:, 3], x[:, 2]], dim=1),
    "sigmoid": torch.sigmoid,
    "silu": nn.functional.silu,
    "slice": lambda x: torch.cat([x[4:], x[:4]]),
    "softmax": lambda x: torch.softmax(x, -1),
    "split": lambda x: torch.cat(list(x.split(2))[::-1]),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "sum": lambda x: x + x.sum(0),
    "tanh": torch.tanh,
    "top_k": lambda x: x * torch.topk(x, 2, dim=1).indices.sum(1, keepdim=True),
    "transpose": lambda x: x.t().contiguous().t(),
    "where": lambda x: torch.where(x > 0, x, 2 * x),
    "write": put,
}


class Up(nn.Module):
    """A product with a weight that is cut, after a function of a replicated input."""

    def __init__(self, mesh, function, label):
        super().__init__()
        self.mesh, self.function, self.label = mesh, function, label
        self.weight = nn.Parameter(distribute_tensor(torch.randn(HIDDEN, DIM), mesh,
                                                     [Shard(0)]))

    def forward(self, x):
        x = self.function(x.to_local(grad_placements=[self.label]))
        return DTensor.from_local(x @ self.weight.to_local().t(), self.mesh, [Shard(1)])


class Cut(nn.Module):
    """A function of each rank's rows."""

    def __init__(self, mesh, function, out):
        super().__init__()
        self.mesh, self.function, self.out = mesh, function, out

    def forward(self, x):
        return DTensor.from_local(self.function(x.to_local()), self.mesh, [self.out])


def replicated(mesh):
    return (distribute_tensor(torch.randn(ROWS, DIM), mesh, [Replicate()]).requires_grad_(),)


def cut(mesh):
    return (distribute_tensor(torch.randn(2 * ROWS, DIM), mesh, [Shard(0)]).requires_grad_(),)


def check(model, inputs, mesh=None):
    return moe_mlir.torch.check(model, mesh or {"tp": 2}, inputs)


class Translation(unittest.TestCase):
    def test_replicated(self):
        for name, function in FUNCTIONS.items():
            for label in (Partial(), Replicate()):
                with self.subTest(name, label=label):
                    report = check(lambda m, f=function, g=label: Up(m, f, g), replicated)
                    self.assertEqual(report.unchecked, [])
                    rules = [f.rule for f in report.findings]
                    self.assertEqual(rules, [] if label == Partial() else ["G1"], report)

    def test_cut(self):
        # A rank does to its rows what it would do to all.
        for name, function in FUNCTIONS.items():
            with self.subTest(name):
                report = check(lambda m, f=function: Cut(m, f, Shard(0)), cut)
                self.assertEqual(report.unchecked, [])
                self.assertEqual(report.findings, [])

    def test_cut_is_not_replicated(self):
        for name, function in FUNCTIONS.items():
            with self.subTest(name):
                report = check(lambda m, f=function: Cut(m, f, Replicate()), cut)
                self.assertEqual(report.unchecked, [])
                self.assertEqual([f.rule for f in report.findings], ["G1"])


class AllReduce(torch.autograd.Function):
    """Identity forward, all-reduce backward, by torch.distributed."""

    @staticmethod
    def forward(ctx, x, times):
        ctx.times = times
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        for _ in range(ctx.times):
            dist.all_reduce(gradient)
        return gradient, None


class GatherRows(torch.autograd.Function):
    """All-gather forward; each rank takes its part of the gradient backward."""

    @staticmethod
    def forward(ctx, x):
        y = torch.empty(2 * x.shape[0], DIM)
        dist.all_gather_into_tensor(y, x)
        return y

    @staticmethod
    def backward(ctx, gradient):
        return gradient.chunk(2)[dist.get_rank()]


class Collectives(unittest.TestCase):
    def test_all_reduce_backward(self):
        for times, rules in ((0, ["G1"]), (1, []), (2, ["G6"])):
            report = check(lambda m, n=times: Up(m, lambda x: AllReduce.apply(x, n),
                                                 Replicate()), replicated)
            self.assertEqual(report.unchecked, [])
            self.assertEqual([f.rule for f in report.findings], rules, report)
        self.assertIn("'c10d.allreduce_'", report.findings[0].message)

    def test_functional(self):
        class Reduce(AllReduce):
            @staticmethod
            def backward(ctx, gradient):
                return functional.all_reduce(gradient, "sum", dist.group.WORLD), None

        report = check(lambda m: Up(m, lambda x: Reduce.apply(x, 1), Replicate()), replicated)
        self.assertEqual((report.unchecked, report.findings), ([], []), report)

    def test_gathered_rows(self):
        for out, rules in ((Replicate(), []), (Partial(), ["G2"])):
            report = check(lambda m, p=out: Cut(m, GatherRows.apply, p), cut)
            self.assertEqual(report.unchecked, [])
            self.assertEqual([f.rule for f in report.findings], rules, report)

    def test_exchanged_rows(self):
        def exchange(x):
            return functional.all_to_all_single_autograd(x, None, None, dist.group.WORLD)

        report = check(lambda m: Cut(m, exchange, Shard(0)), cut)
        self.assertEqual((report.unchecked, report.findings), ([], []), report)

    def test_two_axes(self):
        class Layer(nn.Module):
            def __init__(self, mesh, label):
                super().__init__()
                self.mesh, self.label = mesh, label
                self.weight = nn.Parameter(distribute_tensor(
                    torch.randn(HIDDEN, DIM), mesh, [Replicate(), Shard(0)]))

            def forward(self, x):
                x = x.to_local(grad_placements=[Shard(0), Partial()])
                w = self.weight.to_local(grad_placements=[self.label, Shard(0)])
                return DTensor.from_local(x @ w.t(), self.mesh, [Shard(0), Shard(1)])

        def inputs(mesh):
            x = distribute_tensor(torch.randn(ROWS, DIM), mesh, [Shard(0), Replicate()])
            return (x.requires_grad_(),)

        for label, data_parallel, rules in ((Partial(), (), []), (Replicate(), (), ["G1"]),
                                            (Replicate(), ("dp",), [])):
            report = moe_mlir.torch.check(lambda m, g=label: Layer(m, g), {"dp": 2, "tp": 2},
                                          inputs, data_parallel=data_parallel)
            self.assertEqual(report.unchecked, [])
            self.assertEqual([f.rule for f in report.findings], rules, report)


if __name__ == "__main__":
    unittest.main()
