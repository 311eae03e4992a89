"""Parts of tensors, and rows by number."""

from __future__ import annotations

from .layouts import Constant, Value
from .operations import (LETTERS, Call, PerRank, binary, is_number, operation, reshape, scale)
from .program import Untranslatable, tensor_type


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
        return ["%zero = arith.constant 0.0 : f32",
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
