"""Prints what a trace of a run on GPUs shows of each rank.

    gpu-trace.py TRACE.json
"""

import collections
import json
import sys

with open(sys.argv[1]) as file:
    events = json.load(file)["traceEvents"]
names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
for rank, name in sorted(names.items()):
    own = [e for e in events if e["pid"] == rank]
    threads = {e["tid"]: e["args"]["name"] for e in own if e["name"] == "thread_name"}
    print(f"{name}: {' '.join(threads[t] for t in sorted(threads))}")
    spans = [e for e in own if e["ph"] == "X"]
    kinds = collections.Counter()
    for event in spans:
        place = event["args"].get("location")
        what = event["name"] + (f" at {place}" if place else "")
        order = ["kernel", "collective", "step"].index(event["cat"])
        kinds[order, event["cat"], what] += 1
    for (_, category, what), count in sorted(kinds.items()):
        print(count, category, what)
    by = {c: [e for e in spans if e["cat"] == c] for c in ("kernel", "collective", "step")}
    first = min(by["kernel"], key=lambda e: e["ts"])
    if min(e["ts"] for e in by["collective"]) >= first["ts"] + first["dur"]:
        print("the first collective begins after the first kernel ends")
    begin = by["step"][0]["ts"]
    end = begin + by["step"][0]["dur"]
    if all(begin <= e["ts"] and e["ts"] + e["dur"] <= end + 1 for e in spans):
        print("all of it lies in the step")
