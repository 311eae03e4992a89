"""Runs a command and checks that no process of it is left when it has ended.

    orphans.py [--kill] -- COMMAND..

With --kill the command itself is killed after half a second. Prints what the command
printed; the exit code is its own, or 99 if there are orphans.
"""

import os
import subprocess
import sys
import time


def members(session):
    """The processes of a session that have not ended, by number."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                state, _, _, own = file.read().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state not in "ZX":
            found.append(int(name))
    return found


split = sys.argv.index("--")
command = sys.argv[split + 1 :]
process = subprocess.Popen(
    command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
)
if "--kill" in sys.argv[1:split]:
    time.sleep(0.5)
    print(f"{len(members(process.pid))} processes")
    process.kill()
output, _ = process.communicate()
print(output.decode(errors="backslashreplace"), end="")
# Those of a killed parent are killed by the system, which takes a moment.
deadline = time.monotonic() + 5
while members(process.pid) and time.monotonic() < deadline:
    time.sleep(0.02)
left = members(process.pid)
if left:
    print(f"orphans.py: {len(left)} processes are left")
sys.exit(99 if left else process.returncode % 256)
