"""`check`: false gradient labels of a parallelised module, at their Python lines."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Collection

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.utils._pytree import tree_flatten, tree_unflatten

import moe_mlir

from . import session
from .capture import Event, Group, Recorder, Ref, RefPerRank
from .errors import Place, RankDependentProgram
from .layouts import Axes
from .operations import PerRank
from .translate import Translator, Unchecked

#: What the compiler's last note starts with.
REACHES = "wrong because of it: "

#: Meshes of more ranks are sampled: the first and last, and the first's neighbours.
ALL_RANKS = 8


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of the way to a false label."""

    place: Place | None
    message: str

    def __str__(self) -> str:
        return f"{self.place}: note: {self.message}" if self.place else f"note: {self.message}"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A label, or a reduction, that is false."""

    #: The label of docs/Diagnostics.md, as "G1".
    rule: str
    message: str
    place: Place
    steps: tuple[Step, ...]

    @property
    def wrong(self) -> set[str]:
        """The gradients, by parameter or input, and outputs that follow from it."""
        return {name.removeprefix("grad.") for step in self.steps
                if step.message.startswith(REACHES)
                for name in step.message.removeprefix(REACHES).split(", ")}

    def __str__(self) -> str:
        return "\n".join([f"{self.place}: error: {self.message}", *map(str, self.steps)])


@dataclasses.dataclass(frozen=True)
class Report:
    """What is true, false and unknown of a module's placements."""

    findings: list[Finding]
    #: What nothing is said of; a module is only known to be right if there is none.
    unchecked: list[Unchecked]
    #: The labels that were compared with the truth, as "name at file:line".
    checked: list[str]
    #: The ranks whose programs were recorded and compared.
    ranks: list[int]
    #: The program that was checked, as text.
    program: str

    @property
    def ok(self) -> bool:
        """Whether no label is false. Says nothing of what is unchecked."""
        return not self.findings

    @property
    def wrong(self) -> set[str]:
        """The gradients and outputs that findings reach; gradients by parameter or input."""
        return set().union(*(f.wrong for f in self.findings))

    def __str__(self) -> str:
        lines = [str(f) for f in self.findings] + [str(u) for u in self.unchecked]
        lines.append(f"{len(self.checked)} labels checked on {len(self.ranks)} ranks: "
                     f"{len(self.findings)} false, {len(self.unchecked)} unchecked")
        return "\n".join(lines)


def check(model: Callable[[DeviceMesh], torch.nn.Module], mesh: dict[str, int],
          inputs: Callable[[DeviceMesh], tuple], *,
          placements: dict[str, Any] | None = None,
          data_parallel: Collection[str] = ()) -> Report:
    """Records the forward and backward pass of a module and verifies its placements.

    `mesh` gives the names and sizes of the mesh's dimensions. For each rank,
    `model(device_mesh)` makes the parallelised module and `inputs(device_mesh)` the
    tuple of its inputs, on fake tensors; a gradient is taken of each input that
    requires one. Nothing is communicated and no numbers are computed.

    `placements` says how the local tensors lie that are no DTensors: parameters and
    buffers by name, `input0`.., and the `output` (`output0`.. of several). Each is a
    list of DTensor placements, one for each dimension of the mesh, or a dict by name.

    `data_parallel` names dimensions of meshes over which something outside of the module
    (FSDP, DDP) reduces the gradients of parameters, whatever their labels say.

    Raises `CaptureError`, or what derives from it, if the module cannot be recorded,
    and `ValueError` if a placement is missing.
    """
    ranks = sampled(mesh)
    recordings = [session.record(model, mesh, inputs, placements, rank) for rank in ranks]
    return examine(recordings, ranks, mesh, frozenset(data_parallel))


def sampled(mesh: dict[str, int]) -> list[int]:
    world = 1
    strides = []
    for size in reversed(mesh.values()):
        if size > 1:
            strides.append(world)
        world *= size
    if world < 2:
        raise ValueError("a mesh of one rank has no placements to check")
    if world <= ALL_RANKS:
        return list(range(world))
    return sorted({0, *strides, world - 1})


