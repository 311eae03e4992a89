"""What aten operations mean on global tensors.

An operation becomes operations that are linear in what it is linear in and know which
dimension of an operand becomes which of the result; what it computes otherwise is opaque.
One that is not here has no meaning: nothing is known of its results.
"""

from __future__ import annotations

import math
import string

from .layouts import Constant, Value
from .program import Program, Untranslatable, reassociate, tensor_type

LETTERS = string.ascii_lowercase
OPERATIONS = {}


def operation(*names: str):
    def register(function):
        for name in names:
            OPERATIONS[f"aten.{name}"] = function
        return function

    return register


class Call:
    """One operation: its arguments, and the program to write to."""

    def __init__(self, program: Program, name: str, args, kwargs, shapes, dtypes, sources):
        self.program, self.name = program, name
        self.args, self.kwargs = list(args), kwargs
        #: The local shapes and element types of the results, and types of the operands.
        self.shapes, self.dtypes, self.sources = shapes, dtypes, sources

    def get(self, index: int, name: str, default=None):
        if index < len(self.args):
            return self.args[index]
        return self.kwargs.get(name, default)

    def local_shape(self, value) -> tuple[int, ...]:
        if isinstance(value, Constant):
            return value.local_shape
        return self.program.axes.local_shape(value)

    def tensor(self, value) -> Value:
        if isinstance(value, Constant):
            return self.program.constant("constant", value.local_shape)
        if not isinstance(value, Value):
            raise Untranslatable(f"an argument {value!r}")
        return value


class PerRank(tuple):
    """A number that differs between ranks: one for each."""


def number(value) -> str:
    return f"{float(value):.17e}"


def is_number(value) -> bool:
    return isinstance(value, (int, float, bool)) and not isinstance(value, PerRank)


def per_rank(call: Call, numbers: PerRank) -> Value:
    """A scalar that differs between ranks."""
    program = call.program
    axes = program.axes
    of = dict(zip(program.ranks, numbers))
    stack = [axis for axis in axes.order
             if any(of[r] != of[q] for r in of for q in of
                    if all((axes.coordinate(r, (a,)) == axes.coordinate(q, (a,))) == (a != axis)
                           for a in axes.order))]
    value = program.make([axes.sizes[a] for a in stack], stack, (), rest="replicate")
    return program.argument(f"rank.{value.name[1:]}", value)


# Same numbers, other shape

@operation("detach", "alias", "clone", "contiguous", "lift_fresh", "lift_fresh_copy",
           "positive", "_to_copy", "to", "type_as", "view_as")
def same(call: Call):
    value = call.args[0]
    if isinstance(value, Constant):
        return value
    if call.sources[0].is_floating_point and not call.dtypes[0].is_floating_point:
        return nonlinear(call, [value])
    return value


@operation("copy")
def copy(call: Call):
    source = call.args[1]
    if call.local_shape(source) != call.shapes[0]:
        return expand_to(call, source, call.shapes[0])
    return source


@operation("view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "flatten", "unflatten",
           "_reshape_alias")
def view(call: Call):
    return reshape(call, call.args[0], call.shapes[0])


def reshape(call: Call, value, target):
    target = tuple(target)
    if isinstance(value, Constant):
        return Constant(value.number, target)
    if math.prod(target) == 0:
        raise Untranslatable("a tensor without elements")
    program, axes = call.program, call.program.axes
    while True:
        source = axes.local_shape(value)
        if source == target:
            return value
        cuts: list[tuple[str, ...]] = [()] * len(target)
        local = None
        for a, b in reassociate(source, target):
            cut = [i for i in a if value.cuts[i]]
            if not cut:
                continue
            outer = next((i for i in a if source[i] > 1 or value.cuts[i]), None)
            into = next((j for j in b if target[j] > 1), b[0] if b else None)
            # The rule for reshapes knows no more than that all axes may cut a dimension.
            sizes = value.shape[len(value.stack):]
            even = len([i for i in a if source[i] > 1]) < 2 and len(
                [j for j in b if target[j] > 1]) < 2 or all(
                    sizes[i] % axes.size(axes.order) == 0 for i in cut)
            if cut != [outer] or into is None or not even:
                local = cut
                break
            cuts[into] = value.cuts[outer]
        if local is None:
            break
        value = program.local(value, local)
    shape = value.shape[:len(value.stack)] + tuple(
        s * axes.size(c) for s, c in zip(target, cuts))
    if not value.shape or not shape:
        # Of one element; dimensions of 1 come and go.
        return program.generic(
            [LETTERS[:len(value.shape)]], LETTERS[:len(shape)], [value], [], "%x0",
            {c: 1 for c in LETTERS[:len(shape)]}) if not value.shape else program.einsum(
                [LETTERS[:value.rank]], "", [value])
    return program.reshape(value, program.make(shape, value.stack, cuts))


