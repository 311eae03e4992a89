"""Products, sums, and what depends on all along a dimension."""

from __future__ import annotations

import math

from .layouts import Constant, Value
from .operations import (LETTERS, Call, binary, operation, reshape, scale)
from .program import Untranslatable


@operation("mm", "bmm", "dot", "mv", "matmul")
def product(call: Call):
    a, b = map(call.tensor, call.args[:2])
    return contract(call, a, b)


def contract(call: Call, a: Value, b: Value) -> Value:
    if (a.rank, b.rank) == (2, 2):
        return call.program.einsum(["ak", "kb"], "ab", [a, b])
    if (a.rank, b.rank) == (3, 3):
        return call.program.einsum(["nak", "nkb"], "nab", [a, b])
    if (a.rank, b.rank) == (2, 1):
        return call.program.einsum(["ak", "k"], "a", [a, b])
    if (a.rank, b.rank) == (1, 1):
        return call.program.einsum(["k", "k"], "", [a, b])
    raise Untranslatable(f"a product of {a.rank} and {b.rank} dimensions")


@operation("addmm", "baddbmm")
def add_product(call: Call):
    bias, a, b = call.args[:3]
    product_ = contract(call, call.tensor(a), call.tensor(b))
    product_ = scale(call, product_, call.kwargs.get("alpha", 1))
    beta = call.kwargs.get("beta", 1)
    if beta == 0:
        return product_
    return binary(call, "arith.addf", scale(call, call.tensor(bias), beta), product_)


@operation("linear")
def linear(call: Call):
    x, w = map(call.tensor, call.args[:2])
    letters = LETTERS[:x.rank - 1]
    y = call.program.einsum([letters + "y", "zy"], letters + "z", [x, w])
    bias = call.get(2, "bias")
    return y if bias is None else binary(call, "arith.addf", y, bias)


@operation("_grouped_mm")
def grouped_product(call: Call):
    """Rows of a group meet that group's matrix: a product with a mask of the groups."""
    a, b = map(call.tensor, call.args[:2])
    offsets = call.get(2, "offs")
    if not isinstance(offsets, Value):
        raise Untranslatable("groups without offsets")
    groups = call.local_shape(offsets)[0]
    program = call.program
    offsets = program.local(offsets, [0])
    rows = call.local_shape(a)[0 if a.rank == 2 and b.rank == 3 else 1]
    mask = program.opaque("groups of rows", ["e"], "ne", [offsets], {"n": rows}, whole="e")
    if (a.rank, b.rank) == (2, 3):
        all_ = program.einsum(["nk", "ekb"], "neb", [a, b])
        return program.einsum(["neb", "ne"], "nb", [all_, mask])
    if (a.rank, b.rank) == (2, 2):
        del groups
        own = program.einsum(["an", "ne"], "ane", [a, mask])
        return program.einsum(["ane", "nb"], "eab", [own, b])
    raise Untranslatable(f"a grouped product of {a.rank} and {b.rank} dimensions")


# Reductions and what needs whole dimensions

def dims_of(call: Call, value, dims) -> list[int]:
    if dims is None or dims == []:
        return list(range(value.rank))
    return [d % value.rank for d in ([dims] if isinstance(dims, int) else dims)]


@operation("sum", "mean")
def reduce_sum(call: Call):
    value = call.args[0]
    if isinstance(value, Constant):
        return call.program.constant("constant", call.shapes[0])
    dims = dims_of(call, value, call.get(1, "dim"))
    letters = LETTERS[:value.rank]
    kept = "".join(c for i, c in enumerate(letters) if i not in dims)
    local = call.local_shape(value)
    # Ranks sum what they hold.
    value = call.program.local(value, dims)
    result = call.program.einsum([letters], kept, [value])
    if call.name == "aten.mean":
        result = scale(call, result, 1 / math.prod(local[d] for d in dims))
    return reshape(call, result, call.shapes[0])


@operation("amax", "amin", "max", "min", "prod", "argmax", "argmin", "any", "all", "logsumexp",
           "linalg_vector_norm", "var", "histc", "bincount", "repeat_interleave")
def reduce(call: Call):
    value = call.tensor(call.args[0])
    counts = call.name in ("aten.histc", "aten.bincount", "aten.repeat_interleave")
    dims = None if counts else call.get(1, "dim")
    if call.name == "aten.linalg_vector_norm":
        dims = call.get(2, "dim")
    dims = dims_of(call, value, dims)
    letters = LETTERS[:value.rank]
    kept = "".join(c for i, c in enumerate(letters) if i not in dims)
    value = call.program.local(value, dims)
    results = []
    for shape in call.shapes:
        new = {}
        term = kept
        if counts:
            new, term = {"z": shape[0]}, "z"
        result = call.program.opaque(call.name, [letters], term, [value], new, whole=letters
                                     if not kept else "")
        results.append(reshape(call, result, shape))
    return results


@operation("_softmax", "softmax", "_log_softmax", "cumsum", "sort", "argsort", "topk")
def along_dimension(call: Call):
    """Each result depends on all along one dimension."""
    value = call.tensor(call.args[0])
    name = call.name.split(".")[1]
    default = -1 if name in ("sort", "argsort", "topk") else None
    index = {"topk": 2}.get(name, 1)
    dim = call.get(index, "dim", default)
    # Overloads that say whether the sort is stable have the dimension later.
    if isinstance(dim, bool):
        dim = call.get(2, "dim", -1)
    dim %= value.rank
    value = call.program.local(value, [dim])
    if name in ("_softmax", "softmax") and dim == value.rank - 1:
        made = call.program.make(value.shape, value.stack, value.cuts)
        return call.program.write(made, f"moe.softmax {value.name}", [value])
    letters = LETTERS[:value.rank]
    result = letters[:dim] + "z" + letters[dim + 1:]
    if name == "cumsum":
        size = call.local_shape(value)[dim]
        ones_ = call.program.constant("triangle", (size, size))
        return call.program.einsum([letters, letters[dim] + "z"], result, [value, ones_])
    return [call.program.opaque(call.name, [letters], result, [value], {"z": shape[dim]})
            for shape in call.shapes]


@operation("flip")
def flip(call: Call):
    value = call.tensor(call.args[0])
    for dim in dims_of(call, value, call.args[1]):
        value = call.program.local(value, [dim])
        letters = LETTERS[:value.rank]
        size = call.local_shape(value)[dim]
        order = call.program.constant("reversal", (size, size))
        value = call.program.einsum([letters, letters[dim] + "z"],
                                    letters[:dim] + "z" + letters[dim + 1:], [value, order])
    return value


@operation("_softmax_backward_data", "_log_softmax_backward_data")
def softmax_backward(call: Call):
    gradient, saved = map(call.tensor, call.args[:2])
    dim = call.args[2] % saved.rank
    if call.name != "aten._softmax_backward_data" or dim != saved.rank - 1:
        raise Untranslatable("a softmax that is not over the last dimension, or of a logarithm")
    gradient, saved = (call.program.local(v, [dim]) for v in (gradient, saved))
    letters = LETTERS[:saved.rank]
    (saved, gradient), full, stack, _, _, _ = call.program.align(
        [letters, letters], [saved, gradient])
    for axis in stack:
        saved, gradient = (call.program.stacked(v, axis) for v in (saved, gradient))
    made = call.program.make(saved.shape, stack, saved.cuts)
    return call.program.write(made, f"moe.softmax_vjp {saved.name}, {gradient.name}",
                              [saved, gradient])
