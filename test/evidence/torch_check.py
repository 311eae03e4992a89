"""Points 2 to 4 of test/evidence/embedding: moe_mlir.torch.check."""

import contextlib
import itertools
import os
import random
import sys
import unittest.mock
import warnings

from points import ROOT

TESTS = os.path.join(ROOT, "test", "python", "torch")
TORCH = os.path.join(ROOT, ".torch")
sys.path[:0] = [os.path.join(TESTS, "Inputs"), os.path.join(ROOT, "build", "python"), TORCH]

# The point, and what is planted.
BREAKS = {
    "flipped-label": ("2a", "the repaired layer has one label that is false"),
    "dropped-marker": ("2a", "what to_local is told is not recorded"),
    "other-line": ("2a", "findings are moved to the next line"),
    "blind-to-sums": ("2b", "findings of a missing reduction are dropped"),
    "alarms": ("2b", "a finding is made up where there is none"),
    "torchtitan-3654": ("3", "torchtitan's labels are those of its #3654"),
    "half-unchecked": ("3", "no rule for silu, so that experts are unchecked"),
    "silent": ("4", "an unknown collective is passed over"),
    "real-data": ("4", "data-dependent numbers are taken as they come"),
}


def torch_is_missing():
    return None if os.path.isdir(TORCH) else "no PyTorch (tools/setup --torch)"


def add_points(points, options, wanted):
    """Those of points 2 to 4 whose number is, or begins with, `wanted`."""
    steps = {"2a": recorded_layers, "2b": drawn_labels, "3": current_torchtitan,
             "4": exceptions}
    missing = torch_is_missing()
    warnings.simplefilter("ignore")
    for point, step in steps.items():
        if not point.startswith(wanted):
            continue
        if missing:
            points.skip(point, "moe_mlir.torch.check", missing, "PyTorch")
        else:
            step(points, options)


def planted(options, name):
    return options.break_ == name


# Point 2

# A line of each label that was false in torchtitan.
LINES = {"x": "x = x.to_local(grad_placements=self.x_grad_placements)",
         "router.gate": "return output.to_local(grad_placements=output_grad)"}
FORMS = {"etp": "ep1etp", "tp2ep": "tp2ep"}


def recorded_verdict(tensors, score, plan):
    """The gradients that torchtitan's ranks got wrong: of a Partial one the sum counts."""
    from recordings import relative

    prefix = f"{score}/{FORMS[plan]}"
    gate = tensors[f"{score}/reference/router.gate.weight"]
    ranks = [tensors[f"{prefix}/gate_grad/rank{r}"] for r in range(2)]
    differ = max(relative(r, gate) for r in ranks)
    summed = relative(sum(ranks), gate)
    x = relative(tensors[f"{prefix}/x_grad"], tensors[f"{score}/reference/x"])
    return differ, summed, x


def check_layer(layer, plan, labels, before):
    import moe_mlir.torch

    return moe_mlir.torch.check(lambda mesh: layer.make(mesh, plan, labels, before), {"tp": 2},
                                layer.inputs)


def recorded_layers(points, options):
    import safetensors
    import titan
    from moe_mlir.torch.capture import Recorder

    label = Recorder.label

    def drops(self, name, *rest):
        if name != "gradient of to_local":
            label(self, name, *rest)

    source = open(titan.__file__).read().splitlines()
    agreed = total = refused = labels = unchecked = 0
    with contextlib.ExitStack() as stack:
        if planted(options, "dropped-marker"):
            stack.enter_context(unittest.mock.patch.object(Recorder, "label", drops))
        for era, plan, score in itertools.product(titan.ERAS, FORMS, ("sbe1", "sbe0")):
            written = titan.ERAS[era]
            if era == "right" and planted(options, "flipped-label"):
                written = titan.Labels(True, True, False, True, False)
            report = check_layer(titan, plan, written, score == "sbe1")
            wrong = set()
            if era != "right":
                name = era.replace("titan-", "pr")
                tensors = safetensors.read(
                    f"{ROOT}/test/Inputs/torchtitan/{name}_seed7.safetensors")
                differ, summed, x = recorded_verdict(tensors, score, plan)
                # After #2416 the gate's gradient is a term on each rank.
                if (summed if era == "titan-2416" else differ) > 1e-4:
                    wrong.add("router.gate.weight")
                if x > 1e-4:
                    wrong.add("input0")
            lines = [source[f.place.line - 1 + planted(options, "other-line")].strip()
                     for f in report.findings if f.place.file == titan.__file__]
            right_lines = (len(lines) == len(report.findings)
                           and set(lines) <= set(LINES.values()))
            agreed += report.wrong == wrong and right_lines and not report.unchecked
            total += 1
            refused += not report.ok
            labels += len(report.checked)
            unchecked += len(report.unchecked)
    points.check(
        "2a", "a layer as torchtitan before #2416, after it, and repaired, in both cases, is "
        "judged as recorded, at the labels' lines", agreed == total and refused,
        f"{agreed} of {total}, {refused} refused; {labels} labels, {unchecked} unchecked",
        f"{total} of {total}, 0 unchecked")