@operation("t", "transpose", "permute", "numpy_T", "swapaxes")
def transpose(call: Call):
    value = call.args[0]
    if isinstance(value, Constant):
        return Constant(value.number, call.shapes[0])
    rank = value.rank
    order = list(range(rank))
    name = call.name.split(".")[1]
    if name == "permute":
        order = [d % rank for d in call.args[1]]
    elif name in ("transpose", "swapaxes"):
        i, j = (d % rank for d in call.args[1:3])
        order[i], order[j] = order[j], order[i]
    else:
        order.reverse()
    letters = LETTERS[:rank]
    return call.program.einsum([letters], "".join(letters[i] for i in order), [value])


@operation("expand", "expand_as", "broadcast_to")
def expand(call: Call):
    return expand_to(call, call.args[0], call.shapes[0])


def expand_to(call: Call, value, target):
    if isinstance(value, Constant):
        return Constant(value.number, tuple(target))
    if call.local_shape(value) == tuple(target):
        return value
    (value,), (term,), result, new = broadcast(call, [value], target)
    return call.program.generic([term], result, [value], [], "%x0", new)


def broadcast(call: Call, values: list[Value], target):
    """Values without dimensions of 1 that the result has longer, and terms by letters."""
    result = LETTERS[:len(target)]
    terms, squeezed = [], []
    for value in values:
        local = call.local_shape(value)
        letters = result[len(target) - len(local):]
        short = [i for i, (s, t) in enumerate(
            zip(local, target[len(target) - len(local):])) if s != t]
        if short:
            value = call.program.local(value, short)
            keep = [s for i, s in enumerate(call.local_shape(value)) if i not in short]
            value = reshape(call, value, keep)
        terms.append("".join(c for i, c in enumerate(letters) if i not in short))
        squeezed.append(value)
    used = set("".join(terms))
    new = {c: s for c, s in zip(result, target) if c not in used}
    return squeezed, terms, result, new


# Element by element

NAMED = {"arith.addf": "moe.add", "arith.subf": "moe.sub", "arith.mulf": "moe.mul",
         "arith.divf": "moe.div"}


def binary(call: Call, scalar: str, a, b):
    """`scalar` of two operands, each of which may be a number or a constant."""
    target = call.shapes[0]
    a, b = (Constant(float(x), ()) if is_number(x) else x for x in (a, b))
    a, b = (per_rank(call, x) if isinstance(x, PerRank) else x for x in (a, b))
    if isinstance(a, Constant) and isinstance(b, Constant):
        return call.program.constant("constant", target)
    constant = next((x for x in (a, b) if isinstance(x, Constant)), None)
    if constant is not None and not math.isfinite(constant.number):
        return nonlinear(call, [x for x in (a, b) if isinstance(x, Value)])
    if constant is not None:
        value, = (x for x in (a, b) if isinstance(x, Value))
        value = expand_to(call, value, target)
        neutral = 0.0 if scalar in ("arith.addf", "arith.subf") else 1.0
        if constant is b and constant.number == neutral:
            return value
        if constant is a and scalar == "arith.addf" and constant.number == 0:
            return value
        factor = None
        if scalar == "arith.mulf":
            factor = constant.number
        elif scalar == "arith.divf" and constant is b and constant.number:
            factor = 1 / constant.number
        elif scalar == "arith.subf" and constant is a and constant.number == 0:
            factor = -1.0
        if factor is not None:
            return scale(call, value, factor)
        letters = LETTERS[:value.rank]
        operands = "%x0, %c" if constant is b else "%c, %x0"
        return call.program.generic(
            [letters], letters, [value],
            [f"%c = arith.constant {number(constant.number)} : f32",
             f"%y = {scalar} {operands} : f32"], "%y")
    if scalar in ("arith.addf", "arith.subf"):
        a, b = terms_of(call, a, b), terms_of(call, b, a)
    values, terms, result, new = broadcast(call, [a, b], target)
    program = call.program
    if terms[0] == terms[1] == result:
        values, full, stack, _, _, _ = program.align(terms, values)
        if full[0] == full[1]:
            made = program.make(values[0].shape, stack, values[0].cuts)
            return program.write(
                made, f"{NAMED[scalar]} {values[0].name}, {values[1].name}", values)
    return program.generic(terms, result, values, [f"%y = {scalar} %x0, %x1 : f32"], "%y", new)


