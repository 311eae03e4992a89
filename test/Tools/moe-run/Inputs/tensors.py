"""Writes a safetensors file.

    tensors.py FILE NAME:DTYPE:SHAPE[:VALUE]..

SHAPE is as in 2x3; the elements are drawn from NAME, so that equal names have equal
values, or those of VALUE, as in 1,2,nan, over and over.
"""

import json
import random
import struct
import sys

FORMATS = {"F32": "f", "F64": "d", "I32": "i", "I64": "q", "U64": "Q"}


def elements(name, dtype, count, value):
    generator = random.Random(name)
    given = [float(x) for x in value.split(",")] if value else []
    for i in range(count):
        x = given[i % len(given)] if given else generator.uniform(-1, 1)
        # bfloat16 is the upper half of a float32.
        if dtype == "BF16":
            yield struct.pack("<f", x)[2:]
        else:
            integer = dtype[0] in "IU"
            yield struct.pack("<" + FORMATS[dtype], int(x) if integer else x)


header, data = {}, b""
for argument in sys.argv[2:]:
    name, dtype, shape, *value = argument.split(":")
    sizes = [int(size) for size in shape.split("x")] if shape else []
    count = 1
    for size in sizes:
        count *= size
    begin = len(data)
    data += b"".join(elements(name, dtype, count, value[0] if value else None))
    offsets = [begin, len(data)]
    header[name] = {"dtype": dtype, "shape": sizes, "data_offsets": offsets}
text = json.dumps(header).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
