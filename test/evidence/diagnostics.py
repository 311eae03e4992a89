"""Reads the verifier's errors and checks what they say against the file."""

import re

HEADER = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+):\d+: (?P<kind>error|note): (?P<text>.*)$")


class Error:
    def __init__(self, file, line, text):
        self.file, self.line, self.text = file, line, text
        self.label = re.match(r"\[(\w+)\]", text)
        self.label = self.label.group(1) if self.label else None
        site = re.search(r"at '([^']+)'", text)
        self.site = site.group(1) if site else None
        # (file, line, text) each.
        self.notes = []

    def reached(self):
        """The results that are wrong because of this error."""
        for _, _, text in self.notes:
            if text.startswith("wrong because of it: "):
                return set(text.split(": ", 1)[1].split(", "))
        return set()


def parse(text):
    errors = []
    for line in text.splitlines():
        match = HEADER.match(line)
        if not match:
            if re.search(r"\berror: ", line):
                errors.append(Error(None, 0, line.split("error: ", 1)[1]))
            continue
        place = match["file"], int(match["line"])
        if match["kind"] == "error":
            errors.append(Error(*place, match["text"]))
        elif errors:
            errors[-1].notes.append((*place, match["text"]))
    return errors


ORIGINS = (
    "it became partial",
    "it is partial",
    "it was already made the same",
    "it is taken as the same",
    "it is the same on all ranks",
    "it is an argument",
)
STEPS = ("carried on by", "the sum is carried on by", "and is added here")


def values_of(line):
    return set(re.findall(r"%[\w.]+", line))


def explain_fault(error, path, lines):
    """Why the error does not explain itself; None if it does.

    The claim, each origin and each step must be lines of the user's file, and
    each step must share a value with the one before it: a path of the program.
    """
    if error.file != path:
        return "the claim has no place in the file"
    if error.site and f'"{error.site}"' not in lines[error.line - 1]:
        return f"line {error.line} is not the claim at {error.site}"
    origins = 0
    before = None
    for file, line, text in error.notes:
        if text.startswith(("help:", "wrong because")):
            continue
        if file != path or not 1 <= line <= len(lines):
            return f"'{text}' has no place in the file"
        here = values_of(lines[line - 1])
        if text.startswith(ORIGINS):
            origins += 1
        elif not text.startswith(STEPS):
            return f"unknown note '{text}'"
        elif not before & here:
            return f"no value leads to line {line}: '{text}'"
        before = here
    if not origins:
        return "no note says where the value became what it is"
    if not before & values_of(lines[error.line - 1]):
        return "the steps do not lead to the claim"
    if not any(text.startswith("help:") for _, _, text in error.notes):
        return "no help"
    return None
