"""How a rank's tensor is a part of a global one.

A local tensor becomes a global one by concatenation along the dimensions that mesh axes
cut. A tensor that differs between ranks otherwise gets a leading dimension for each axis
over which it differs, of the axis's size and cut by it: it is stacked. Any local tensor
can be read so. Over an axis that neither cuts nor stacks it, it is whole: replicated, or
a term of a sum; which of both, the compiler finds out.
"""

from __future__ import annotations

import dataclasses
import math
import re

from .errors import CaptureError


@dataclasses.dataclass(frozen=True)
class Value:
    """A global tensor of the program that is written."""

    name: str
    #: The global shape, stacking dimensions first.
    shape: tuple[int, ...]
    #: The axes of the stacking dimensions, in mesh order.
    stack: tuple[str, ...] = ()
    #: For each further dimension the axes that cut it, in mesh order.
    cuts: tuple[tuple[str, ...], ...] = ()
    #: Its type as it is written.
    type: str = ""
    #: The axes over which it is known to be a term of a sum.
    terms: frozenset[str] = frozenset()

    @property
    def rank(self) -> int:
        """The number of dimensions that a rank sees."""
        return len(self.shape) - len(self.stack)

    @property
    def axes(self) -> set[str]:
        return set(self.stack).union(*self.cuts)


@dataclasses.dataclass(frozen=True)
class Constant:
    """A tensor of one number; it lies as whatever it meets needs it to."""

    number: float
    local_shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Unknown:
    """What nothing is known of, and why."""

    reason: str
    event: int


class Axes:
    """The axes of a mesh: the smallest of which all groups of ranks are made."""

    def __init__(self, world: int, groups: dict[tuple[int, ...], str | None]):
        self._groups = groups
        strides = {}
        for ranks, name in groups.items():
            if len(ranks) > 1:
                strides.setdefault(self._stride(ranks), []).append(name)
        bounds = sorted({1, world}.union(*({s, s * n} for s, n in strides)))
        for inner, outer in zip(bounds, bounds[1:]):
            if outer % inner:
                raise CaptureError(f"groups of ranks overlap: {sorted(groups)}")
        self.sizes: dict[str, int] = {}
        self._atoms: list[tuple[int, str]] = []
        for inner, outer in reversed(list(zip(bounds, bounds[1:]))):
            names = [n for n in strides.get((inner, outer // inner), []) if n]
            name = re.sub(r"\W+", "_", names[0]) if names else f"ranks{inner}"
            while name in self.sizes:
                name += "_"
            self.sizes[name] = outer // inner
            self._atoms.append((inner, name))
        self.order = list(self.sizes)

    def named(self, names) -> frozenset[str]:
        """The axes that dimensions of meshes with these names consist of."""
        return frozenset(a for ranks, name in self._groups.items() if name in names
                         for a in self.of(ranks))

    @staticmethod
    def _stride(ranks: tuple[int, ...]) -> tuple[int, int]:
        stride = ranks[1] - ranks[0]
        if any(b - a != stride for a, b in zip(ranks, ranks[1:])):
            raise CaptureError(f"the ranks {list(ranks)} of a group have no common distance")
        return stride, len(ranks)

    def of(self, ranks: tuple[int, ...]) -> tuple[str, ...]:
        """The axes along which a group lies, outermost first."""
        if len(ranks) < 2:
            return ()
        stride, size = self._stride(ranks)
        return tuple(n for s, n in self._atoms if stride <= s < stride * size)

    def size(self, axes) -> int:
        return math.prod(self.sizes[a] for a in axes)

    def coordinate(self, rank: int, axes: tuple[str, ...]) -> int:
        """Where a rank is in its group along these axes."""
        number = 0
        for stride, name in self._atoms:
            if name in axes:
                number = number * self.sizes[name] + rank // stride % self.sizes[name]
        return number

    def sorted(self, axes) -> tuple[str, ...]:
        chosen = set(axes)
        return tuple(a for a in self.order if a in chosen)

    def relabelled(self, value: Value, like: Value) -> Value:
        """The value itself, of whose dimensions the same is said as of another's."""
        return dataclasses.replace(value, stack=like.stack, cuts=like.cuts)

    def local_shape(self, value: Value) -> tuple[int, ...]:
        sizes = value.shape[len(value.stack):]
        return tuple(s // self.size(c) for s, c in zip(sizes, value.cuts))
