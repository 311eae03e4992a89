# A layer written as torchtitan's at three points in time: verdicts, and at which lines.
# RUN: %python -W ignore %s

import inspect
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))

import titan as layer  # noqa: E402

import moe_mlir.torch  # noqa: E402

FILE = inspect.getsourcefile(layer)
LINES = open(FILE).read().splitlines()
#: The lines of the labels that were false in torchtitan.
ENTRY = "            x = x.to_local(grad_placements=self.x_grad_placements)"
GATE = "        return output.to_local(grad_placements=output_grad)"


def check(plan, era, before):
    return moe_mlir.torch.check(lambda mesh: layer.make(mesh, plan, era, before), {"tp": 2},
                                layer.inputs)


class Titan(unittest.TestCase):
    def assertFindings(self, report, *expected):
        self.assertEqual(report.unchecked, [], report)
        found = [(f.rule, f.place.file, LINES[f.place.line - 1]) for f in report.findings]
        self.assertCountEqual(found, [(r, FILE, line) for r, line in expected], report)

    def test_case_1(self):
        # Ranks route their own tokens: both labels are false, whenever scores are applied.
        for before in (True, False):
            report = check("tp2ep", "titan-1878", before)
            self.assertFindings(report, ("G1", GATE), ("G1", ENTRY))

    def test_case_2(self):
        self.assertFindings(check("etp", "titan-1878", True))
        report = check("etp", "titan-1878", False)
        self.assertFindings(report, ("G1", GATE))
        finding, = report.findings
        self.assertEqual(finding.message, "[G1] the value at 'router.gate: gradient of to_local' "
                         "is claimed replicate over 'tp', but is partial<sum>: a reduction is "
                         "missing")
        origin = finding.steps[0]
        self.assertIn("became partial over 'tp' here: 'aten._grouped_mm'", origin.message)
        self.assertIn("w2.transpose", LINES[origin.place.line - 1])
        self.assertEqual(finding.steps[-1].message,
                         "wrong because of it: grad.router.gate.weight, grad.input0")
        self.assertIn(f"{finding.place}: error: [G1]", str(report))

    def test_after_2416(self):
        for plan in ("etp", "tp2ep"):
            for before in (True, False):
                self.assertFindings(check(plan, "titan-2416", before), ("G2", ENTRY))

    def test_right(self):
        for plan in ("etp", "tp2ep"):
            for before in (True, False):
                report = check(plan, "right", before)
                self.assertFindings(report)
                self.assertTrue(report.ok)
                self.assertEqual(report.ranks, [0, 1])
                self.assertGreater(len(report.checked), 15)


unittest.main()
