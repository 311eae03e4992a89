"""What collectives mean on global tensors. A rank sees them on its own tensor."""

from __future__ import annotations

from .capture import Group
from .layouts import Value
from .operations import LETTERS, Call, reshape, scale
from .program import Program, Untranslatable

def translate(call: Call) -> list:
    """The results of a collective: of an in-place one what is written."""
    program, args = call.program, call.args
    kind = call.name.split(".")[1]
    if kind in ("wait_tensor", "barrier"):
        return args[:1] if kind == "wait_tensor" else []
    if kind == "alltoall_":
        return all_to_all_tensors(call)
    value, group = operands(call, kind)
    axes = program.axes.of(group.ranks)
    if not axes:
        return [value]
    if kind in ("all_reduce", "all_reduce_", "allreduce_"):
        return [all_reduce(call, value, axes, kind_of_sum(call))]
    if kind in ("all_to_all_single", "alltoall_base_"):
        return [all_to_all(call, value, axes)]
    if len(axes) > 1:
        raise Untranslatable(f"it spans several axes: {', '.join(axes)}")
    axis, = axes
    if kind in ("all_gather_into_tensor", "_allgather_base_"):
        return [all_gather(program, value, axis)]
    if kind in ("reduce_scatter_tensor", "_reduce_scatter_base_"):
        return [reduce_scatter(call, value, axis, kind_of_sum(call))]
    raise AssertionError(call.name)


def operands(call: Call, kind: str) -> tuple[Value, Group]:
    """The tensor that is sent, and who takes part."""
    group = next(a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Group))
    if kind == "allreduce_":
        if len(call.args[0]) != 1:
            raise Untranslatable("several tensors at once")
        return call.tensor(call.args[0][0]), group
    written = kind in ("_allgather_base_", "_reduce_scatter_base_", "alltoall_base_")
    return call.tensor(call.args[1 if written else 0]), group


def kind_of_sum(call: Call) -> str:
    kinds = [a for a in call.args if isinstance(a, str)]
    if not kinds or kinds[0] not in ("sum", "avg"):
        raise Untranslatable(f"a reduction by {kinds[0] if kinds else 'an unknown operation'}")
    return kinds[0]


def all_reduce(call: Call, value: Value, axes: tuple[str, ...], kind: str) -> Value:
    program = call.program
    for axis in axes:
        if axis in value.axes:
            value = program.summed(value, axis)
    known = {a: "replicate" for a in axes}
    made = program.make(value.shape, value.stack, value.cuts, known)
    names = ", ".join(f'"{a}"' for a in axes)
    program.lines.append(f"  {made.name} = spmd.all_reduce {value.name} over [{names}] : "
                         f"{value.type} -> {made.type} {program.location}")
    made = program.kept(made, value, axes)
    return scale(call, made, 1 / program.axes.size(axes)) if kind == "avg" else made


def all_gather(program: Program, value: Value, axis: str) -> Value:
    if value.cuts[0] != (axis,):
        value = program.local(value, [0])
        value = program.unstacked(program.stacked(value, axis), axis, 0)
    made = program.make(value.shape, value.stack, ((), *value.cuts[1:]), {axis: "replicate"})
    program.lines.append(f'  {made.name} = spmd.all_gather {value.name} over "{axis}" dim '
                         f"{len(value.stack)} : {value.type} -> {made.type} {program.location}")
    return program.kept(made, value, {axis})


def reduce_scatter(call: Call, value: Value, axis: str, kind: str) -> Value:
    program = call.program
    if axis in value.axes:
        value = program.summed(value, axis)
    value = program.local(value, [0])
    made = program.make(value.shape, value.stack, ((axis,), *value.cuts[1:]))
    program.lines.append(f'  {made.name} = spmd.reduce_scatter {value.name} over "{axis}" dim '
                         f"{len(value.stack)} : {value.type} -> {made.type} {program.location}")
    made = program.kept(made, value, {axis})
    return scale(call, made, 1 / program.axes.sizes[axis]) if kind == "avg" else made


def all_to_all(call: Call, value: Value, axes: tuple[str, ...]) -> Value:
    """Rows move between ranks: each row that a rank gets is some rank's row."""
    program = call.program
    value = program.local(value, [0])
    for axis in axes:
        value = program.stacked(value, axis)
    rows = call.shapes[0][0]
    local = program.axes.local_shape(value)
    splits = call.args[3:5] if call.name == "c10d.alltoall_base_" else call.args[1:3]
    size = program.axes.size(axes)
    if (len(axes) == 1 and all(not s or len(set(s)) == 1 for s in splits)
            and local[0] == rows and rows % size == 0):
        return even_all_to_all(call, value, axes[0], rows // size)
    term = LETTERS[:value.rank]
    return program.opaque(f"{call.name} of rows", [term], "z" + term[1:], [value], {"z": rows})


def all_to_all_tensors(call: Call) -> list[Value]:
    """A tensor for each rank; one comes from each."""
    program = call.program
    group = next(a for a in call.args if isinstance(a, Group))
    sent = [program.local(call.tensor(v), [0]) for v in call.args[1]]
    for axis in program.axes.of(group.ranks):
        sent = [program.stacked(v, axis) for v in sent]
    rest = LETTERS[:sent[0].rank - 1]
    # One letter each for the rows of what is sent.
    rows = "".join(chr(ord("0") + i) for i in range(len(sent)))
    return [program.opaque(f"{call.name} of rows", [c + rest for c in rows], "z" + rest, sent,
                           {"z": shape[0]}) for shape in call.shapes]


def even_all_to_all(call: Call, value: Value, axis: str, chunk: int) -> Value:
    """A rank's part for every rank becomes every rank's part for it."""
    program, size = call.program, call.program.axes.sizes[axis]
    local = program.axes.local_shape(value)
    sent = reshape(call, value, (size, chunk, *local[1:]))
    source, target = sent.stack.index(axis), len(sent.stack)
    cuts = [(a,) for a in sent.stack] + list(sent.cuts)
    cuts[source], cuts[target] = (), (axis,)
    made = program.make(sent.shape, (), cuts)
    program.lines.append(
        f'  {made.name} = spmd.all_to_all {sent.name} over "{axis}" from {source} to {target} : '
        f"{sent.type} -> {made.type} {program.location}")
    made = program.kept(made, sent, {axis})
    order = list(range(len(sent.shape)))
    order[source], order[target] = target, source
    return reshape(call, program.transpose(made, order, sent.stack, sent.cuts), local)
