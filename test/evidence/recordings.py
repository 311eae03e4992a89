#!/usr/bin/python3
"""The layers that torchtitan's gradients were recorded of.

usage: recordings.py NAME SEED SCORE INPUTS RESULTS

Writes the arguments of the layer recorded in NAME_seedSEED.safetensors, and the
results of the right layer on one device, by the names that moe-run gives them.
SCORE is sbe0 (scores after the experts) or sbe1 (before).
"""

import os
import sys

import numpy

import safetensors
from points import ROOT, run

CONFIG = f"{ROOT}/test/Inputs/config-recorded.json"
RECORDINGS = f"{ROOT}/test/Inputs/torchtitan"
SHAPES = {7: (2, 16), 99: (1, 32)}
SCORES = {"sbe0": "after", "sbe1": "before"}
PLANS = {"tp": "tp", "ep1etp": "etp", "tp2ep": "tp2ep"}
GATE, X = "grad.router.gate.weight", "grad.x"
TOLERANCE = 1e-5


def relative(value, reference):
    """Frobenius norm of the difference, relative; infinite for NaN."""
    error = numpy.linalg.norm(value - reference) / numpy.linalg.norm(reference)
    return float(error) if error == error else float("inf")


def results_of(tensors, score):
    """What the layer gives on one device, by moe-run's names."""
    prefix = f"{score}/reference/"
    names = [key.removeprefix(prefix) for key in tensors if key.startswith(prefix)]
    return {name if name == "y" else f"grad.{name}": tensors[prefix + name] for name in names}


class Recordings:
    """Imports recorded layers and writes their inputs, in a folder of its own."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def import_layer(self, plan, shape, score, labels, parallel=True, config=CONFIG,
                     dtype="f32", mesh="tp=2"):
        path = self.path("layer.mlir")
        arguments = [config, "-o", path, "--mesh", mesh, "--plan", plan]
        arguments += ["--batch", shape[0], "--seq", shape[1], "--score", score]
        arguments += ["--labels", labels, "--dtype", dtype]
        run("moe-import", *arguments, *(["--sequence-parallel"] if parallel else []))
        return path

    def inputs(self, tensors):
        """The layer's arguments out of a recording."""
        inputs = {"x": tensors["x"], "dy": tensors["dy"]}
        for key, value in tensors.items():
            if key.startswith("weights/"):
                inputs[key.removeprefix("weights/")] = value
        return inputs

    def recording(self, name, seed):
        """All recorded tensors, and a file of the layer's arguments."""
        tensors = safetensors.read(f"{RECORDINGS}/{name}_seed{seed}.safetensors")
        path = self.path(f"{name}_{seed}.safetensors")
        safetensors.write(path, self.inputs(tensors))
        return tensors, path


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__.split("\n\n")[1])
    NAME, SEED, SCORE, INPUTS, RESULTS = sys.argv[1:]
    TENSORS = safetensors.read(f"{RECORDINGS}/{NAME}_seed{SEED}.safetensors")
    safetensors.write(INPUTS, Recordings(None).inputs(TENSORS))
    safetensors.write(RESULTS, results_of(TENSORS, SCORE))
