"""Prints what the verifier says of each era's labels on each plan.

    verdicts.py MOE-IMPORT MOE-OPT CONFIG.json

A label says nothing of axes outside, so with them the verdict has to be the same.
"""

import re
import subprocess
import sys

moe_import, moe_opt, config = sys.argv[1:]
ERAS = ["none", "titan-1805", "titan-1878", "titan-2388"]
ERAS += ["titan-2416-review", "titan-2416-seed", "titan-2416"]


def judge(*flags):
    command = [moe_import, config, "--seq", "16", "--sequence-parallel", *flags]
    layer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    check = subprocess.run(
        [moe_opt, "--moe-check", "-o", "/dev/null"],
        input=layer.stdout,
        stderr=subprocess.PIPE,
    )
    errors = re.findall(r"error: \[(G\d)\] [^\n]*? at '([^']*)'", check.stderr.decode())
    assert check.returncode == bool(errors), check
    return ", ".join(" ".join(error) for error in errors) or "accepted"


for era in ERAS:
    for plan in "tp", "etp", "tp2ep":
        for score in "after", "before", "pre-down":
            flags = ["--plan", plan, "--labels", era, "--score", score]
            verdict = judge(*flags, "--batch", "2")
            print(f"{era} {plan} {score}: {verdict}")
            if score != "pre-down":
                mesh = "dp=2,ep=2,tp=2" if plan == "etp" else "dp=2,tp=2"
                outside = judge(*flags, "--batch", "4", "--mesh", mesh)
                assert outside == verdict, (mesh, outside)
