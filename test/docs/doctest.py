#!/usr/bin/env python3
"""Runs the commands that a page of docs/ shows, and compares what they print.

usage: doctest.py PAGE.md [DIRECTORY]

A fenced block whose first line is `// NAME` or `# NAME` is a file of that name;
so is a `json` block after a line that ends in "`NAME`:". In a `console` block
a line `$ COMMAND` is run by sh, in a fresh directory (or DIRECTORY) that has the page's files,
and the lines up to the next one are what it prints, stdout and stderr together.
A line `...` stands for any number of lines. `$ echo $?` prints the exit code of
the command before it.
"""

import contextlib
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(lines):
    """(language, first line number, lines, line before) of every fenced block."""
    start = None
    before = ""
    for number, line in enumerate(lines, 1):
        if start is None:
            if match := re.fullmatch(r"```(\w*)", line):
                start, language = number, match.group(1)
            elif line.strip():
                before = line
        elif line == "```":
            yield language, start + 1, lines[start : number - 1], before
            start = None


def matches(expected, found):
    """Whether the lines are equal, `...` standing for any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in found)) is not None


def commands(lines):
    """(command, offset, lines that it prints)."""
    entries = []
    for offset, line in enumerate(lines):
        if line.startswith("$ "):
            entries.append([line[2:], offset, []])
        elif entries and not entries[-1][2] and entries[-1][0].endswith("\\"):
            entries[-1][0] += "\n" + line
        elif entries:
            entries[-1][2].append(line)
    return entries


def main():
    page = pathlib.Path(sys.argv[1])
    lines = page.read_text(encoding="utf-8").splitlines()
    failures = count = 0
    given = contextlib.nullcontext(sys.argv[2]) if len(sys.argv) > 2 else None
    with given or tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as programs:
        # The Python that runs this, whatever comes first elsewhere.
        os.symlink(sys.executable, os.path.join(programs, "python3"))
        path = f"{programs}:{os.environ['PATH']}"
        code = 0
        for language, number, body, before in blocks(lines):
            if body and (match := re.fullmatch(r"(?://|#) ([\w.-]+\.(?:mlir|json|py|test))", body[0])):
                pathlib.Path(directory, match.group(1)).write_text("\n".join(body) + "\n")
                continue
            if language == "json" and (match := re.search(r"`([\w.-]+\.json)`:$", before)):
                pathlib.Path(directory, match.group(1)).write_text("\n".join(body) + "\n")
                continue
            if language != "console":
                continue
            for command, offset, expected in commands(body):
                count += 1
                if command == "echo $?":
                    found = [str(code)]
                else:
                    result = subprocess.run(
                        ["sh", "-c", command],
                        cwd=directory,
                        env=dict(os.environ, COLUMNS="80", PATH=path),
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        stdin=subprocess.DEVNULL,
                        text=True,
                        check=False,
                    )
                    code = result.returncode
                    found = result.stdout.rstrip("\n").split("\n") if result.stdout.strip() else []
                while expected and not expected[-1].strip():
                    expected.pop()
                # Empty lines at the end of lines are of no interest.
                found = [line.rstrip() for line in found]
                expected = [line.rstrip() for line in expected]
                if matches(expected, found):
                    continue
                failures += 1
                print(f"{page}:{number + offset}: `{command}` prints otherwise")
                print("\n".join(difflib.unified_diff(expected, found, "page", "run", lineterm="")))
    print(f"{count} commands, {failures} print otherwise than {page.name} says")
    sys.exit(1 if failures or not count else 0)


if __name__ == "__main__":
    main()
