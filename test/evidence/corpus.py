#!/usr/bin/python3
"""The faults of this class that others have had, each with its repair.

usage: corpus.py [NAME..]

For each program of test/Inputs/corpus: the faulty form is refused, its first error has the
label and the place that the file states and its notes the origin; the repaired form
passes without a word and, executed, gives what one device gives, which the faulty one
does not; with the cheapest repair (moe-opt --fix) the faulty one does too, and its
collectives send no more than those of the repaired form. Prints a line per fault of
these, or of the corpus, and `N of M programs`; exits with 1 if one is not so.
"""

import os
import re
import sys
import tempfile

from diagnostics import parse
from points import ROOT, run

CORPUS = os.path.join(ROOT, "test", "Inputs", "corpus")
HEAD = re.compile(r"// (source|fault|error|origin|upstream): (.*)")


class Program:
    def __init__(self, name, directory):
        self.name = name
        with open(os.path.join(CORPUS, name + ".mlir"), encoding="utf-8") as file:
            head, *parts = re.split(r"^//--- (\w+)\.mlir\n", file.read(), flags=re.M)
        self.head = dict(HEAD.findall(head))
        if set(self.head) != {"source", "fault", "error", "origin", "upstream"}:
            raise RuntimeError(f"{name}: its head lacks a line, or has one too many")
        self.paths, self.lines = {}, {}
        for form, text in zip(parts[::2], parts[1::2]):
            self.add(form, text, directory)
        # What the compiler does not see the reference does not execute.
        self.executed = "spmd.opaque" not in "".join(parts)

    def add(self, form, text, directory):
        path = os.path.join(directory, f"{self.name}-{form}.mlir")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.paths[form], self.lines[form] = path, text.splitlines()


def check_refusal(program):
    path = program.paths["faulty"]
    result = run("moe-opt", "--moe-check", path, "-o", os.devnull, codes=(0, 1))
    errors = parse(result.stderr)
    if result.returncode != 1 or not errors:
        return "the faulty form is not refused"
    label, place = program.head["error"].split(" ", 1)
    first = errors[0]
    if not first.text.startswith(f"[{label}]") or place not in first.text:
        return f"the first error is {first.text}, not {program.head['error']}"
    texts = [first.text] + [note[2] for note in first.notes]
    if not any(re.search(program.head["origin"], text) for text in texts):
        return f"no note says where it comes from: {program.head['origin']}"
    return None


def execute(program, form, codes):
    """Whether all ranks together give what one device gives; the bytes they send."""
    arguments = [program.paths[form], "--exact", "--no-verify", "--stats"]
    result = run("moe-run", *arguments, codes=codes)
    sent = re.search(r"^total +\d+ +(\d+)$", result.stdout, re.M)
    return result.returncode == 0, int(sent[1]) if sent else 0


def check_repaired(program):
    path = program.paths["repaired"]
    result = run("moe-opt", "--moe-check", path, "-o", os.devnull, codes=(0, 1))
    if result.returncode or result.stderr:
        return f"the repaired form is refused: {result.stderr[:200]}"
    return None


def check_execution(program):
    if execute(program, "faulty", (0, 1, 2, 3))[0]:
        return "the faulty form computes what one device does"
    if not execute(program, "repaired", (0, 2))[0]:
        return "the repaired form does not compute what one device does"
    return None


def check_fix(program, directory):
    result = run("moe-opt", "--moe-check", "--fix", program.paths["faulty"], codes=(0, 1))
    if result.returncode:
        return f"--fix repairs it not: {result.stderr[-200:]}"
    program.add("fixed", result.stdout, directory)
    if not program.executed:
        return None
    equal, sent = execute(program, "fixed", (0, 2))
    if not equal:
        return "what --fix made of it does not compute what one device does"
    _, upstream = execute(program, "repaired", (0, 2))
    if sent > upstream:
        return f"what --fix made of it sends {sent} bytes, the repaired form {upstream}"
    return None


def check(program, directory):
    fault = check_refusal(program) or check_repaired(program)
    if not fault and program.executed:
        fault = check_execution(program)
    return fault or check_fix(program, directory)


def check_corpus(names=None, forget=None):
    """Number of programs, those that are as they should be, and what is wrong.

    `forget` plants a defect: the faulty form of that program is the repaired one.
    """
    names = names or sorted(
        name.removesuffix(".mlir") for name in os.listdir(CORPUS) if name.endswith(".mlir")
    )
    faults = []
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            program = Program(name, directory)
            if forget == name:
                program.paths["faulty"] = program.paths["repaired"]
            fault = check(program, directory)
            if fault:
                faults.append(f"{name}: {fault}")
    return len(names), len(names) - len(faults), faults


def main():
    total, good, faults = check_corpus(sys.argv[1:])
    print("".join(fault + "\n" for fault in faults) + f"{good} of {total} programs")
    sys.exit(0 if good == total > 0 else 1)


if __name__ == "__main__":
    main()
