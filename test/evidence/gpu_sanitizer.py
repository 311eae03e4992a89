"""Point 1 of run-gpu: compute-sanitizer on every kernel of every case."""

import collections
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import gpu_inputs
import safetensors
from gpu_cases import describe

# It knows allocations, so it gets buffers that are allocated by themselves, with room
# between them: in the arena, a write to the buffer beside is no fault. initcheck does not:
# where other threads allocate, it takes what kernels wrote for uninitialized at times.
SEPARATE = "memcheck"
# Ranks share one GPU: what another GPU writes over NVLink is uninitialized to initcheck,
# which then finds faults in NCCL's own kernels.
ONE_GPU = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
TOOLS = {
    "memcheck": ["--padding", "65536"],
    "racecheck": ["--racecheck-report", "all"],
    "initcheck": [],
    "synccheck": [],
}
# What each tool has to find; the other tools need not.
PLANTED = {"planted-write": "memcheck", "planted-neighbour": "memcheck",
           "planted-race": "racecheck"}
# Relative error of the values; torch_layer computes the others.
TOLERANCE = {"f32": 1e-4, "bf16": 5e-2}
BAR = "0 findings, all kernels, all planted faults found"
TEXT = "compute-sanitizer on every emitted kernel"


def find_sanitizer():
    return shutil.which("compute-sanitizer") or next(
        (path for path in ("/usr/local/cuda/bin/compute-sanitizer",)
         if os.path.exists(path)), None)


def findings(output):
    """Errors, hazards and warnings of a summary; nothing if there is none."""
    found = re.findall(r"RACECHECK SUMMARY: (\d+) hazard", output)
    found += re.findall(r"ERROR SUMMARY: (\d+) error", output)
    return sum(map(int, found)) if found else None


