# What cannot be recorded is an exception that says what, and at which line.
# RUN: %python -W ignore %s

import unittest

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import moe_mlir.torch
from moe_mlir.torch import (CaptureError, DataDependentControlFlow, ModuleRaises,
                            RankDependentProgram, UnknownCollective)

HERE = open(__file__).read().splitlines()


class Layer(nn.Module):
    """Applies a function to a rank's tensor."""

    def __init__(self, mesh, function):
        super().__init__()
        self.mesh, self.function = mesh, function

    def forward(self, x):
        y = self.function(x.to_local(), self.mesh)
        return DTensor.from_local(y, self.mesh, [Shard(0)])


def inputs(mesh):
    return (distribute_tensor(torch.randn(8, 4), mesh, [Shard(0)]).requires_grad_(),)


def check(function, **options):
    return moe_mlir.torch.check(lambda mesh: Layer(mesh, function), {"tp": 2}, inputs,
                                **options)


def raises(x, mesh):
    raise KeyError("no such expert")


def branches(x, mesh):
    if x.sum() > 0:
        return x
    return -x


def broadcasts(x, mesh):
    dist.broadcast(x.detach(), 0)
    return x * 2


def first_rank_only(x, mesh):
    if mesh.get_local_rank() == 0:
        x = torch.relu(x)
    return x * 2


class Errors(unittest.TestCase):
    def assertRaisesAt(self, kind, line, message, function):
        with self.assertRaises(kind) as caught:
            check(function)
        self.assertIn(message, str(caught.exception))
        self.assertEqual(caught.exception.place.file, __file__)
        self.assertEqual(HERE[caught.exception.place.line - 1].strip(), line)
        self.assertIsInstance(caught.exception, CaptureError)
        # Nothing is left behind.
        self.assertFalse(dist.is_initialized())
        return caught.exception

    def test_module_raises(self):
        error = self.assertRaisesAt(ModuleRaises, 'raise KeyError("no such expert")',
                                    "the module raises KeyError: 'no such expert'", raises)
        self.assertIsInstance(error.__cause__, KeyError)

    def test_data_dependent_control_flow(self):
        self.assertRaisesAt(DataDependentControlFlow, "if x.sum() > 0:",
                            "what runs next depends on the data of a tensor", branches)

    def test_unknown_collective(self):
        error = self.assertRaisesAt(UnknownCollective, "dist.broadcast(x.detach(), 0)",
                                    "'c10d.broadcast_' is a collective that the check does not "
                                    "know", broadcasts)
        self.assertEqual(error.collective, "c10d.broadcast_")

    def test_ranks_differ(self):
        self.assertRaisesAt(RankDependentProgram, "return x * 2",
                            "rank 0 runs 'aten.relu' where rank 1 runs 'aten.mul'",
                            first_rank_only)

    def test_from_local_that_compares_ranks(self):
        def function(x, mesh):
            return DTensor.from_local(x, mesh, [Replicate()], run_check=True).to_local() * x

        with self.assertRaises(DataDependentControlFlow):
            check(function)

    def test_process_group_exists(self):
        from torch.testing._internal.distributed.fake_pg import FakeStore

        dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
        self.addCleanup(dist.destroy_process_group)
        with self.assertRaisesRegex(CaptureError, "a process group exists already"):
            check(lambda x, mesh: x)

    def test_one_rank(self):
        with self.assertRaisesRegex(ValueError, "a mesh of one rank"):
            moe_mlir.torch.check(lambda mesh: None, {"tp": 1}, inputs)

    def test_no_gradient(self):
        with self.assertRaisesRegex(CaptureError, "no output of the module has a gradient"):
            check(lambda x, mesh: x.detach())


class Placements(unittest.TestCase):
    def test_missing(self):
        def plain(mesh):
            return nn.Linear(4, 4)

        with self.assertRaisesRegex(ValueError, r"'weight' is no DTensor; say how it lies"):
            moe_mlir.torch.check(plain, {"tp": 2}, inputs)

    def test_unused(self):
        with self.assertRaisesRegex(ValueError, "there is no parameter.* 'weigth'"):
            check(lambda x, mesh: x * 2, placements={"weigth": [Replicate()]})


class Unchecked(unittest.TestCase):
    """What is not understood is no longer known, and said."""

    def test_operation(self):
        report = check(lambda x, mesh: torch.linalg.qr(x).Q)
        self.assertTrue(report.ok)
        self.assertIn("it depends on 'aten.linalg_qr'", str(report.unchecked[0]))
        self.assertEqual(report.unchecked[0].place.file, __file__)

    def test_partial_through_what_is_not_linear(self):
        def function(x, mesh):
            terms = DTensor.from_local(x, mesh, [Partial()]).to_local()
            return torch.sigmoid(terms)

        report = check(function)
        self.assertTrue(report.ok)
        self.assertIn("[R1] 'moe.sigmoid' over 'tp'", str(report))

    def test_smaller_mesh(self):
        def function(x, mesh):
            return x * 2

        class OverTP(Layer):
            def __init__(self, mesh):
                super().__init__(mesh["tp"], function)

        report = moe_mlir.torch.check(OverTP, {"dp": 2, "tp": 2}, lambda m: inputs(m["tp"]))
        # Nothing in it has told of dp.
        self.assertEqual(report.findings, [])
        self.assertIn("its mesh lacks ranks2: taken to be the same over it", str(report))

    def test_dropped_label(self):
        from moe_mlir.torch.capture import Recorder

        label = Recorder.label

        def drops(self, name, *rest):
            if name != "gradient of to_local":
                label(self, name, *rest)

        Recorder.label = drops
        try:
            report = check(lambda x, mesh: x * 2)
        finally:
            Recorder.label = label
        self.assertIn("it is no parameter, input or buffer", str(report.unchecked[0]))


if __name__ == "__main__":
    unittest.main()
