"""Reads safetensors files, and writes them of float32 arrays."""

import json
import struct

import numpy

# BF16 is the upper half of F32.
DTYPES = {"BF16": "<u2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U64": "<u8"}


def read(path):
    """All tensors of the file, by name; floats as float64."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        array = array.reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view("<f4").astype(numpy.float64)
        if entry["dtype"] in ("F32", "F64"):
            array = array.astype(numpy.float64)
        tensors[name] = array
    return tensors


def write(path, tensors):
    """Writes the arrays as float32."""
    header, chunks, offset = {}, [], 0
    for name, array in tensors.items():
        chunk = numpy.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(chunk)],
        }
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))
