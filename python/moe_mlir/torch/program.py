"""Writing the program: text of our dialects, and what it takes to align layouts."""

from __future__ import annotations

import dataclasses
import math
import string

from .errors import Place
from .layouts import Axes, Value


class Untranslatable(Exception):
    """An operation that has no meaning here, and why."""


def tensor_type(shape) -> str:
    return f"tensor<{''.join(f'{s}x' for s in shape)}f32>"


class Program:
    """A function, line by line. All numbers are f32: widths are not looked at."""

    def __init__(self, axes: Axes, name: str, ranks: list[int]):
        self.axes = axes
        #: The ranks whose programs were compared.
        self.ranks = ranks
        self.name = name
        self.arguments: list[tuple[str, Value, str]] = []
        #: Of arguments by name, how their gradients are left.
        self.left: dict[str, str] = {}
        self.lines: list[str] = []
        self.results: list[tuple[str, str, str]] = []
        #: Of every event that has a place; the column of a location is its number + 1.
        self.place = Place("<unknown>", 1)
        self.event = 0
        self._count = 0

    # Text

    def type(self, shape, known: dict[str, str], rest: str = "?") -> str:
        axes = "".join(f", {a}: {p}" for a in self.axes.order
                       if (p := known.get(a, rest)) != "replicate")
        dims = "".join(f"{s}x" for s in shape)
        return f"!spmd.tensor<{dims}f32, #mesh{axes}>"

    def cut_axes(self, value: Value) -> dict[str, str]:
        known = {a: f"shard<{i}>" for i, a in enumerate(value.stack)}
        for i, cut in enumerate(value.cuts):
            known.update({a: f"shard<{i + len(value.stack)}>" for a in cut})
        return known

    @property
    def location(self) -> str:
        file = self.place.file.replace("\\", "\\\\").replace('"', '\\"')
        return f'loc("{file}":{self.place.line}:{self.event + 1})'

    def fresh(self) -> str:
        self._count += 1
        return f"%{self._count}"

    def make(self, shape, stack, cuts, known: dict[str, str] | None = None,
             rest: str = "?") -> Value:
        """A new value. Axes that neither stack nor cut it are as `known` says, else `rest`."""
        value = Value(self.fresh(), tuple(shape), tuple(stack), tuple(map(tuple, cuts)))
        known = {**(known or {}), **self.cut_axes(value)}
        return dataclasses.replace(
            value, type=self.type(shape, known, rest),
            terms=frozenset(a for a, p in known.items() if p.startswith("partial")))

    def write(self, value: Value, operation: str, operands: list[Value]) -> Value:
        types = ", ".join(o.type for o in operands)
        self.lines.append(f"  {value.name} = {operation} : ({types}) -> "
                          f"{value.type} {self.location}")
        return self.summing(value, operands)

    @staticmethod
    def summing(result: Value, operands: list[Value]) -> Value:
        """A result is a term of a sum if an operand is, or if it sums what is cut."""
        terms = set().union(*(o.terms for o in operands), *(o.axes for o in operands))
        return dataclasses.replace(result, terms=frozenset(terms - result.axes))

    def argument(self, name: str, value: Value) -> Value:
        """Makes a value an argument of the function."""
        self.arguments.append((name, value, self.location))
        return value

    def constant(self, name: str, shape) -> Value:
        """Numbers that are the same on all ranks, and do not matter here."""
        value = self.make(shape, (), ((),) * len(shape), rest="replicate")
        return self.argument(f"{name}.{value.name[1:]}", value)

    def result(self, name: str, value: Value) -> None:
        self.results.append((name, value.name, value.type))

    def text(self) -> str:
        mesh = ", ".join(f"{a}={n}" for a, n in self.axes.sizes.items())
        types = ", ".join(f'{t} {{spmd.name = "{n}"}}' for n, _, t in self.results)
        names = ", ".join(v for _, v, _ in self.results)
        returned = ", ".join(t for _, _, t in self.results)
        arguments = ",\n    ".join(
            f'{v.name}: {v.type} {{spmd.name = "{n}"'
            + (f", spmd.grad_placement = #spmd.placements{self.left[n]}" if n in self.left else "")
            + f"}} {where}" for n, v, where in self.arguments)
        return "\n".join([
            f"#mesh = #spmd.mesh<{mesh}>",
            f"func.func @{self.name}.vjp(\n    {arguments}) -> ({types}) {{",
            *self.lines,
            f"  return {names} : {returned}" if self.results else "  return",
            "}", ""])

    # One value

    def compute(self, operands: list[Value], result: Value, body) -> Value:
        """`body(names)` gives the lines of a region, and what it yields."""
        names = [f"%a{i}" for i in range(len(operands))]
        lines, yielded = body(names)
        types = ", ".join(o.type for o in operands)
        inputs = ", ".join(o.name for o in operands)
        block = ", ".join(f"{n}: {tensor_type(o.shape)}" for n, o in zip(names, operands))
        self.lines += [
            f"  {result.name} = spmd.compute {inputs} : ({types}) -> {result.type} {{",
            f"  ^bb0({block}):",
            *(f"    {line} {self.location}" for line in lines),
            f"    spmd.yield {yielded} : {tensor_type(result.shape)} {self.location}",
            f"  }} {self.location}"]
        return self.summing(result, operands)

    def reshape(self, value: Value, result: Value) -> Value:
        """The same numbers in the same order, in dimensions that divide one another's."""
        if value.shape == result.shape:
            return self.axes.relabelled(value, result)
        groups = reassociate(value.shape, result.shape)

        def body(names):
            lines, current, shape = [], names[0], value.shape
            middle = [math.prod(value.shape[i] for i in source) for source, _ in groups]
            if len(middle) < len(value.shape):
                lines.append(f"%c = tensor.collapse_shape {current} "
                             f"{[list(s) for s, _ in groups]} : {tensor_type(shape)} into "
                             f"{tensor_type(middle)}")
                current, shape = "%c", tuple(middle)
            if len(middle) < len(result.shape):
                lines.append(f"%e = tensor.expand_shape {current} "
                             f"{[list(t) for _, t in groups]} output_shape "
                             f"{list(result.shape)} : {tensor_type(shape)} into "
                             f"{tensor_type(result.shape)}")
                current = "%e"
            return lines, current

        return self.compute([value], result, body)

    def transpose(self, value: Value, order: list[int], stack, cuts) -> Value:
        """Dimensions, stacking ones included, in another order."""
        result = self.make([value.shape[i] for i in order], stack, cuts)
        if order == list(range(len(order))):
            return self.axes.relabelled(value, result)
        letters = string.ascii_lowercase[:len(order)]
        equation = f"{letters}->{''.join(letters[i] for i in order)}"
        return self.write(result, f'moe.einsum "{equation}" {value.name}', [value])

    def stacked(self, value: Value, axis: str) -> Value:
        """The value with a leading dimension for an axis that cuts it."""
        if axis in value.stack:
            return value
        at = next((i for i, c in enumerate(value.cuts) if axis in c), None)
        if at is None:
            return self.copies(value, axis)
        if value.cuts[at] != (axis,):
            raise Untranslatable(f"a dimension that {' and '.join(value.cuts[at])} cut is used "
                                 "locally")
        size, whole = self.axes.sizes[axis], value.shape[at + len(value.stack)]
        if whole % size:
            raise Untranslatable(f"a dimension of {whole} that '{axis}' cuts unevenly is used "
                                 "locally")
        d = at + len(value.stack)
        others = [i for i in range(len(value.shape)) if i != d]
        cuts = value.cuts[:at] + value.cuts[at + 1:]
        front = self.transpose(value, [d, *others], (),
                               self.as_seen(value, [d, *others]))
        split = self.make((size, whole // size, *front.shape[1:]), (),
                          ((axis,), (), *front.cuts[1:]))
        split = self.write(split, f"moe.unfold {front.name}", [front])
        # Where they were: the stacking ones, then those that ranks see.
        stack = self.axes.sorted((*value.stack, axis))
        kept = iter(range(2, len(value.stack) + 2))
        order = [0 if a == axis else next(kept) for a in stack]
        seen = list(range(len(value.stack) + 2, len(split.shape)))
        order += seen[:at] + [1] + seen[at:]
        return self.transpose(split, order, stack, cuts[:at] + ((),) + cuts[at:])

    @staticmethod
    def as_seen(value: Value, order: list[int]) -> list[tuple[str, ...]]:
        """What cuts each dimension, in another order, none being a stacking one."""
        cuts = [(a,) for a in value.stack] + list(value.cuts)
        return [cuts[i] for i in order]

    def copies(self, value: Value, axis: str) -> Value:
        """A whole value, once for each rank along an axis."""
        stack = self.axes.sorted((*value.stack, axis))
        ones = self.make((self.axes.sizes[axis],), (), ((axis,),), rest="replicate")
        self.argument(f"ones.{ones.name[1:]}", ones)
        letters = string.ascii_lowercase[:len(value.shape)]
        term = list(letters)
        term.insert(stack.index(axis), "z")
        shape = list(value.shape)
        shape.insert(stack.index(axis), self.axes.sizes[axis])
        result = self.make(shape, stack, value.cuts)
        return self.write(result, f'moe.einsum "{letters},z->{"".join(term)}" '
                          f"{value.name}, {ones.name}", [value, ones])

    def unstacked(self, value: Value, axis: str, dim: int) -> Value:
        """A stacked value with the ranks' parts one after the other along a dimension."""
        if value.cuts[dim]:
            raise Untranslatable("two axes cut one dimension of a local tensor")
        at, d = value.stack.index(axis), dim + len(value.stack)
        others = [i for i in range(len(value.shape)) if i not in (at, d)]
        front = self.transpose(value, [at, d, *others], (),
                               self.as_seen(value, [at, d, *others]))
        folded = self.make((front.shape[0] * front.shape[1], *front.shape[2:]), (),
                           ((axis,), *front.cuts[2:]))
        folded = self.write(folded, f"moe.fold {front.name}", [front])
        stack = tuple(a for a in value.stack if a != axis)
        order = [1 + i for i in range(len(folded.shape) - 1)]
        order.insert(dim + len(stack), 0)
        cuts = value.cuts[:dim] + ((axis,),) + value.cuts[dim + 1:]
        return self.transpose(folded, order, stack, cuts)

    def summed(self, value: Value, axis: str) -> Value:
        """The sum of the ranks' tensors: each holds a term."""
        value = self.stacked(value, axis)
        letters = string.ascii_lowercase[:len(value.shape)]
        at = value.stack.index(axis)
        rest = letters[:at] + letters[at + 1:]
        result = self.make(value.shape[:at] + value.shape[at + 1:],
                           value.stack[:at] + value.stack[at + 1:], value.cuts)
        return self.write(result, f'moe.einsum "{letters}->{rest}" {value.name}', [value])

    def local(self, value: Value, dims) -> Value:
        """The value with no axis cutting these dimensions."""
        for dim in dims:
            for axis in value.cuts[dim]:
                value = self.stacked(value, axis)
        return value

    # Several values

    def align(self, terms: list[str], values: list[Value], whole: str = "",
              result: str = ""):
        """Makes dimensions of one letter lie alike.

        Gives the values, their terms with letters for stacking dimensions, and the axes
        that cut each letter. `whole` are the letters that no axis may cut, and `result`
        letters that are in use besides.
        """
        values = list(values)
        for axis in self.axes.order:
            letters = {t[i] for t, v in zip(terms, values)
                       for i, c in enumerate(v.cuts) if axis in c}
            agreed = (len(letters) == 1 and not any(axis in v.stack for v in values)
                      and not letters & set(whole)
                      and all(axis in v.cuts[t.index(letter)]
                              for letter in letters for t, v in zip(terms, values)
                              if letter in t))
            if not agreed:
                values = [self.stacked(v, axis) if axis in v.axes else v for v in values]
        stack = self.axes.sorted(set().union(*(v.stack for v in values)))
        unused = [c for c in reversed(string.ascii_lowercase)
                  if not any(c in t for t in [*terms, result])]
        letter_of = dict(zip(stack, unused))
        full = ["".join(letter_of[a] for a in v.stack) + t for t, v in zip(terms, values)]
        cuts = {t[i]: c for t, v in zip(terms, values) for i, c in enumerate(v.cuts)}
        sizes = {c: s for t, v in zip(full, values) for c, s in zip(t, v.shape)}
        return values, full, stack, letter_of, cuts, sizes

    def einsum(self, terms: list[str], result: str, values: list[Value]) -> Value:
        values, full, stack, letter_of, cuts, sizes = self.align(terms, values, result=result)
        prefix = "".join(letter_of[a] for a in stack)
        target = self.make([sizes[c] for c in prefix + result], stack,
                           [cuts[c] for c in result])
        names = ", ".join(v.name for v in values)
        return self.write(target, f'moe.einsum "{",".join(full)}->{prefix + result}" {names}',
                          values)

    def opaque(self, callee: str, terms: list[str], result: str, values: list[Value],
               new: dict[str, int] | None = None, whole: str = "") -> Value:
        """Something that is linear in nothing, of which it is known what depends on what.

        `new` are the sizes of the result's letters that no operand has.
        """
        summed = "".join({c for t in terms for c in t if c not in result})
        values, full, stack, letter_of, cuts, sizes = self.align(
            terms, values, whole + summed, result)
        prefix = "".join(letter_of[a] for a in stack)
        sizes.update(new or {})
        # No operand is a term of a sum, so neither is the result.
        target = self.make([sizes[c] for c in prefix + result], stack,
                           [cuts.get(c, ()) for c in result], rest="replicate")
        needs = ", ".join(self.placements(self.cut_axes(v)) for v in values)
        names = ", ".join(v.name for v in values)
        made = self.write(target, f'spmd.opaque "{callee}" {names} needs [{needs}]', values)
        return dataclasses.replace(made, terms=frozenset())

    @staticmethod
    def kept(made: Value, value: Value, stated) -> Value:
        """Made of a value, of which only `stated` axes are said how they lie."""
        return dataclasses.replace(made, terms=made.terms | value.terms - set(stated))

    def convert(self, value: Value, made: Value, stated) -> Value:
        """The same global value, placed otherwise over the `stated` axes."""
        self.lines.append(f"  {made.name} = spmd.redistribute {value.name} : {value.type} -> "
                          f"{made.type} {self.location}")
        return self.kept(made, value, stated)

    def generic(self, terms: list[str], result: str, values: list[Value],
                lines: list[str], yielded: str, new: dict[str, int] | None = None) -> Value:
        """Element by element: `lines` compute `yielded` of %x0, %x1, ..

        `new` are the sizes of the result's letters that no operand has.
        """
        values, full, stack, letter_of, cuts, sizes = self.align(terms, values, result=result)
        sizes.update(new or {})
        prefix = "".join(letter_of[a] for a in stack)
        target = self.make([sizes[c] for c in prefix + result], stack,
                           [cuts.get(c, ()) for c in result])
        space = ", ".join(prefix + result)
        maps = ", ".join(f"affine_map<({space}) -> ({', '.join(t)})>"
                         for t in [*full, prefix + result])
        iterators = ", ".join(['"parallel"'] * len(prefix + result))
        scalars = ", ".join([*(f"%x{i}: f32" for i in range(len(values))), "%out: f32"])

        def body(names):
            types = ", ".join(tensor_type(v.shape) for v in values)
            made = tensor_type(target.shape)
            return [
                f"%empty = tensor.empty() : {made}",
                f"%g = linalg.generic {{indexing_maps = [{maps}], iterator_types = "
                f"[{iterators}]}} ins({', '.join(names)} : {types}) outs(%empty : {made}) {{\n"
                f"    ^bb1({scalars}):\n"
                + "".join(f"      {line} {self.location}\n" for line in lines)
                + f"      linalg.yield {yielded} : f32 {self.location}\n    }} -> {made}",
            ], "%g"

        return self.compute(values, target, body)

    @staticmethod
    def placements(known: dict[str, str]) -> str:
        return "<" + ", ".join(f"{a}: {p}" for a, p in known.items()) + ">"


def reassociate(source, target) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Groups of dimensions of both shapes that hold the same numbers.

    Each group is of one dimension on at least one side, or collapses and expands.
    """
    groups, i, j = [], 0, 0
    while i < len(source) or j < len(target):
        a, b = [], []
        m = n = 1
        if i < len(source):
            a.append(i)
            m *= source[i]
            i += 1
        if j < len(target):
            b.append(j)
            n *= target[j]
            j += 1
        while m != n:
            if m < n and i < len(source):
                a.append(i)
                m *= source[i]
                i += 1
            elif m > n and j < len(target):
                b.append(j)
                n *= target[j]
                j += 1
            else:
                raise Untranslatable(f"a view of {source} as {target}")
        groups.append((tuple(a), tuple(b)))
    # A group without dimensions on one side holds ones; they join a neighbour.
    merged: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for a, b in groups:
        if merged and (not a or not b or not merged[-1][0] or not merged[-1][1]):
            merged[-1] = (merged[-1][0] + a, merged[-1][1] + b)
        else:
            merged.append((a, b))
    return merged

