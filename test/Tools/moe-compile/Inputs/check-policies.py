"""Checks what a report says of each policy against the rest of it.

    check-policies.py REPORT.json

Of a layer whose ranks all send as much. Prints how many reductions it has, and the bytes
of the backward pass under each policy.
"""

import json
import sys

POLICIES = ("eager", "boundary", "min-cut")

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
chosen = report["policy"]
totals = {(row["policy"], row["phase"]): row for row in report["policies"]}
assert list(totals) == [
    (policy, phase) for policy in ("as written", *POLICIES) for phase in ("forward", "backward")
], totals.keys()

# What was chosen is what the program does; routing decides the rest.
for phase in ("forward", "backward"):
    sent = [c["bytes"] for c in report["collectives"] if c["phase"] == phase and not c["bound"]]
    assert all(len(set(bytes)) == 1 for bytes in sent), sent
    assert totals[chosen, phase]["bytes"] == sum(bytes[0] for bytes in sent), (totals, sent)

# Each reduction has what each policy makes of it, and why.
assert report["reductions"]
for reduction in report["reductions"]:
    assert list(reduction["policies"]) == sorted(POLICIES), reduction
    for fate in reduction["policies"].values():
        assert fate["why"] and fate["fate"] in ("kept", "moved", "merged", "removed"), fate
        # A collective takes time, and there is none without a place.
        assert (fate["us"] > 0) == (fate["bytes"] > 0) == (fate["fate"] != "removed"), fate
        assert bool(fate["to"]) == (fate["fate"] in ("moved", "merged")), fate
    ours = reduction["policies"][chosen]
    for key, there in (("fate", "fate"), ("why", "why"), ("to", "to")):
        assert ours[key] == reduction[there], reduction
    assert (ours["bytes"], ours["us"]) == (reduction["bytes_after"], reduction["us_after"])


def us(policy):
    return sum(totals[policy, phase]["us"] for phase in ("forward", "backward"))


assert us("min-cut") <= min(us("eager"), us("boundary")) + 1e-6
backward = ", ".join(
    f"{policy} {totals[policy, 'backward']['bytes']}" for policy in ("as written", *POLICIES)
)
print(f"{len(report['reductions'])} reductions, bytes backward: {backward}")