def terms_of(call: Call, value: Value, other: Value) -> Value:
    """What differs between ranks, added to terms of a sum, is more of its terms."""
    for axis in value.stack:
        if axis in other.terms:
            value = call.program.summed(value, axis)
    return value


def scale(call: Call, value: Value, factor: float) -> Value:
    if factor == 1:
        return value
    made = call.program.make(value.shape, value.stack, value.cuts)
    return call.program.write(made, f"moe.scale {value.name} by {number(factor)}", [value])


def nonlinear(call: Call, values: list[Value]) -> Value:
    """An element-wise function of which no more is known."""
    target = call.shapes[0]
    values = [expand_to(call, v, target) for v in values]
    letters = LETTERS[:len(target)]
    if not values:
        return call.program.constant(call.name, target)
    return call.program.opaque(call.name, [letters] * len(values), letters, values)


def tensors(arguments) -> list[Value]:
    return [a for a in arguments if isinstance(a, Value)]


@operation("add", "sub", "rsub")
def add(call: Call):
    a, b = call.args[:2]
    alpha = call.kwargs.get("alpha", 1)
    if call.name == "aten.rsub":
        a, b = b, a
    if alpha != 1:
        b = scale(call, b, alpha) if isinstance(b, Value) else Constant(
            alpha * (b.number if isinstance(b, Constant) else b), call.shapes[0])
    return binary(call, "arith.addf" if call.name == "aten.add" else "arith.subf", a, b)


@operation("mul")
def multiply(call: Call):
    return binary(call, "arith.mulf", *call.args[:2])


@operation("div")
def divide(call: Call):
    if call.kwargs.get("rounding_mode"):
        return nonlinear(call, tensors(call.args))
    return binary(call, "arith.divf", *call.args[:2])


@operation("neg")
def negate(call: Call):
    return scale(call, call.tensor(call.args[0]), -1.0)


@operation("sigmoid", "silu")
def activation(call: Call):
    value = call.tensor(call.args[0])
    made = call.program.make(value.shape, value.stack, value.cuts)
    return call.program.write(made, f"moe.{call.name[5:]} {value.name}", [value])


@operation("sigmoid_backward", "silu_backward")
def activation_backward(call: Call):
    gradient, saved = map(call.tensor, call.args[:2])
    letters = LETTERS[:saved.rank]
    (saved, gradient), full, stack, _, _, _ = call.program.align(
        [letters, letters], [saved, gradient])
    if full[0] != full[1]:
        for axis in stack:
            saved, gradient = (call.program.stacked(v, axis) for v in (saved, gradient))
    made = call.program.make(saved.shape, stack, saved.cuts)
    return call.program.write(made, f"moe.{call.name[5:-9]}_vjp {saved.name}, {gradient.name}",
                              [saved, gradient])


@operation("threshold_backward", "gelu_backward", "tanh_backward", "hardtanh_backward",
           "leaky_relu_backward")
def derivative(call: Call):
    gradient, saved = map(call.tensor, call.args[:2])
    return binary(call, "arith.mulf", nonlinear(call, [saved]), gradient)


@operation(
    "abs", "acos", "arange", "bitwise_and", "bitwise_not", "bitwise_or", "ceil", "clamp",
    "clamp_max", "clamp_min", "cos", "eq", "erf", "exp", "expm1", "floor", "floor_divide",
    "fmod", "ge", "gelu", "gt", "isfinite", "isinf", "isnan", "le", "leaky_relu", "log",
    "log1p", "logical_and", "logical_not", "logical_or", "lt", "maximum", "minimum", "ne",
    "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "sgn", "sign", "sin",
    "softplus", "sqrt", "square", "tanh", "trunc", "scalar_tensor")
def element_wise(call: Call):
    if any(isinstance(a, PerRank) for a in (*call.args, *call.kwargs.values())):
        raise Untranslatable("an argument differs between ranks")
    return nonlinear(call, tensors(call.args))


