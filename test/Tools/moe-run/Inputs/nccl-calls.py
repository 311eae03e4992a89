"""Compares the collectives of a layer, of NCCL's log and of --stats.

    nccl-calls.py LAYER.so CALLS.txt STATS.txt
"""

import collections
import json
import re
import sys

layer, calls, stats = sys.argv[1:]
with open(layer, "rb") as file:
    text = re.search(rb'\{"abi":.*?\}(?=\0)', file.read(), re.S).group()
described = collections.Counter(
    collective["kind"] for collective in json.loads(text)["collectives"]
)
logged = collections.defaultdict(collections.Counter)
with open(calls) as file:
    for line in file:
        rank, call = re.match(r"rank (\d+): (\w+)", line).groups()
        logged[rank][re.sub(r"(?<!^)([A-Z])", r"_\1", call).lower()] += 1
counted = collections.Counter()
with open(stats) as file:
    for line in file:
        fields = line.split()
        if len(fields) == 5 and fields[3].isdigit() and fields[0] in described:
            counted[fields[0]] += int(fields[3])
print("described:", dict(described), "counted:", dict(counted))
for rank, counts in sorted(logged.items()):
    print(f"rank {rank} logged:", dict(counts))
if described and counted == described and all(c == described for c in logged.values()):
    print("NCCL, the description and --stats count the same on each rank")
