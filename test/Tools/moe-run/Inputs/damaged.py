"""Writes files that are almost safetensors into the current folder."""

import json
import struct


def write(name, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(name + ".safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text) if length is None else length))
        file.write(text + data)


def entry(begin, end, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


write("truncated", {"x": entry(0, 8)}, b"\0" * 4)
write("overlap", {"x": entry(0, 8), "w": entry(4, 12)}, b"\0" * 12)
write("hole", {"x": entry(0, 8), "w": entry(12, 20)}, b"\0" * 20)
write("tail", {"x": entry(0, 8)}, b"\0" * 9)
write("order", {"x": entry(8, 0)}, b"\0" * 8)
write("size", {"x": entry(0, 8, shape=(3,))}, b"\0" * 8)
write("huge", {"x": entry(0, 8, shape=(2**40, 2**40))}, b"\0" * 8)
write("negative", {"x": entry(0, 8, shape=(-2,))}, b"\0" * 8)
write("dtype", {"x": entry(0, 8, dtype="F8")}, b"\0" * 8)
write("twice", b'{"x": %b, "x": %b}' % ((json.dumps(entry(0, 8)).encode(),) * 2))
write("text", b"hello")
write("array", [])
write("deep", b"[" * 100000)
write("long", {}, length=10)
write("longer", {}, length=2**63)
write("metadata", {"__metadata__": {"step": 3}})
for name, content in {"empty": b"", "short": b"\1\2\3"}.items():
    with open(name + ".safetensors", "wb") as file:
        file.write(content)