@operation("where")
def where(call: Call):
    condition, a, b = call.args[:3]
    if not isinstance(condition, Value):
        raise Untranslatable("a condition that is a constant")
    mask = nonlinear(call, [condition])
    other = nonlinear(call, [condition])
    return binary(call, "arith.addf", binary(call, "arith.mulf", mask, a),
                  binary(call, "arith.mulf", other, b))


@operation("masked_fill")
def masked_fill(call: Call):
    value, mask, fill = call.args[:3]
    if (isinstance(value, Value) and isinstance(mask, Value)
            and (fill == 0 or isinstance(fill, Constant) and fill.number == 0)):
        return binary(call, "arith.mulf", value, nonlinear(call, [mask]))
    return nonlinear(call, tensors([value, mask]))


# Constants

@operation("zeros", "new_zeros", "zeros_like", "empty", "new_empty", "empty_like",
           "empty_strided", "new_empty_strided", "zero")
def zeros(call: Call):
    return Constant(0.0, call.shapes[0])


@operation("ones", "new_ones", "ones_like")
def ones(call: Call):
    return Constant(1.0, call.shapes[0])


@operation("full", "full_like", "new_full", "fill")
def full(call: Call):
    index = 2 if call.name == "aten.new_full" else 1
    fill = call.get(index, "fill_value")
    if isinstance(fill, Constant):
        fill = fill.number
    if not is_number(fill):
        raise Untranslatable("it is filled with a tensor")
    return Constant(float(fill), call.shapes[0])


# Contractions

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


# Parts

@operation("slice", "narrow", "select")
def cut(call: Call):
    value = call.args[0]
    if isinstance(value, Constant):
        return Constant(value.number, call.shapes[0])
    dim = call.get(1, "dim", 0) % value.rank
    start = call.get(2, "index" if call.name == "aten.select" else "start", 0) or 0
    step = call.get(4, "step", 1) if call.name == "aten.slice" else 1
    size = call.local_shape(value)[dim]
    length = 1 if call.name == "aten.select" else call.shapes[0][dim]
    result = part(call, value, dim, start, length, size, step)
    return reshape(call, result, call.shapes[0])


def part(call: Call, value: Value, dim: int, start, length: int, size: int, step: int = 1):
    program = call.program
    if isinstance(start, PerRank):
        axis = own_part(call, start, length, size)
        if axis in value.axes or value.cuts[dim] or step != 1:
            raise Untranslatable("a part that depends on the rank, of a tensor that does too")
        cuts = value.cuts[:dim] + ((axis,),) + value.cuts[dim + 1:]
        made = program.make(value.shape, value.stack, cuts)
        return program.convert(value, made, {axis})
    start = start + size if start < 0 else start
    if length == size:
        return value
    value = program.local(value, [dim])
    at = dim + len(value.stack)
    offsets = [start if i == at else 0 for i in range(len(value.shape))]
    sizes = [length if i == at else s for i, s in enumerate(value.shape)]
    steps = [step if i == at else 1 for i in range(len(value.shape))]
    made = program.make(sizes, value.stack, value.cuts)
    return program.compute([value], made, lambda names: (
        [f"%s = tensor.extract_slice {names[0]}{offsets} {sizes} {steps} : "
         f"{tensor_type(value.shape)} to {tensor_type(sizes)}"], "%s"))


def own_part(call: Call, start: PerRank, length: int, size: int) -> str:
    """The axis along which each rank takes its part, in the order of ranks."""
    axes = call.program.axes
    for axis in axes.order:
        if (size == length * axes.sizes[axis]
                and all(s == axes.coordinate(r, (axis,)) * length
                        for r, s in zip(call.program.ranks, start))):
            return axis
    raise Untranslatable(f"parts that start at {list(start)} on the ranks")


@operation("split", "split_with_sizes", "chunk", "unbind")
def split(call: Call):
    value = call.args[0]
    if isinstance(value, Constant):
        return [Constant(value.number, s) for s in call.shapes]
    name = call.name.split(".")[1]
    dim = call.get(1 if name == "unbind" else 2, "dim", 0) % value.rank
    size, start, results = call.local_shape(value)[dim], 0, []
    for shape in call.shapes:
        length = 1 if name == "unbind" else shape[dim]
        results.append(reshape(call, part(call, value, dim, start, length, size), shape))
        start += length
    return results


