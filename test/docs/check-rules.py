#!/usr/bin/env python3
"""Runs every numbered rule of docs/Rules.md: prints a line for each of them.

usage: check-rules.py SOURCE_ROOT RULE_SWEEP

The sweep executes what a rule allows, on a few draws of the data, and gives each rule
that has a part in it a line by its number, with an error of the compiler that cites it.
A rule by which what is whole stays whole, or what is cut is cut, may be cited nowhere:
nothing went wrong there.
"""

import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
page = (root / "docs" / "Rules.md").read_text(encoding="utf-8")
numbers = set(re.findall(r"^\| (\d+\.\d+) \|", page, flags=re.M))
labels = {
    clause: label
    for clause, label in re.findall(r"^\| (\d+) \| .*? \| ([A-Z]\d) \|$", page, flags=re.M)
}
instances = root / "test" / "evidence" / "rule-instances.mlir"
sweep = subprocess.run(
    [sys.argv[2], str(instances), "--draws", "2"], capture_output=True, text=True
)
LINE = re.compile(r"^rule (\S+): (\d+) tuples, (\d+) unsound; (.*)$", re.M)
executed, faults = set(), []
for number, tuples, unsound, citation in LINE.findall(sweep.stdout):
    clause = number.split(".")[1]
    executed.add(number)
    fault = ""
    if int(tuples) == 0 or int(unsound):
        fault = f"{tuples} tuples executed, {unsound} unsound"
    elif f"[rule {number}]" not in citation and clause not in ("1", "2"):
        fault = "no error cites it"
    elif int(clause) > 10 and not citation.startswith(f"[{labels.get(clause)}] "):
        fault = f"its error is no {labels.get(clause)}: {citation}"
    faults += [f"rule {number}: {fault}"] if fault else []
    print(f"rule {number}: {fault or 'ok'}, {tuples} tuples")
faults += [f"rule {number}: not executed" for number in sorted(numbers - executed)]
faults += [sweep.stderr] if sweep.returncode else []
print("".join(fault + "\n" for fault in faults), file=sys.stderr, end="")
print(f"{len(numbers)} rules in docs/Rules.md, {len(executed)} executed")
sys.exit(1 if faults or len(numbers) < 300 else 0)
