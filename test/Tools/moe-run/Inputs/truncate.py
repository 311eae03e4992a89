"""Cuts a layer off at many places; moe-run must refuse each.

    truncate.py LAYER.so FLAG..
"""

import os
import subprocess
import sys

with open(sys.argv[1], "rb") as file:
    whole = file.read()
sizes = [*range(0, 128, 9), *range(128, len(whole), len(whole) // 60), len(whole) - 1]
for size in sizes:
    with open("cut.so", "wb") as file:
        file.write(whole[:size])
    run = subprocess.run(
        ["moe-run", "cut.so", *sys.argv[2:]], capture_output=True, text=True, check=False
    )
    lines = run.stderr.splitlines()
    if (
        run.returncode != 1
        or len(lines) != 2
        or not lines[0].startswith("moe-run: error: 'cut.so' is ")
        or os.path.exists("out")
    ):
        sys.exit(f"{size} of {len(whole)} bytes: exit code {run.returncode}, {run.stderr}")
print(f"{len(sizes)} refused")