def examine(recordings: list[Recorder], ranks: list[int], mesh: dict[str, int],
            data_parallel: frozenset[str]) -> Report:
    events = merged(recordings, ranks)
    world = 1
    for size in mesh.values():
        world *= size
    axes = Axes(world, groups_of(recordings[0].events))
    refused: dict[int, str] = {}
    while True:
        translator = Translator(events, recordings[0].metas, axes, "module", ranks, refused,
                                axes.named(data_parallel))
        text = translator.run()
        result = moe_mlir.run(moe_mlir.parse(text, "module"), "moe-check{try-repairs=false}")
        no_rule = {
            event_of(error): error.message for error in result.errors
            if not (error.rule or "").startswith("G")}
        if not no_rule:
            break
        if None in no_rule or no_rule.keys() & refused.keys():
            raise AssertionError("\n".join(map(str, result.errors)) + "\n" + text)
        refused |= no_rule
    findings = [finding(error, events) for error in result.errors]
    for number, reason in refused.items():
        event = events[number]
        translator.unchecked.append(Unchecked(event.place, f"'{event.name}'", reason))
    checked = [f"{translator.site(events[n])} at {events[n].place}"
               for n in translator.checked]
    return Report(findings, sorted(translator.unchecked, key=lambda u: u.place), checked, ranks,
                  text)


def groups_of(events: list[Event]) -> dict[tuple[int, ...], str | None]:
    """All groups of ranks that occur, with the names of meshes' dimensions."""
    groups: dict[tuple[int, ...], str | None] = {}
    for event in events:
        for placed in (event.placed, event.target):
            if placed is not None:
                for ranks, name in zip(placed.groups, placed.names):
                    groups.setdefault(ranks, name)
        for argument in tree_flatten((event.args, event.kwargs))[0]:
            if isinstance(argument, Group):
                groups.setdefault(argument.ranks, None)
    return groups


# Ranks

def merged(recordings: list[Recorder], ranks: list[int]) -> list[Event]:
    """One program of all ranks'; numbers that differ between ranks become `PerRank`."""
    first = recordings[0].events
    for recording, rank in zip(recordings[1:], ranks[1:]):
        for a, b in zip(first, recording.events):
            if (a.kind, a.name, len(a.results)) != (b.kind, b.name, len(b.results)):
                raise RankDependentProgram(
                    f"rank {ranks[0]} runs '{a.name}' where rank {rank} runs '{b.name}'",
                    b.place)
        if len(first) != len(recording.events):
            raise RankDependentProgram(f"rank {ranks[0]} runs {len(first)} operations, rank "
                                       f"{rank} {len(recording.events)}")
    return [one(list(same), ranks) for same in zip(*(r.events for r in recordings))]


def one(events: list[Event], ranks: list[int]) -> Event:
    flat, structure = tree_flatten((events[0].args, events[0].kwargs))
    all_ = [tree_flatten((e.args, e.kwargs)) for e in events]
    if any(s != structure for _, s in all_):
        raise RankDependentProgram(f"'{events[0].name}' has other arguments on other ranks",
                                   events[0].place)
    arguments = []
    for values in zip(*(f for f, _ in all_)):
        if isinstance(values[0], Group) or all(v == values[0] for v in values):
            arguments.append(values[0])
        elif all(isinstance(v, int) for v in values):
            arguments.append(PerRank(values))
        elif all(isinstance(v, Ref) for v in values):
            arguments.append(RefPerRank(tuple(v.value for v in values)))
        else:
            raise RankDependentProgram(
                f"'{events[0].name}' gets {values[0]!r} on rank {ranks[0]}, other values on "
                "others", events[0].place)
    args, kwargs = tree_unflatten(arguments, structure)
    return dataclasses.replace(events[0], args=args, kwargs=kwargs)


# Diagnostics

OPERATION = re.compile(r"'(?:moe|spmd|linalg|arith|tensor|math)\.[a-z_]+'")


def event_of(diagnostic: moe_mlir.Diagnostic) -> int | None:
    """The column of a location is the number of the event, plus one."""
    return diagnostic.location.column - 1 if diagnostic.location else None


def described(diagnostic: moe_mlir.Diagnostic, events: list[Event]) -> tuple[Place | None, str]:
    number = event_of(diagnostic)
    if number is None or number >= len(events) or diagnostic.location.file == "module":
        return None, diagnostic.message
    event = events[number]
    message = diagnostic.message
    if event.kind == "op":
        backward = " (backward)" if event.backward else ""
        message = OPERATION.sub(f"'{event.name}'{backward}", message)
    return event.place, message


def finding(error: moe_mlir.Diagnostic, events: list[Event]) -> Finding:
    place, message = described(error, events)
    steps = tuple(Step(*described(note, events)) for note in error.notes)
    return Finding(error.rule or "", message, place or Place("<unknown>", 1), steps)
