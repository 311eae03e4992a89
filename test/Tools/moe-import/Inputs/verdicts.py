"""Prints what the verifier says of each era's labels on each plan.

    verdicts.py MOE-IMPORT MOE-OPT CONFIG.json
"""

import re
import subprocess
import sys

moe_import, moe_opt, config = sys.argv[1:]
ERAS = ["none", "titan-1805", "titan-1878", "titan-2388"]
ERAS += ["titan-2416-review", "titan-2416-seed", "titan-2416"]
for era in ERAS:
    for plan in "tp", "etp", "tp2ep":
        for score in "after", "before", "pre-down":
            command = [moe_import, config, "--plan", plan, "--labels", era]
            command += ["--batch", "2", "--seq", "16", "--sequence-parallel"]
            layer = subprocess.run(
                command + ["--score", score], stdout=subprocess.PIPE, check=True
            )
            check = subprocess.run(
                [moe_opt, "--moe-check", "-o", "/dev/null"],
                input=layer.stdout,
                stderr=subprocess.PIPE,
            )
            errors = re.findall(
                r"error: \[(G\d)\] [^\n]*? at '([^']*)'", check.stderr.decode()
            )
            assert check.returncode == bool(errors), check
            verdict = ", ".join(" ".join(error) for error in errors) or "accepted"
            print(f"{era} {plan} {score}: {verdict}")
