#!/usr/bin/env python3
"""Says what has no lit test: operations, passes and their options, labels of
diagnostics, and flags of the programs.

usage: check-coverage.py SOURCE_ROOT PROGRAM..

What there is to test is read from docs/, which is made from TableGen or checked against
the sources, and from each program's --help.
"""

import os
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])


def read(folder, pattern):
    paths = sorted((root / folder).rglob(pattern))
    return {path: path.read_text(encoding="utf-8") for path in paths}


programs = read("test", "*.mlir")
tests = {**programs, **read("test", "*.test")}
commands = [
    line
    for text in tests.values()
    # A command may go on in the next line.
    for line in re.sub(r"\\\n(//\s*)?RUN:", "", text).splitlines()
    if "RUN:" in line
]
lines = [line for text in programs.values() for line in text.splitlines()]
# What a test demands of the output.
CHECK = re.compile(r"^\s*// ([A-Z][A-Z0-9-]*:|expected-)")
demands = [line for line in lines if CHECK.match(line)]

missing, found = [], 0


def expect(what, covered):
    global found
    found += covered
    if not covered:
        missing.append(what)


for page in sorted((root / "docs" / "Dialects").glob("*.md")):
    for name in re.findall(r"^### `(\w+\.\w+)` \(", page.read_text(), re.M):
        word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
        expect(
            f"operation {name}: in no program, or in no CHECK line",
            any(word.search(line) and not line.lstrip().startswith("//") for line in lines)
            and any(word.search(line) for line in demands),
        )

passes = (root / "docs" / "Passes.md").read_text()
for section in re.split(r"^## ", passes, flags=re.M)[1:]:
    name = re.match(r"`(.*?)`", section)[1]
    using = [line for line in commands if re.search(rf"{name}(?![\w-])", line)]
    expect(f"pass {name}: in no RUN line", bool(using))
    for option in re.findall(r"^-([\w-]+) +:", section, re.M):
        expect(
            f"option {option} of {name}: in no RUN line",
            any(re.search(rf"(?<![\w-]){option}(?![\w-])", line) for line in using),
        )

diagnostics = (root / "docs" / "Diagnostics.md").read_text()
for label in re.findall(r"^(?:### |\| )([A-Z]\d?)(?::| \|)", diagnostics, re.M):
    # T1 is a label of passes and, in parentheses, one of types.
    mark = re.compile(rf"\[{label}\]|\({label}\)")
    expect(
        f"label {label}: in no expected-error and no CHECK line",
        any(mark.search(line.replace("\\", "")) for line in demands),
    )

for path in sys.argv[2:]:
    program = os.path.basename(path)
    run = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    # What a line starts with, up to the description.
    heads = re.findall(r"^ +(-.*?)(?:  | - |$)", run.stdout, re.M)
    for flag in sorted(set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", " ".join(heads)))):
        # Every program of LLVM has these.
        if flag in ("--help-list", "--version"):
            continue
        expect(
            f"flag {flag} of {program}: in no RUN line",
            any(
                program in line and re.search(rf"(?<![\w-]){flag}(?![\w-])", line)
                for line in commands
            ),
        )

for what in missing:
    print(what)
print(f"{found} tested, {len(missing)} not")
sys.exit(1 if missing or found < 100 else 0)
