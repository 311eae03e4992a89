#!/usr/bin/env python3
"""Compares what README.md shows with what the programs print.

usage: check-readme.py README.md                 the IR before and after --moe-check
       check-readme.py README.md --demo FILE     FILE, the output of tools/demo
       check-readme.py README.md --evidence FILE  FILE, evidence lines of tools/check;
                                                 numbers may differ
"""

import pathlib
import re
import subprocess
import sys

page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")


def program():
    """The lines before, with the function around them."""
    before, after = re.findall(r"```mlir\n(.*?)```", page, re.S)
    types = [line for line in before.splitlines() if not line.startswith("%")]
    operations = [line for line in before.splitlines() if line.startswith("%")]
    result = operations[-1].split(" -> ")[1]
    text = "\n".join(types)
    text += '\nfunc.func @project(%x: !X {spmd.name = "x"}, %w: !W {spmd.name = "w"})'
    text += f' -> ({result} {{spmd.name = "y"}}) {{\n' + "\n".join(operations)
    return text + f"\nreturn {operations[-1].split(' = ')[0]} : {result}\n}}\n", after


def check(text):
    return subprocess.run(["moe-opt", "--moe-check", "-"], input=text,
                          capture_output=True, text=True)


def compare_phases():
    text, after = program()
    joint = check(text).stdout.split("@project.vjp(")[1]
    for argument, name in (("%arg0", "%x"), ("%arg1", "%w"), ("%arg2", "%dy")):
        joint = joint.replace(argument, name)
    found = [re.sub(r" : .* -> ", " -> ", line.strip()) for line in joint.splitlines()]
    missing = [line for line in after.splitlines() if line not in found]
    for line in missing:
        print(f"README.md: moe-opt --moe-check does not print\n  {line}\nbut")
        print("\n".join(f"  {line}" for line in found if line.startswith("%")))
    # The label that the page calls false.
    refused = check(text.replace("claims <tp: partial<sum>>", "claims <>"))
    if "[G1]" not in refused.stderr:
        print("README.md: `grad claims <>` is not refused as the page says")
        missing.append("")
    return not missing and after.count("\n") == 5


def blocks():
    """The lines of each fenced block without a language."""
    body, language = None, ""
    for line in page.splitlines():
        if line.startswith("```"):
            if body is not None and not language:
                yield body
            body, language = ([], line[3:]) if body is None else (None, "")
        elif body is not None:
            body.append(line)


def differences(shown, found):
    for line in shown:
        if line not in found:
            yield f"not printed: {line}"
    for line in found:
        if line not in shown:
            yield f"not shown: {line}"


def compare_demo(found):
    shown = next((body for body in blocks() if body[0] == found[0]), [])
    return shown == found, differences(shown, found)


def compare_evidence(found):
    def form(lines):
        states = ("ok ", "short ", "skipped ")
        return [re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", line)
                for line in lines if line.startswith(states)]

    shown = form(line for body in blocks() for line in body)
    found = form(found)
    return shown == found, differences(shown, found)


if len(sys.argv) == 2:
    good = compare_phases()
else:
    compare = {"--demo": compare_demo, "--evidence": compare_evidence}[sys.argv[2]]
    good, why = compare(pathlib.Path(sys.argv[3]).read_text(encoding="utf-8").splitlines())
    if not good:
        for line in why:
            print(f"README.md: {line}")
sys.exit(0 if good else 1)