@operation("cat", "stack")
def concatenate(call: Call):
    values = [call.tensor(v) for v in call.args[0]]
    dim = call.get(1, "dim", 0) % len(call.shapes[0])
    if call.name == "aten.stack":
        shape = tuple(s for s in call.shapes[0])
        values = [reshape(call, v, shape[:dim] + (1,) + shape[dim + 1:]) for v in values]
    if len(values) == 1:
        return values[0]
    program = call.program
    letters = LETTERS[:values[0].rank]
    spare = iter(reversed(LETTERS))
    values = [program.local(v, [dim]) for v in values]
    # Different letters, since the lengths differ.
    terms = [letters[:dim] + letters[dim] + letters[dim + 1:] for _ in values]
    del spare
    values, _, stack, _, _, _ = program.align(terms, values, whole=letters[dim])
    for axis in stack:
        values = [program.stacked(v, axis) for v in values]
    at = dim + len(stack)
    shape = list(values[0].shape)
    shape[at] = sum(v.shape[at] for v in values)
    made = program.make(shape, stack, values[0].cuts)
    return program.compute(values, made, lambda names: (
        [f"%s = tensor.concat dim({at}) {', '.join(names)} : "
         f"({', '.join(tensor_type(v.shape) for v in values)}) -> {tensor_type(shape)}"], "%s"))


@operation("slice_backward", "select_backward")
def cut_backward(call: Call):
    gradient = call.args[0]
    if isinstance(gradient, Constant):
        return Constant(0.0, call.shapes[0])
    target, dim, start = call.shapes[0], call.args[2] % len(call.shapes[0]), call.args[3]
    if call.name == "aten.select_backward":
        gradient = reshape(call, gradient, target[:dim] + (1,) + target[dim + 1:])
    elif call.args[5] != 1:
        raise Untranslatable("a part with steps")
    return pad(call, gradient, dim, start or 0, target[dim])


