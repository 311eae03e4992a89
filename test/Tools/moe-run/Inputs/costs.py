"""costs.py FILE [rising]: prints what a file of costs has. Fails if a number is negative,
or, if the largest messages are said to be so large that they show, if none is rising."""

import json
import sys

with open(sys.argv[1]) as file:
    costs = json.load(file)


def check(kinds):
    for segments in kinds.values():
        bounds = [segment.get("up_to_bytes") for segment in segments]
        assert bounds[-1] is None and None not in bounds[:-1], bounds
        assert bounds[:-1] == sorted(set(bounds[:-1])), bounds
        assert all(segment["alpha_us"] >= 0 and segment["beta_us_per_mib"] >= 0
                   for segment in segments), segments
        assert "rising" not in sys.argv or any(
            segment["beta_us_per_mib"] > 0 for segment in segments), segments
    return " ".join(kinds)


print(f"version {costs['version']}: {costs['source']}")
print("default:", check(costs["default"]))
for axis, kinds in costs.get("axes", {}).items():
    print(f"{axis}:", check(kinds))
