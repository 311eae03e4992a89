"""Makes folders with a copy of moe-run and a back end that misbehaves.

    backend.py MOE-RUN
"""

import os
import shutil
import sys

SCRIPTS = {
    "missing": None,
    "crash": "kill -SEGV $$",
    "kill": "kill -KILL $$",
    "sleep": "exec sleep 100",
}
for folder, script in SCRIPTS.items():
    os.mkdir(folder)
    shutil.copy(sys.argv[1], folder + "/moe-run")
    if script:
        with open(folder + "/moe-reference", "w") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(folder + "/moe-reference", 0o755)