@operation("constant_pad_nd", "pad")
def constant_pad(call: Call):
    value, widths = call.args[0], call.args[1]
    if call.get(2, "value", 0) not in (0, None):
        raise Untranslatable("padding that is not zero")
    for i in range(len(widths) // 2):
        dim = len(call.shapes[0]) - 1 - i
        value = pad(call, value, dim, widths[2 * i], call.shapes[0][dim])
    return value


def pad(call: Call, value: Value, dim: int, start, size: int) -> Value:
    """Zeros before and after along a dimension, up to a local size."""
    program = call.program
    length = call.local_shape(value)[dim]
    if isinstance(start, PerRank):
        axis = own_part(call, start, length, size)
        if value.cuts[dim] != (axis,):
            value = program.unstacked(program.stacked(value, axis), axis, dim)
        cuts = value.cuts[:dim] + ((),) + value.cuts[dim + 1:]
        made = program.make(value.shape, value.stack, cuts, {axis: "partial<sum>"})
        return program.convert(value, made, {axis})
    start = start + size if start < 0 else start
    if length == size:
        return value
    value = program.local(value, [dim])
    at = dim + len(value.stack)
    low = [start if i == at else 0 for i in range(len(value.shape))]
    high = [size - length - start if i == at else 0 for i in range(len(value.shape))]
    shape = [size if i == at else s for i, s in enumerate(value.shape)]
    made = program.make(shape, value.stack, value.cuts)
    indices = ", ".join(f"%i{i}: index" for i in range(len(shape)))

    def body(names):
        return [f"%zero = arith.constant 0.0 : f32",
                f"%s = tensor.pad {names[0]} low{low} high{high} {{\n    ^bb1({indices}):\n"
                f"      tensor.yield %zero : f32 {program.location}\n    }} : "
                f"{tensor_type(value.shape)} to {tensor_type(shape)}"], "%s"

    return program.compute([value], made, body)


# Rows by number

def selection(call: Call, index: Value, size: int) -> Value:
    """A matrix of zeros and ones: for each index, where it is among `size`."""
    letters = LETTERS[:index.rank]
    return call.program.opaque(f"{call.name} index", [letters], letters + "z", [index],
                               {"z": size})


@operation("index", "index_select", "embedding")
def gather_rows(call: Call):
    value = call.args[0]
    dim, index = 0, call.args[1]
    if call.name == "aten.index":
        if len([i for i in index if i is not None]) != 1:
            raise Untranslatable("an index of several tensors")
        dim = next(i for i, x in enumerate(index) if x is not None)
        index = index[dim]
    elif call.name == "aten.index_select":
        dim, index = call.args[1], call.args[2]
    if isinstance(value, Constant):
        return Constant(value.number, call.shapes[0])
    index = call.tensor(index)
    dim %= value.rank
    if index.rank + value.rank - 1 != len(call.shapes[0]):
        raise Untranslatable("an index that is a mask")
    letters = LETTERS[:value.rank]
    rows = LETTERS[value.rank:value.rank + index.rank]
    value = call.program.local(value, [dim])
    chosen = selection(call, index, call.local_shape(value)[dim])
    return call.program.einsum([letters, rows + letters[dim]],
                               letters[:dim] + rows + letters[dim + 1:], [value, chosen])


@operation("gather")
def gather(call: Call):
    value, dim, index = call.tensor(call.args[0]), call.args[1], call.tensor(call.args[2])
    dim %= value.rank
    check_shapes(call, value, index, dim)
    letters = LETTERS[:value.rank]
    value = call.program.local(value, [dim])
    chosen = selection(call, call.program.local(index, [dim]), call.local_shape(value)[dim])
    new = letters[:dim] + "y" + letters[dim + 1:]
    return call.program.einsum([letters, new + letters[dim]], new, [value, chosen])


def check_shapes(call: Call, a: Value, b: Value, dim: int) -> None:
    shapes = [list(call.local_shape(v)) for v in (a, b)]
    for shape in shapes:
        shape[dim] = 0
    if shapes[0] != shapes[1]:
        raise Untranslatable("an index that leaves a part out")


def added_to(call: Call, base, value: Value) -> Value:
    if isinstance(base, Constant) and base.number == 0:
        return value
    return binary(call, "arith.addf", base, value)


@operation("scatter_add", "scatter")
def scatter(call: Call):
    base, dim = call.args[0], call.args[1]
    index = call.tensor(call.args[2])
    source = call.get(3, "src", call.kwargs.get("value"))
    if "reduce" in call.kwargs or len(call.args) > 4:
        raise Untranslatable("a scatter that reduces otherwise")
    dim %= index.rank
    if call.name == "aten.scatter" and not (isinstance(base, Constant) and base.number == 0):
        raise Untranslatable("a scatter into a tensor that is not zero")
    target = call.shapes[0]
    letters = LETTERS[:index.rank]
    new = letters[:dim] + "y" + letters[dim + 1:]
    chosen = selection(call, call.program.local(index, [dim]), target[dim])
    if is_number(source) or isinstance(source, Constant):
        result = call.program.einsum([letters + "y"], new, [chosen])
    else:
        source = call.program.local(call.tensor(source), [dim])
        if call.local_shape(source) != call.local_shape(index):
            raise Untranslatable("a scatter that leaves a part out")
        result = call.program.einsum([letters, letters + "y"], new, [source, chosen])
    return added_to(call, base, result)


@operation("index_add", "index_put", "_index_put_impl", "embedding_dense_backward")
def scatter_rows(call: Call):
    target = call.shapes[0]
    dim = 0
    if call.name == "aten.embedding_dense_backward":
        base, (source, index) = Constant(0.0, target), call.args[:2]
    elif call.name == "aten.index_add":
        base, dim, index, source = call.args[:4]
        source = scale(call, call.tensor(source), call.kwargs.get("alpha", 1))
    else:
        base, indices, source = call.args[:3]
        if len([i for i in indices if i is not None]) != 1:
            raise Untranslatable("an index of several tensors")
        dim = next(i for i, x in enumerate(indices) if x is not None)
        index = indices[dim]
        accumulate = call.get(3, "accumulate", False)
        if not accumulate and not (isinstance(base, Constant) and base.number == 0):
            raise Untranslatable("rows that are written over others")
    index, source = call.tensor(index), call.tensor(source)
    dim %= len(target)
    letters = LETTERS[:len(target)]
    rows = LETTERS[len(target):len(target) + index.rank]
    chosen = selection(call, index, target[dim])
    term = letters[:dim] + rows + letters[dim + 1:]
    if source.rank != len(term):
        raise Untranslatable("rows that are repeated")
    result = call.program.einsum([term, rows + "z"],
                                 letters[:dim] + "z" + letters[dim + 1:], [source, chosen])
    return added_to(call, base, result)
