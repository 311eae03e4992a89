"""Runs compiled layers, with GPUs or without, and keeps a log of it."""

import argparse
import collections
import ctypes
import importlib.util
import json
import os
import re
import signal
import subprocess
import threading
import time

import safetensors
from points import ROOT, Points
from recordings import TOLERANCE, Recordings, results_of

Result = collections.namedtuple("Result", "code output seconds")


def count_gpus():
    """GPUs that the driver shows, and why they do not do: (count, reason or None)."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "no NVIDIA driver here"
    if code := driver.cuInit(0):
        return 0, f"the NVIDIA driver does not start (CUDA error {code})"
    number, device = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(number))
    if number.value == 0:
        return 0, "no GPU here"
    driver.cuDeviceGet(ctypes.byref(device), 0)
    capability = []
    for attribute in (75, 76):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    if capability[0] != 9:
        return 0, f"GPU 0 is sm_{capability[0]}{capability[1]}, not sm_90"
    return number.value, None


def find_nccl():
    """The folder of PyTorch's NCCL, if there is one."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        for root, _, files in os.walk(folder):
            if "libnccl.so.2" in files:
                return root
    return None


def parse_options(usage, breaks, points, **more):
    """The options of a script that runs prepared layers; `more` are defaults of its own."""
    usage += "".join(f"\n    {name:<17}{what}" for name, what in breaks.items())
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    hidden = {"help": argparse.SUPPRESS}
    parser.add_argument("--prepare", **hidden)
    parser.add_argument("--artifacts", **hidden)
    parser.add_argument("--moe-run", default=f"{ROOT}/build/bin/moe-run", **hidden)
    parser.add_argument("--point", choices=list(points), **hidden)
    parser.add_argument("--quick", action="store_true", **hidden)
    parser.add_argument("--seed", type=int, default=1, **hidden)
    parser.add_argument("--break", dest="break_", choices=list(breaks), **hidden)
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, **hidden)
    options = parser.parse_args()
    if options.prepare and options.artifacts:
        parser.error("--prepare and --artifacts exclude each other")
    options.wanted = options.point or points
    if options.break_ and not options.point:
        options.wanted = breaks[options.break_][0]
    return options


class Layers(Recordings):
    """Runs what was compiled into `options.artifacts`. Details go to $OUT, if it is set."""

    def __init__(self, name, options, directory, count):
        super().__init__(directory)
        self.options = options
        self.count = count
        self.points = Points()
        self.moe_run = os.path.abspath(options.moe_run)
        with open(f"{options.artifacts}/manifest.json") as file:
            self.manifest = json.load(file)
        folder = os.environ.get("OUT")
        self.log_file = open(f"{folder}/{name}.log" if folder else os.devnull, "a")
        self.log_lock = threading.Lock()
        self.environment = dict(os.environ)
        if nccl := find_nccl():
            paths = [nccl, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
            self.environment["LD_LIBRARY_PATH"] = ":".join(paths)

    def broken(self, name):
        return self.options.break_ == name

    def inputs(self, tensors):
        inputs = super().inputs(tensors)
        if self.broken("swapped-weights"):
            inputs["experts.w1"], inputs["experts.w3"] = (
                inputs["experts.w3"], inputs["experts.w1"])
        return inputs

    def log(self, text):
        with self.log_lock:
            self.log_file.write(text.rstrip() + "\n")
            self.log_file.flush()

    def artifact(self, name):
        return f"{os.path.abspath(self.options.artifacts)}/{name}.so"

    def cases(self, point):
        return [case for case in self.manifest["cases"] if point in case["points"]
                and (case["quick"] or not self.options.quick)]

    def execute(self, command, timeout=120, environment=None):
        """Runs a command to its end or its time; whatever it does is a result."""
        begin = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True, env={**self.environment, **(environment or {})})
        try:
            output, _ = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            code = f"none within {timeout} s"
        return Result(code, output, time.monotonic() - begin)

    def run_layer(self, name, *arguments, timeout=120, environment=None):
        result = self.execute([self.moe_run, self.artifact(name), "--timeout", "30",
                               *arguments], timeout, environment)
        self.log(f"{name} {' '.join(map(str, arguments))}: exit {result.code}, "
                 f"{result.seconds:.1f} s")
        if result.code != 0:
            self.log(result.output[-4000:])
        return result

    def expected(self, recorded, name, sbe, seed):
        """A file of the recorded results of the unsharded layer."""
        tensors = results_of(recorded, sbe)
        path = self.path(f"{name}_{seed}_{sbe}_expected.safetensors")
        safetensors.write(path, tensors)
        return path, len(tensors)

    @staticmethod
    def errors_of(output):
        """Relative errors that --expect printed."""
        return [float(text) for text in re.findall(r"relative error ([^,)]+)", output)]

    def run_recording(self, name, inputs, expected, *arguments, **keywords):
        """Runs a layer against its recording: (fault or None, errors)."""
        result = self.run_layer(name, "--inputs", inputs, "--expect", expected, "--rtol",
                                TOLERANCE, *arguments, **keywords)
        errors = self.errors_of(result.output)
        fault = None
        if result.code != 0 or "DIFFER" in result.output:
            line = re.search(r"error: .*|.*DIFFER.*", result.output)
            fault = f"{name}: exit {result.code}, {line.group(0) if line else ''}"
        return fault, errors
