"""From what was recorded to a program of our dialects."""

from __future__ import annotations

import dataclasses

from torch.distributed.tensor import Partial, Replicate, Shard
from torch.utils._pytree import tree_flatten, tree_map

from . import collectives, contractions, indexing  # noqa: F401 (they register operations)
from .capture import KNOWN_COLLECTIVES, WRITE, Event, Meta, Placed, Ref, RefPerRank
from .errors import Place
from .layouts import Axes, Constant, Unknown, Value
from .indexing import pad, part
from .operations import OPERATIONS, Call, PerRank
from .program import Program, Untranslatable


@dataclasses.dataclass(frozen=True)
class Unchecked:
    """Something that nothing is claimed of, and why."""

    place: Place
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: unchecked: {self.what}: {self.reason}"


class Translator:
    """Walks over the events of a recording and writes a program."""

    def __init__(self, events: list[Event], metas: list[Meta], axes: Axes, name: str,
                 ranks: list[int], refused: dict[int, str],
                 data_parallel: frozenset[str] = frozenset()):
        self.events, self.metas, self.axes = events, metas, axes
        self.program = Program(axes, name, ranks)
        #: Events that the compiler has no rule for, and what it said.
        self.refused = refused
        #: Axes over which others reduce the gradients of parameters, whatever they say.
        self.data_parallel = data_parallel
        self.values: dict[int, Value | Constant | Unknown] = {}
        self.unchecked: list[Unchecked] = []
        #: Numbers of the events that state a placement, of those that are checked.
        self.checked: list[int] = []
    def run(self) -> str:
        for number, event in enumerate(self.events):
            self.program.place, self.program.event = event.place, number
            getattr(self, event.kind)(number, event)
        return self.program.text()

    # Inputs and outputs

    def input(self, number: int, event: Event) -> None:
        result, = event.results
        if event.placed is not None:
            value = self.placed_value(event.placed)
            lacks = [a for a in self.axes.order if a not in self.placements(event.placed)]
            if lacks:
                self.unchecked.append(Unchecked(
                    event.place, event.name, f"its mesh lacks {' and '.join(lacks)}: taken to "
                    "be the same over it"))
            self.values[result] = self.program.argument(event.name, value)
        elif event.name == "constant" and not isinstance(event.args[0], PerRank):
            self.values[result] = self.program.constant("constant", self.metas[result].shape)
        else:
            self.values[result] = Unknown("it is no parameter, input or buffer whose "
                                          "placement is known, or differs between ranks",
                                          number)

    def output(self, number: int, event: Event) -> None:
        value = self.labelled(number, event)
        if event.is_parameter and self.data_parallel & self.placements(event.placed).keys():
            return
        self.program.result(event.name, value)
        if event.name.startswith("grad."):
            # A DTensor's gradient says itself how it is left.
            self.program.left[event.name[5:]] = self.program.placements(
                self.placements(event.placed))

    # Labels and conversions

    def placements(self, placed: Placed) -> dict[str, str]:
        """Of each axis that a mesh has, what a DTensor says."""
        known: dict[str, str] = {}
        for group, placement in zip(placed.groups, placed.placements):
            for axis in self.axes.of(group):
                if type(placement) is Shard:
                    known[axis] = f"shard<{placement.dim % max(len(placed.shape), 1)}>"
                elif type(placement) is Partial and placement.reduce_op in (
                        "sum", "avg", "max", "min"):
                    known[axis] = f"partial<{placement.reduce_op}>"
                elif type(placement) is Replicate:
                    known[axis] = "replicate"
                else:
                    raise Untranslatable(f"the placement {placement}")
        return known

    def placed_value(self, placed: Placed) -> Value:
        """A value with a DTensor's shape and placements; replicated over other axes."""
        known = self.placements(placed)
        cuts = [self.axes.sorted(a for a, p in known.items() if p == f"shard<{i}>")
                for i in range(len(placed.shape))]
        return self.program.make(placed.shape, (), cuts, known, rest="replicate")

    def arranged(self, value: Value | Constant, placed: Placed) -> tuple[Value, dict[str, str]]:
        """A rank's tensor read as the part of a global one that DTensor says it is."""
        known = self.placements(placed)
        program = self.program
        if isinstance(value, Constant):
            value = program.constant("constant", value.local_shape)
        for axis in self.axes.order:
            if axis not in known:
                continue
            dim = int(known[axis][6:-1]) if known[axis].startswith("shard") else None
            if dim is None and axis in value.axes:
                value = program.summed(value, axis)
            elif dim is not None and axis not in value.cuts[dim]:
                value = program.unstacked(program.stacked(value, axis), axis, dim)
        sizes = value.shape[len(value.stack):]
        if sizes != tuple(placed.shape):
            raise Untranslatable(f"its parts make a tensor of {list(sizes)}, not of "
                                 f"{list(placed.shape)}")
        return value, {a: p for a, p in known.items() if not p.startswith("shard")}

    def site(self, event: Event) -> str:
        module = f"{event.place.module}: " if event.place.module else ""
        return f"{module}{event.name}".replace('"', "'")

    def claim(self, value: Value, known: dict[str, str], site: str) -> Value:
        made = self.program.make(value.shape, value.stack, value.cuts, known)
        self.program.lines.append(
            f'  {made.name} = spmd.claim {value.name} at "{site}" : {value.type} -> '
            f"{made.type} {self.program.location}")
        return self.program.kept(made, value, known)

    def labelled(self, number: int, event: Event) -> Value:
        """The value of an event, with the claim that it lies as the event says."""
        value = self.read(number, event.args[0])
        reason = self.refused.get(number)
        if isinstance(value, Unknown):
            reason = self.explain(value)
        if reason is None:
            try:
                arranged, known = self.arranged(value, event.placed)
                if event.is_parameter and event.backward:
                    known = {a: p for a, p in known.items() if a not in self.data_parallel}
                result = self.claim(arranged, known, self.site(event))
                self.checked.append(number)
                return result
            except Untranslatable as error:
                reason = str(error)
        self.unchecked.append(Unchecked(event.place, self.site(event), reason))
        # What the label says is what is known from here on.
        made = self.placed_value(event.placed)
        return self.program.argument(f"unchecked.{number}", made)

    def explain(self, unknown: Unknown) -> str:
        event = self.events[unknown.event]
        return f"it depends on '{event.name}' at {event.place}: {unknown.reason}"

    def label(self, number: int, event: Event) -> None:
        result, = event.results
        if event.name != "value of to_local":
            self.values[result] = self.labelled(number, event)
            return
        value = self.read(number, event.args[0])
        if isinstance(value, Value) and not self.metas[result].dtype.is_floating_point:
            value = self.terms(value, event)
        self.values[result] = value

    def terms(self, value: Value, event: Event) -> Value:
        """Each rank's own count, not a term of their sum: they are used as they are."""
        for axis, placement in self.placements(event.placed).items():
            if placement.startswith("partial") and axis not in value.axes:
                stack = self.axes.sorted((*value.stack, axis))
                shape = list(value.shape)
                shape.insert(stack.index(axis), self.axes.sizes[axis])
                known = {**self.program.cut_axes(value), axis: placement}
                made = self.program.make(shape, stack, value.cuts, rest="replicate")
                value = self.program.write(
                    made, f'spmd.opaque "to_local" {value.name} needs '
                    f"[{self.program.placements(known)}]", [value])
        return value

    def convert(self, number: int, event: Event) -> None:
        result, = event.results
        value = self.labelled(number, event)
        try:
            known = self.placements(event.target)
            dims = range(len(value.cuts))
            kept = [[a for a in c if a not in known] for c in value.cuts]
            cuts = [self.axes.sorted([*kept[i], *(a for a, p in known.items()
                                                  if p == f"shard<{i}>")]) for i in dims]
            whole = {a: p for a, p in known.items() if not p.startswith("shard")}
            made = self.program.make(value.shape, value.stack, cuts, whole)
            self.values[result] = self.program.convert(value, made, known)
        except Untranslatable as error:
            self.values[result] = Unknown(str(error), number)

    def cotangent(self, number: int, event: Event) -> None:
        """Over an axis where a value is whole, ranks' gradients of it are terms of a sum."""
        gradient, primal = (self.read(number, a) for a in event.args)
        if isinstance(gradient, Value) and isinstance(primal, Value):
            for axis in gradient.stack:
                if axis not in primal.axes:
                    gradient = self.program.summed(gradient, axis)
        self.values[event.results[0]] = gradient

    # Operations

    def op(self, number: int, event: Event) -> None:
        arguments = tree_flatten((event.args, event.kwargs))[0]
        operands = [self.values[a.value] for a in arguments if isinstance(a, Ref)]
        operands += [self.values[a.values[0]] for a in arguments if isinstance(a, RefPerRank)]
        unknown = next((o for o in operands if isinstance(o, Unknown)), None)
        made = None
        if unknown is None:
            try:
                if number in self.refused:
                    raise Untranslatable(self.refused[number])
                made = self.translate(event, arguments)
            except Untranslatable as error:
                unknown = Unknown(str(error), number)
        for i, result in enumerate(event.results):
            self.values[result] = unknown if made is None else made[i]

    def read(self, number: int, argument: Ref | RefPerRank) -> Value | Constant | Unknown:
        try:
            return self.operand(argument)
        except Untranslatable as error:
            return Unknown(str(error), number)

    def operand(self, argument):
        if isinstance(argument, Ref):
            return self.values[argument.value]
        if isinstance(argument, RefPerRank):
            return self.own_part(argument)
        return argument

    def own_part(self, parts: RefPerRank) -> Value:
        """Of a tensor that was split, each rank takes a part."""
        event = next(e for e in self.events if parts.values[0] in e.results)
        if event.name.split(".")[1] not in ("split", "split_with_sizes", "chunk") or not set(
                parts.values) <= set(event.results):
            raise Untranslatable("ranks take different tensors")
        shapes = [self.metas[r].shape for r in event.results]
        call = Call(self.program, "aten.slice", [], {}, shapes, [], [])
        dim = (event.args[2] if len(event.args) > 2 else event.kwargs.get("dim", 0)) % len(
            shapes[0])
        sizes = [s[dim] for s in shapes]
        starts = [sum(sizes[:event.results.index(v)]) for v in parts.values]
        whole = self.operand(event.args[0])
        if isinstance(whole, Constant):
            return Constant(whole.number, shapes[0])
        if isinstance(whole, Unknown):
            raise Untranslatable(whole.reason)
        return part(call, whole, dim, PerRank(starts), sizes[0], sum(sizes))

    def written_part(self, event: Event) -> Value | Constant:
        """A tensor of which a part was written to."""
        base, before, after = (a.value for a in event.args)
        view = next(e for e in self.events if before in e.results)
        whole = self.values[base]
        if (view.name != "aten.slice" or view.args[0] != Ref(base)
                or not isinstance(whole, Constant) or whole.number):
            raise Untranslatable("only parts of a tensor of zeros are followed")
        call = Call(self.program, view.name, view.args, view.kwargs, [], [], [])
        dim = call.get(1, "dim", 0) % len(whole.local_shape)
        if call.get(4, "step", 1) != 1:
            raise Untranslatable("a part with steps")
        part_ = self.values[after]
        if isinstance(part_, Constant):
            part_ = call.tensor(part_)
        return pad(call, part_, dim, call.get(2, "start", 0) or 0, whole.local_shape[dim])

    def translate(self, event: Event, arguments) -> list:
        if event.name == WRITE:
            return [self.written_part(event)]
        args, kwargs = tree_map(self.operand, (event.args, event.kwargs))
        name = event.name
        if name.startswith("aten.") and name not in OPERATIONS and name.endswith("_"):
            name = name[:-1]
        call = Call(self.program, name, args, kwargs,
                    [self.metas[r].shape for r in event.results],
                    [self.metas[r].dtype for r in event.results],
                    [self.metas[a.value if isinstance(a, Ref) else a.values[0]].dtype
                     for a in arguments if isinstance(a, (Ref, RefPerRank))])
        if name in KNOWN_COLLECTIVES:
            made = collectives.translate(call)
        elif name == "aten._local_scalar_dense":
            return []
        elif name in OPERATIONS:
            made = OPERATIONS[name](call)
        else:
            raise Untranslatable("no rule for it here")
        return made if isinstance(made, list) else [made]
