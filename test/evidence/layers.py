"""Layers drawn from a seed, with inputs."""

import json

import numpy

from points import ROOT, run

SMALL = ["deepseek-v3", "llama4", "mixtral", "olmoe", "qwen3-moe"]
RANKS = (1, 2, 3, 4, 8)
# Axes outside the plan's own: data-parallel ranks, and ranks of experts.
OUTSIDE = ("", "dp=2", "dp=3", "dp=2,ep=2", "ep=2", "ep=3")


class Drawer:
    """Draws configurations, plans, meshes and inputs, in a folder of its own."""

    def __init__(self, seed, directory):
        self.random = numpy.random.default_rng(seed)
        self.directory = directory

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def config(self):
        """A configuration that no model has: every size by itself."""
        groups = self.pick([1, 1, 2, 4])
        experts = groups * int(self.random.integers(2, 5)) if groups > 1 else int(
            self.random.integers(1, 14))
        limit = experts // groups * 2 if groups > 1 else experts
        chosen = int(self.random.integers(1, min(limit, 4) + 1))
        config = {
            "hidden_size": int(self.random.integers(1, 40)),
            "moe_intermediate_size": int(self.random.integers(1, 40)),
            "n_routed_experts": experts,
            "num_experts_per_tok": chosen,
            "n_shared_experts": self.pick([0, 1, 2]),
            "scoring_func": self.pick(["sigmoid", "softmax"]),
            # Of one score, the norm is one and its gradient nothing.
            "norm_topk_prob": bool(self.pick([False, True]) and chosen > 1),
            "routed_scaling_factor": self.pick([1.0, 2.5]),
        }
        if groups > 1:
            config |= {"n_group": groups, "topk_group": 2}
        return config

    def layer(self, path, number):
        """Imports a layer; returns what it is, in words."""
        if number % 3 == 0:
            model = self.pick(SMALL)
            config = f"{ROOT}/test/Inputs/configs/{model}-small.json"
        else:
            model, config = "drawn", f"{path}.config.json"
            with open(config, "w") as file:
                json.dump(self.config(), file)
        ranks, plan = self.pick(RANKS), self.pick(["tp", "etp", "tp2ep", "ep"])
        outside = self.pick(OUTSIDE) if number % 2 else ""
        axes = dict(axis.split("=") for axis in outside.split(",") if axis)
        if plan != "etp":
            axes.pop("ep", None)
        # More ranks than 8 take long.
        axes["ep" if plan == "ep" else "tp"] = min(ranks, 8 if not axes else 2)
        mesh = ",".join(f"{axis}={size}" for axis, size in axes.items())
        batch, seq = self.pick([1, 1, 2, 3]), int(self.random.integers(1, 24))
        # The importer cuts tokens evenly only: whole sequences over dp and ep.
        batch *= int(axes.get("dp", 1)) * int(axes.get("ep", 1))
        if plan == "tp2ep":
            seq *= int(axes["tp"])
        flags = ["--mesh", mesh, "--plan", plan, "--batch", batch, "--seq", seq]
        if plan != "ep" and self.pick([False, True]):
            flags.append("--sequence-parallel")
        # Where the configuration does not say it itself.
        if model != "llama4":
            flags += ["--score", self.pick(["after", "before", "pre-down"])]
        run("moe-import", config, "-o", path, *flags)
        return " ".join(map(str, [model, *flags[1::2]]))

    def inputs(self, arguments):
        """Tensors of a program's arguments: unit activations, and in a third of
        the layers an expert that most tokens choose."""
        tensors = {}
        for argument in arguments:
            shape = argument["shape"]
            value = self.random.standard_normal(shape)
            if len(shape) > 1 and argument["name"] not in ("x", "dy"):
                value /= numpy.sqrt(shape[-1])
            tensors[argument["name"]] = value.astype(numpy.float32)
        if self.pick([False, False, True]):
            direction = tensors["router.gate.weight"][0]
            length = float(numpy.linalg.norm(direction)) or 1.0
            tensors["x"] += (2 * direction / length).astype(numpy.float32)
        return tensors
