# The verdict is refusal if and only if two ranks compute a wrong gradient.
# RUN: %python -W ignore %s

import itertools
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))

import execute as executor  # noqa: E402
import titan  # noqa: E402

import moe_mlir.torch  # noqa: E402


class Execute(unittest.TestCase):
    def test_labels(self):
        # Every label right or wrong; not all of them, for time.
        cases = [(plan, labels, before, 7)
                 for plan, before in (("etp", False), ("tp2ep", True))
                 for labels in itertools.product((False, True), repeat=5)
                 if not (plan == "tp2ep" and labels[4])][::5]
        verdicts = set()
        for case, errors in zip(cases, executor.run(cases)):
            plan, labels, before, _ = case
            report = moe_mlir.torch.check(
                lambda mesh: titan.make(mesh, plan, titan.Labels(*labels), before), {"tp": 2},
                titan.inputs)
            wrong = {name for name, error in errors.items() if error > 1e-4}
            self.assertEqual(report.unchecked, [])
            self.assertEqual(report.ok, not wrong, f"{case}\n{errors}\n{report}")
            # Two false labels may undo one another in what both reach.
            self.assertLessEqual(wrong, report.wrong, f"{case}\n{errors}\n{report}")
            verdicts.add(report.ok)
        self.assertEqual(verdicts, {True, False})


if __name__ == "__main__":
    unittest.main()
