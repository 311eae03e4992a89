"""Checks that a command fails as a program of this project has to.

    fails.py CODE [PATH..] -- COMMAND..

CODE is the exit code; the last error line is of a program, the line after it a
`help:`, and nothing follows; none of PATH exists afterwards and the folders they
lie in, if there already, hold what they held before. Prints what the command printed.
"""

import os
import subprocess
import sys


def folders(paths):
    existing = {os.path.dirname(path) or "." for path in paths}
    return {f: sorted(os.listdir(f)) for f in sorted(existing) if os.path.isdir(f)}


split = sys.argv.index("--")
code, paths, command = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
before = folders(paths)
run = subprocess.run(
    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100
)
text = run.stdout.decode(errors="backslashreplace")
print(text, end="")
lines = text.splitlines()
wrong = []
if run.returncode != code:
    wrong.append(f"exit code {run.returncode}, not {code}")
if len(lines) < 2 or not lines[-1].startswith("help: ") or len(lines[-1]) < 12:
    wrong.append("the last line is no help")
if len(lines) < 2 or not lines[-2].startswith("moe-"):
    wrong.append("the line before it is no error of a program")
if sum(line.startswith("moe-") for line in lines) != 1:
    wrong.append("not exactly one error of a program")
if any(len(line) > 1000 for line in lines):
    wrong.append("a line of more than 1000 characters")
wrong += [f"{path} exists" for path in paths if os.path.exists(path)]
after = folders(paths)
wrong += [f"{folder} changed" for folder in before if after.get(folder) != before[folder]]
for line in wrong:
    print("fails.py:", line)
sys.exit(bool(wrong))
