"""Why a module cannot be checked."""

from __future__ import annotations

import dataclasses
import os


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """A line of Python, and the submodule that was running."""

    file: str
    line: int
    module: str = ""

    def __str__(self) -> str:
        below = os.getcwd() + os.sep
        return f"{self.file.removeprefix(below)}:{self.line}"


class CaptureError(Exception):
    """The module could not be recorded. `place` is the line that stopped it, or None."""

    def __init__(self, message: str, place: Place | None = None):
        self.place = place
        super().__init__(f"{place}: {message}" if place else message)


class ModuleRaises(CaptureError):
    """The module raised. What it raised is the `__cause__`."""


class DataDependentControlFlow(CaptureError):
    """Which operations run depends on the values of a tensor."""


class UnknownCollective(CaptureError):
    """A collective whose meaning is not known here. `collective` is its name."""

    def __init__(self, collective: str, place: Place | None = None):
        self.collective = collective
        super().__init__(f"'{collective}' is a collective that the check does not know; "
                         "docs/PyTorch.md lists those it knows", place)


class RankDependentProgram(CaptureError):
    """Ranks run different operations."""
