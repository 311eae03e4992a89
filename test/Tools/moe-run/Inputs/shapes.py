"""Prints name, element type and shape of each tensor of a safetensors file."""

import json
import struct
import sys

with open(sys.argv[1], "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
for name, entry in sorted(header.items()):
    print(name, entry["dtype"], entry["shape"])
