"""Placements of the gradients of mixture-of-experts layers, checked.

>>> result = moe_mlir.run(text, "moe-check")
>>> for diagnostic in result.diagnostics:
...     print(diagnostic)
"""

from __future__ import annotations

import dataclasses

from . import _moe_mlir
from ._moe_mlir import Module
from .diagnostics import Diagnostic, Error, Location
from .layer import Layer, Value, compile

__all__ = ["Diagnostic", "Error", "Layer", "Location", "Module", "Result", "Value",
           "compile", "parse", "run"]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a pipeline has made of a program."""

    #: Whether all passes succeeded: of "moe-check", that no claim is false.
    ok: bool
    #: The program after the passes; None if one failed.
    module: Module | None
    #: What they reported, in order: errors, warnings and remarks, with notes.
    diagnostics: list[Diagnostic]

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]


def parse(text: str, filename: str = "<string>") -> Module:
    """Reads a program. `filename` is what locations name.

    Raises `Error`, with the reasons in its `diagnostics`, if it is none.
    """
    module, reported = _moe_mlir.parse(text, filename)
    if module is None:
        raise Error("the program cannot be read", Diagnostic.convert(reported))
    return module


def run(module: Module | str, pipeline: str) -> Result:
    """Runs passes on a copy of a program, or on a text that is parsed first.

    `pipeline` is "moe-check", the same with options
    ("moe-check{try-repairs=false}"), or any text that `moe-opt` takes as
    `--pass-pipeline`.

    Raises `Error` if the text is no program or there is no such pipeline. Passes
    that fail, as the check does at a false claim, raise nothing: `ok` is false.
    """
    if isinstance(module, str):
        module = parse(module)
    if reported := _moe_mlir.check_pipeline(pipeline):
        raise Error("the passes cannot be run", Diagnostic.convert(reported))
    after, reported = _moe_mlir.run(module, pipeline)
    return Result(after is not None, after, Diagnostic.convert(reported))
