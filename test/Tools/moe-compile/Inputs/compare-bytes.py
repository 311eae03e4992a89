"""Compares the totals of a report with what `moe-run --stats` counted.

usage: compare-bytes.py report.json stats.txt
"""

import json
import sys

with open(sys.argv[1]) as file:
    report = json.load(file)
counted = {}
with open(sys.argv[2]) as file:
    for line in file:
        words = line.split()
        if len(words) == 5 and words[2] in ("forward", "backward"):
            kind, axes, phase, count, size = words
            counted[phase, kind, axes] = (int(count), int(size))
stated = {}
for total in report["totals"]:
    key = total["phase"], total["kind"], ",".join(total["axes"])
    count, size = counted.get(key, (0, 0))
    stated[key] = (total["count"], size if total["bound"] and size <= total["bytes"]
                   else total["bytes"])
if stated != counted or not stated:
    sys.exit(f"stated {stated}\ncounted {counted}")
exact = sum(not total["bound"] for total in report["totals"])
print(f"{len(stated)} totals equal, {exact} of them exact")