class Sanitizer:
    def __init__(self, gpu):
        self.gpu = gpu
        self.program = find_sanitizer()

    def inputs(self, case, index):
        path = self.gpu.path(f"{case['name']}-in.safetensors")
        if not os.path.exists(path):
            info = describe(self.gpu.artifact(case["name"]))
            shapes = {value["name"]: value["shape"] for value in info["arguments"]}
            spec = case["spec"] or {}
            tensors = gpu_inputs.draw(shapes, [self.gpu.options.seed, index],
                                      case["dtype"], spec.get("chosen"))
            gpu_inputs.write(path, tensors)
        return path

    def run(self, tool, name, case, inputs):
        """One layer under one tool: its findings, its exit code, what it printed."""
        command = [self.program, "--tool", tool, *TOOLS[tool], "--print-limit", "20",
                   self.gpu.moe_run, self.gpu.artifact(name), "--inputs", inputs,
                   "--no-graph"]
        if tool == SEPARATE and not self.gpu.broken("shared-arena"):
            command.append("--separate-buffers")
        # Values come from where buffers share the arena, as they do for users.
        if tool == "synccheck" and name == case["name"]:
            command += ["--trace", self.gpu.path(f"{name}-trace.json"), "--gather",
                        "--outputs", self.gpu.path(f"{name}-out")]
        result = self.gpu.execute(command, 300, ONE_GPU)
        found = findings(result.output)
        self.gpu.log(f"1 {name} {tool}: exit {result.code}, findings {found}, "
                     f"{result.seconds:.1f} s")
        if found != 0 or result.code:
            self.gpu.log(result.output[-6000:])
        return found, result

    def find_planted(self):
        """Which planted faults the tools find, in the layer they are planted in."""
        names = self.gpu.manifest["planted_in"]
        case = next((c for c in self.gpu.cases("1") if c["name"] in names), None)
        if not case:
            return []
        found = []
        for name, tool in PLANTED.items():
            artifact = case["name"] if self.gpu.broken("blind-tool") else name
            count, _ = self.run(tool, artifact, case, self.inputs(case, 0))
            if count:
                found.append(name)
        return found

    def kernels_run(self, name):
        """Kernels of the trace of a layer, by name."""
        try:
            with open(self.gpu.path(f"{name}-trace.json")) as file:
                events = json.load(file)["traceEvents"]
        except OSError:
            return set()
        return {event["args"]["kernel"] for event in events
                if event.get("cat") == "kernel"}

    def check_values(self, cases):
        """The worst error of the layers' results, in units of the tolerance."""
        asked = []
        for case in cases:
            outputs = self.gpu.path(f"{case['name']}-out/global.safetensors")
            if case["spec"] and os.path.exists(outputs):
                asked.append({"name": case["name"], "spec": case["spec"],
                              "outputs": outputs,
                              "inputs": self.gpu.path(f"{case['name']}-in.safetensors"),
                              "margin": gpu_inputs.MARGIN / 2
                              if case["dtype"] == "bf16" else 1e-5,
                              "tolerance": TOLERANCE[case["dtype"]]})
        answer = self.gpu.torch("values", asked)
        if answer is None:
            return None, 0
        worst = 0.0
        for name, errors in answer.items():
            self.gpu.log(f"1 {name} values: {json.dumps(errors)}")
            for error in errors["errors"].values():
                worst = max(worst, error if error == error else float("inf"))
        return worst, sum(bool(e["errors"]) for e in answer.values())

    def check(self):
        points = self.gpu.points
        if not self.program:
            return points.skip("1", TEXT, "no compute-sanitizer here", BAR)
        planted = self.find_planted()
        cases = self.gpu.cases("1")
        jobs = []
        for index, case in enumerate(cases):
            name = case["name"]
            if index == 0 and self.gpu.options.break_ in PLANTED:
                name = self.gpu.options.break_
            inputs = self.inputs(case, index)
            jobs += [(tool, name, case, inputs) for tool in TOOLS]
        with ThreadPoolExecutor(self.gpu.options.jobs) as pool:
            results = list(pool.map(lambda job: self.run(*job), jobs))
        faults, failed = 0, []
        for (tool, name, *_), (found, result) in zip(jobs, results):
            faults += found or 0
            if found is None or (found == 0 and result.code):
                failed.append(f"{name} under {tool}: exit {result.code}")
        emitted, covered, kinds = 0, 0, collections.defaultdict(lambda: [0, 0])
        missing = []
        for index, case in enumerate(cases):
            ran = self.kernels_run(case["name"])
            if self.gpu.broken("missed-kernel") and index == 0:
                ran = set(sorted(ran)[1:])
            for kernel in describe(self.gpu.artifact(case["name"]))["kernels"]:
                emitted += 1
                kinds[kernel["op"]][1] += 1
                if kernel["name"] in ran:
                    covered += 1
                    kinds[kernel["op"]][0] += 1
                else:
                    missing.append(f"{case['name']}: {kernel['name']}")
        for kind, (ran, all_) in sorted(kinds.items()):
            self.gpu.log(f"1 kernel {kind}: {ran} of {all_}")
        for kernel in missing:
            self.gpu.log(f"1 not run: {kernel}")
        worst, compared = self.check_values(cases)
        values = "values not compared (no torch)"
        if worst is not None:
            values = f"values of {compared} layers at most {worst:.2g} of the tolerance"
        uncompiled = [e for e in self.gpu.manifest["errors"]]
        points.check(
            "1", TEXT, faults == 0 and not failed and covered == emitted > 0
            and len(planted) == len(PLANTED) and (worst is None or worst <= 1)
            and not uncompiled,
            f"{faults} findings in {len(jobs)} runs, {covered} of {emitted} kernels of "
            f"{len(kinds)} kinds in {len(cases)} layers, {len(planted)} of "
            f"{len(PLANTED)} planted faults found, {values}"
            + (f"; {len(uncompiled)} layers not compiled" if uncompiled else "")
            + "".join(f"; {what}" for what in failed[:3])
            + "".join(f"; not run: {what}" for what in missing[:2]), BAR)
