"""What is reported, as objects."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Location:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """An error, warning or remark, or a note of one."""

    #: "error", "warning", "note" or "remark".
    severity: str
    message: str
    #: The label that docs/Diagnostics.md describes, as "G1"; None if there is none.
    rule: str | None = None
    #: The first place in a file that the location has; None if it has none.
    location: Location | None = None
    #: Where it comes from, step by step, and how to repair it.
    notes: list[Diagnostic] = dataclasses.field(default_factory=list)
    #: What to do: the message's own help, and those of notes, without "help: ".
    help: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        lines = [f"{place}{self.severity}: {self.message}"]
        return "\n".join(lines + [str(note) for note in self.notes])

    @classmethod
    def convert(cls, reported: list[tuple]) -> list[Diagnostic]:
        """Of what the extension module reports."""
        return [
            cls(severity, message, rule, Location(*place) if place else None,
                cls.convert(notes), helps)
            for severity, message, rule, place, notes, helps in reported
        ]


class Error(Exception):
    """What could not be done, with what was reported."""

    def __init__(self, message: str, diagnostics: list[Diagnostic] | None = None):
        self.message = message
        #: The reasons; may be empty.
        self.diagnostics = diagnostics or []
        super().__init__("\n".join([message, *map(str, self.diagnostics)]))
