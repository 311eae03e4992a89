#!/usr/bin/env python3
"""Compares the labels of diagnostics in lib/ with those of docs/Diagnostics.md.

usage: check-labels.py SOURCE_ROOT
"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])

# A label in a message, or by itself as the argument of a helper; the first letter
# of a group of labels is none.
STRING = re.compile(r'(?<!starts_with\()(?<!extern )"((?:[^"\\\n]|\\.)*)"')
LABEL = re.compile(r"\[([A-Z]\d?)\] ?|\(([A-Z]\d?)\) |^([A-Z]\d?)$")

used = {}
for path in sorted((root / "lib").rglob("*.cpp")):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for text in STRING.findall(line.split("//")[0]):
            for groups in LABEL.findall(text):
                label = "".join(groups)
                used.setdefault(label, f"{path.relative_to(root)}:{number}")

page = (root / "docs" / "Diagnostics.md").read_text(encoding="utf-8")
# A heading `### G1: ...` or the first cell of a row `| W1 | ...`.
described = set(re.findall(r"^(?:### |\| )([A-Z]\d?)(?::| \|)", page, flags=re.M))

for label in sorted(used.keys() - described):
    print(f"{used[label]}: label {label} is not in docs/Diagnostics.md")
for label in sorted(described - used.keys()):
    print(f"docs/Diagnostics.md: label {label} is nowhere in lib/")
print(f"{len(used)} labels in lib/, {len(described)} described")
sys.exit(0 if used and used.keys() == described else 1)