def drawn_labels(points, options):
    import execute
    import titan

    drawn = [(plan, labels, before, options.seed)
             for plan, before in itertools.product(FORMS, (True, False))
             for labels in itertools.product((False, True), repeat=5)
             if plan == "etp" or not labels[4]]
    random.Random(options.seed).shuffle(drawn)
    # Those that are right are few.
    right = [c for c in drawn if c[1] == (True, True, True, True, False)]
    cases = right[:2] + [c for c in drawn if c not in right[:2]][:12 if options.quick else 94]
    differ = refused = missed = labels = 0
    for case, errors in zip(cases, execute.run(cases)):
        plan, written, before, _ = case
        report = check_layer(titan, plan, titan.Labels(*written), before)
        findings = report.findings
        if planted(options, "blind-to-sums"):
            findings = [f for f in findings if f.rule != "G1"]
        ok = not findings and not (planted(options, "alarms") and report.ok)
        wrong = {name for name, error in errors.items() if error > 1e-4}
        differ += ok != (not wrong)
        missed += len(wrong - set().union(*(f.wrong for f in findings)))
        refused += not report.ok
        labels += len(report.checked)
    points.check(
        "2b", "drawn labels are refused if and only if two gloo ranks compute a wrong gradient, "
        "and each of these is named", not differ and not missed and 0 < refused < len(cases),
        f"{len(cases)} layers, {labels} labels, {refused} refused; {differ} verdicts differ, "
        f"{missed} wrong gradients not named", "0 differ, 0 not named")


# Point 3

def plans(options):
    import current

    broken = {"without_grad_placements": planted(options, "torchtitan-3654")}
    for backend in ("spmd_types", "full_dtensor", "partial_dtensor"):
        sizes = [(1, 2, 1), (1, 2, 2)]
        if not options.quick:
            sizes += [(2, 2, 1), (2, 2, 2), (2, 2, 4)]
            if backend != "partial_dtensor":
                sizes += [(2, 1, 2), (4, 1, 2)]
        for (dp, tp, ep), sequence in itertools.product(sizes, (True, False)):
            yield current.Plan(backend, dp, tp, ep, sequence, **broken)


def current_torchtitan(points, options):
    import moe_mlir.torch
    from moe_mlir.torch.operations import OPERATIONS

    findings = labels = count = clean = 0
    unchecked = []
    with contextlib.ExitStack() as stack:
        if planted(options, "half-unchecked"):
            rules = {k: v for k, v in OPERATIONS.items() if k != "aten.silu"}
            stack.enter_context(unittest.mock.patch.dict(OPERATIONS, rules, clear=True))
        for plan in plans(options):
            report = moe_mlir.torch.check(
                plan.model, plan.world, plan.inputs, placements=plan.placements,
                data_parallel={"dp", "dp_shard", "efsdp"})
            count += 1
            clean += not report.unchecked
            findings += len(report.findings)
            labels += len(report.checked)
            unchecked += [(str(plan), u) for u in report.unchecked]
    points.check(
        "3", "torchtitan 0.3's MoE layer under its own plans is checked without a false alarm",
        not findings and 2 * clean >= count,
        f"{count} plans, {labels} labels, {findings} called false; {clean} plans wholly checked, "
        f"{len(unchecked)} labels or operations unchecked",
        "0 called false, at least half of the plans wholly checked")
    reasons = {}
    for plan, entry in unchecked:
        reason = entry.reason.rsplit(": ", 1)[-1]
        reasons.setdefault(reason, set()).add(plan)
    for reason, where in sorted(reasons.items()):
        print(f"        unchecked in {len(where)} plans, as {sorted(where)[0]}: {reason}")


# Point 4

def exceptions(points, options):
    sys.path.insert(0, TESTS)
    import errors
    import moe_mlir.torch
    from moe_mlir.torch import capture

    expected = [
        (errors.raises, moe_mlir.torch.ModuleRaises, "KeyError", "raise KeyError("),
        (errors.branches, moe_mlir.torch.DataDependentControlFlow, "data of a tensor",
         "if x.sum() > 0:"),
        (errors.broadcasts, moe_mlir.torch.UnknownCollective, "c10d.broadcast_",
         "dist.broadcast("),
        (errors.first_rank_only, moe_mlir.torch.RankDependentProgram, "rank 1 runs",
         "return x * 2"),
    ]
    source = open(errors.__file__).read().splitlines()
    named = []
    with contextlib.ExitStack() as stack:
        if planted(options, "silent"):
            known = capture.KNOWN_COLLECTIVES | {"c10d.broadcast_"}
            stack.enter_context(
                unittest.mock.patch.object(capture, "KNOWN_COLLECTIVES", known))
        if planted(options, "real-data"):
            stack.enter_context(unittest.mock.patch(
                "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_expr",
                lambda *_, **__: True))
        for function, kind, text, line in expected:
            try:
                errors.check(function)
            except moe_mlir.torch.CaptureError as error:
                named.append(type(error) is kind and text in str(error)
                             and line in source[error.place.line - 1])
            else:
                named.append(False)
    points.check(
        "4", "a module that raises, branches on data, uses an unknown collective, or differs "
        "between ranks ends in an exception that names it and its line", all(named),
        f"{sum(named)} of {len(named)}", "all")
