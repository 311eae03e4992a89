"""Checks a trace of moe-run and prints what each rank did.

    trace.py FILE.json STEPS
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    events = json.load(file)["traceEvents"]
steps = int(sys.argv[2])
names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
longest = []
for rank, name in sorted(names.items()):
    spans = [e for e in events if e["ph"] == "X" and e["pid"] == rank]
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in spans)
    whole = [e for e in spans if e["cat"] == "step"]
    assert [e["name"] for e in whole] == [f"step {i}" for i in range(steps)], whole
    flat = [e for e in spans if e["cat"] in ("compute", "collective")]
    # One after the other without a gap, from the beginning of each step to its end.
    for step in whole:
        inside = [e for e in flat if step["ts"] <= e["ts"] < step["ts"] + step["dur"]]
        now = step["ts"]
        for e in inside:
            assert abs(e["ts"] - now) < 0.002, (e, now)
            now = e["ts"] + e["dur"]
        assert abs(now - step["ts"] - step["dur"]) < 0.002
    # A collective is waiting and then moving.
    parts = [e for e in spans if e["cat"] in ("wait", "move")]
    collectives = [e for e in flat if e["cat"] == "collective"]
    assert [e["name"] for e in parts] == ["wait", "move"] * len(collectives)
    for i, e in enumerate(collectives):
        wait, move = parts[2 * i], parts[2 * i + 1]
        assert wait["ts"] == e["ts"] and abs(wait["dur"] - e["args"]["waiting_us"]) < 0.002
        assert abs(move["dur"] - e["args"]["moving_us"]) < 0.002
        assert abs(e["dur"] - wait["dur"] - move["dur"]) < 0.002
    first = [
        e["name"] + (f" ({e['args']['phase']})" if e["cat"] == "compute" else "")
        for e in flat
        if e["ts"] < whole[0]["ts"] + whole[0]["dur"]
    ]
    print(f"{name}, {len(whole)} steps: {', '.join(first)}")
    for e in collectives[: len(collectives) // steps]:
        a = e["args"]
        print(
            f"{e['name']}: collective {a['collective']}, axes {a['axes']}, {a['location']}, "
            f"{a['phase']}, {a['count']} elements, {a['bytes']} bytes, {a['sent']} sent"
        )
    most = max(flat, key=lambda e: e["dur"])
    longest.append(
        f"rank {rank} "
        + ("computes" if most["cat"] == "compute" else f"waits in {most['name']}")
    )
print("longest:", ", ".join(longest))
