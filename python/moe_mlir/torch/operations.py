"""What aten operations mean on global tensors.

An operation becomes operations that are linear in what it is linear in and know which
dimension of an operand becomes which of the result; what it computes otherwise is opaque.
One that is not here has no meaning: nothing is known of its results.
"""

from __future__ import annotations

import math
import string

from .layouts import Constant, Value
from .program import Program, Untranslatable, reassociate

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


def is_zero(value) -> bool:
    return (value.number if isinstance(value, Constant) else value) == 0.0


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
    "softplus", "sqrt", "square", "tanh", "trunc")
def element_wise(call: Call):
    if any(isinstance(a, PerRank) for a in (*call.args, *call.kwargs.values())):
        raise Untranslatable("an argument differs between ranks")
    return nonlinear(call, tensors(call.args))


@operation("where")
def where(call: Call):
    condition, a, b = call.args[:3]
    if not isinstance(condition, Value):
        raise Untranslatable("a condition that is a constant")
    # Zeros are no term.
    chosen = [binary(call, "arith.mulf", nonlinear(call, [condition]), x)
              for x in (a, b) if not is_zero(x)]
    if len(chosen) == 2:
        return binary(call, "arith.addf", *chosen)
    return chosen[0] if chosen else Constant(0.0, call.shapes[0])


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


@operation("full", "full_like", "new_full", "fill", "scalar_tensor")
def full(call: Call):
    index = {"aten.new_full": 2, "aten.scalar_tensor": 0}.get(call.name, 1)
    fill = call.get(index, "fill_value")
    if isinstance(fill, Constant):
        fill = fill.number
    if not is_number(fill):
        raise Untranslatable("it is filled with a tensor")
    return Constant(float(fill), call.shapes[0])
