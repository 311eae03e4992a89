# torchtitan's MoE layer as it is installed, under its own plans: no false alarm.
# RUN: %python -W ignore %s

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))

import current as torchtitan  # noqa: E402

import moe_mlir.torch  # noqa: E402

DATA_PARALLEL = {"dp", "dp_shard", "efsdp"}


def check(plan):
    return moe_mlir.torch.check(plan.model, plan.world, plan.inputs, placements=plan.placements,
                                data_parallel=DATA_PARALLEL)


class Current(unittest.TestCase):
    def test_plans(self):
        for backend in ("spmd_types", "full_dtensor", "partial_dtensor"):
            for ep in (1, 2):
                for sequence in (True, False):
                    plan = torchtitan.Plan(backend, 1, 2, ep, sequence)
                    with self.subTest(str(plan)):
                        report = check(plan)
                        self.assertEqual(report.findings, [])
                        self.assertGreaterEqual(len(report.checked), 8)
                        self.assertLessEqual(len(report.unchecked), 1)

    def test_with_data_parallelism(self):
        report = check(torchtitan.Plan("spmd_types", 2, 2, 2, True))
        self.assertEqual(report.findings, [])
        self.assertEqual(report.ranks, [0, 1, 2, 3])

    def test_fault_of_3654(self):
        # Without expert parallelism the labels of the experts' inputs were dropped.
        plan = torchtitan.Plan("partial_dtensor", 1, 2, 1, True, without_grad_placements=True)
        report = check(plan)
        self.assertEqual({f.rule for f in report.findings}, {"G1"})
        self.assertIn("router.gate.weight", {n for n in report.wrong})


unittest.main()
