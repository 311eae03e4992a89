"""Recording: one rank's forward and backward pass, operation by operation.

The module runs on fake tensors under a fake process group. What is recorded are the
local operations and collectives, below DTensor, and what DTensor is told and does at its
edges: the placements of `from_local`, of `to_local`'s gradient and of every
redistribution. The graph that AOTAutograd makes of the same run has lost the former.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pickle
import re
import sys
from typing import Any

import sympy
import torch
import torch.distributed.tensor._api as dtensor_api
import torch.distributed.tensor._dispatch as dtensor_dispatch
import torch.distributed.tensor._redistribute as dtensor_redistribute
from torch._library.custom_ops import OPDEFS
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from .errors import Place, UnknownCollective

#: The collectives that are understood, as `docs/PyTorch.md` lists them.
KNOWN_COLLECTIVES = {
    "_c10d_functional.all_reduce", "_c10d_functional.all_reduce_",
    "_c10d_functional.all_gather_into_tensor", "_c10d_functional.reduce_scatter_tensor",
    "_c10d_functional.all_to_all_single", "_c10d_functional.wait_tensor",
    "c10d.allreduce_", "c10d._allgather_base_", "c10d._reduce_scatter_base_",
    "c10d.alltoall_base_", "c10d.alltoall_", "c10d.barrier",
}
NAMESPACES = {"c10d", "_c10d_functional", "c10d_functional", "_dtensor", "symm_mem"}
#: What becomes of a tensor when a view of its memory is written to. The arguments: the
#: tensor and the view before, and the view after.
WRITE = "a write through a view"
#: Stands for a number of rows that depends on data.
ROWS = 4
REDUCTIONS = {"sum", "avg", "max", "min", "product", "premulsum"}

#: Frames of these are no code of the user's.
LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (torch.__file__, __file__, contextlib.__file__))
FRAME = re.compile(r'File "(.*)", line (\d+), in ')


@dataclasses.dataclass(frozen=True)
class Ref:
    """A recorded tensor, in the arguments of an operation."""

    value: int


@dataclasses.dataclass(frozen=True)
class RefPerRank:
    """A recorded tensor that is another on each rank."""

    values: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """The ranks of a process group, in the arguments of a collective."""

    ranks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Placed:
    """Ranks of a mesh, dimension by dimension, and a DTensor placement for each."""

    #: The ranks of this rank's group along each dimension, and the dimension's name.
    groups: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    placements: tuple
    shape: tuple[int, ...]

    @classmethod
    def of(cls, mesh, placements, shape) -> Placed:
        import torch.distributed as dist

        groups = tuple(tuple(dist.get_process_group_ranks(mesh.get_group(i)))
                       for i in range(mesh.ndim))
        names = tuple(mesh.mesh_dim_names or (f"dim{i}" for i in range(mesh.ndim)))
        return cls(groups, names, tuple(placements), tuple(shape))


@dataclasses.dataclass
class Event:
    """Something that happened, in order.

    `kind` is "op", "input", "label", "convert", "cotangent" or "output".
    """

    kind: str
    #: Of an operation "aten.mm.default"; of a label or input what it is called.
    name: str
    place: Place
    backward: bool
    args: tuple = ()
    kwargs: dict = dataclasses.field(default_factory=dict)
    #: The values made, one for each tensor that comes out.
    results: tuple[int, ...] = ()
    #: The placements that a label or an input has, or that a conversion starts from.
    placed: Placed | None = None
    #: Of a conversion: the placements it leads to.
    target: Placed | None = None
    #: Whether it is a parameter, or a label of a parameter's gradient.
    is_parameter: bool = False


@dataclasses.dataclass(frozen=True)
class Meta:
    shape: tuple
    dtype: torch.dtype


def user_place(module: str = "") -> Place:
    """The innermost line that is no library's."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(LIBRARIES) and not file.startswith("<"):
            return Place(file, frame.f_lineno, module)
        frame = frame.f_back
    return Place("<unknown>", 1, module)


def place_of_traceback(lines: list[str], module: str) -> Place | None:
    for text in reversed(lines):
        match = FRAME.search(text)
        if match and not match[1].startswith(LIBRARIES) and not match[1].startswith("<"):
            return Place(match[1], int(match[2]), module)
    return None


@dataclasses.dataclass(frozen=True)
class Counted:
    """A number that depends on data, as an expression of what was counted."""

    expression: Any


def counted(number):
    return Counted(number.node.expr) if isinstance(number, torch.SymInt) else number


def stand_ins(shapes: ShapeEnv) -> dict:
    """Numbers for those that depend on data, by which all shapes fit together."""
    numbers: dict = {}
    for asserts in shapes.deferred_runtime_asserts.values():
        for assert_ in asserts:
            equation = shapes.replace(assert_.expr).subs(numbers)
            unknown = sorted(equation.free_symbols, key=str)
            if not isinstance(equation, sympy.Eq) or not unknown:
                continue
            numbers.update({s: ROWS for s in unknown[:-1]})
            solved = sympy.solve(equation.subs(numbers), unknown[-1])
            numbers[unknown[-1]] = solved[0] if solved else ROWS
    return numbers


def contents(tensor: torch.Tensor) -> int:
    """A number that tells tensors apart: whether ranks have the same is compared."""
    with unset_fake_temporarily(), torch.no_grad():
        data = pickle.dumps(tensor.detach().cpu().tolist())
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


class Recorder(TorchDispatchMode):
    """Writes down all that is executed while it is active."""

    def __init__(self):
        super().__init__()
        self.events: list[Event] = []
        self.metas: list[Meta] = []
        self.quiet = 0
        self.modules: list[str] = []
        self._values: dict[int, int] = {}
        self._kept: list[torch.Tensor] = []
        self._storages: dict[int, list[torch.Tensor]] = {}
        self._module_of: dict[Any, str] = {}

    # Values

    def bind(self, tensor: torch.Tensor, value: int | None = None) -> int:
        if value is None:
            value = len(self.metas)
            self.metas.append(Meta(tuple(map(counted, tensor.shape)), tensor.dtype))
        if id(tensor) not in self._values:
            self._kept.append(tensor)
            self._storages.setdefault(self._storage(tensor), []).append(tensor)
        self._values[id(tensor)] = value
        if isinstance(tensor, AsyncCollectiveTensor):
            self.bind(tensor.elem, value)
        return value

    def value(self, tensor: torch.Tensor) -> int:
        if isinstance(tensor, AsyncCollectiveTensor):
            tensor = tensor.elem
        if id(tensor) not in self._values:
            known = not isinstance(tensor, FakeTensor)
            value = self.bind(tensor)
            self.events.append(Event("input", "constant" if known else "captured", self.here(),
                                     False, (contents(tensor),) if known else (),
                                     results=(value,)))
        return self._values[id(tensor)]

    @staticmethod
    def _storage(tensor: torch.Tensor) -> int:
        if isinstance(tensor, AsyncCollectiveTensor):
            tensor = tensor.elem
        return tensor.untyped_storage()._cdata

    def settle(self, shapes: ShapeEnv) -> None:
        """Puts numbers where some depend on data."""
        numbers = stand_ins(shapes)

        def number(argument):
            if not isinstance(argument, Counted):
                return argument
            expression = shapes.replace(argument.expression).subs(numbers)
            return int(expression.subs({s: ROWS for s in expression.free_symbols}))

        self.metas = [Meta(tuple(map(number, m.shape)), m.dtype) for m in self.metas]
        for event in self.events:
            event.args, event.kwargs = tree_map(number, (event.args, event.kwargs))

    # Places

    def here(self) -> Place:
        """Where the program is; in the backward pass, where it was going forward."""
        node = torch._C._current_autograd_node()
        if node is not None:
            site = getattr(node, "moe_place", None)
            place = site or place_of_traceback(node.metadata.get("traceback_", []), "")
            if place is not None:
                return place
        return user_place(self.modules[-1] if self.modules else "")

    @staticmethod
    def in_backward() -> bool:
        return torch._C._current_autograd_node() is not None

    @contextlib.contextmanager
    def silence(self):
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    # Operations

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(issubclass(t, (DTensor, AsyncCollectiveTensor)) for t in types):
            return NotImplemented
        kwargs = kwargs or {}
        if self.quiet or func.namespace == "prim":
            return func(*args, **kwargs)
        if func.name() in OPDEFS:
            inside = self._inside(func, args, kwargs)
            if inside is not None:
                return inside
        name = f"{func.namespace}.{func._schema.name.split('::')[1]}"
        if name == "aten._local_scalar_dense":
            return func(*args, **kwargs)
        written = [self._argument(func, i, args, kwargs)
                   for i, a in enumerate(func._schema.arguments)
                   if a.alias_info is not None and a.alias_info.is_write]
        written = [t for t in tree_flatten(written)[0] if isinstance(t, torch.Tensor)]
        # Read before it is written.
        recorded = tree_map(self._recorded, (args, kwargs))
        if func.namespace in NAMESPACES:
            if name not in KNOWN_COLLECTIVES:
                raise UnknownCollective(name, self.here())
            recorded = self._groups_by_name(recorded)
            if func.namespace == "c10d":
                written = written or tree_flatten(args[:1])[0]
        out = func(*args, **kwargs)
        self._op(name, *recorded, written or out, written)
        return out

    def _inside(self, func, args, kwargs):
        """Runs what an operation written in Python does, if fake tensors can."""
        events = len(self.events)
        try:
            with self:
                return OPDEFS[func.name()]._init_fn(*args, **kwargs)
        except UnknownCollective:
            raise
        except Exception:  # It may do anything.
            del self.events[events:]
            return None

    @staticmethod
    def _argument(func, index, args, kwargs):
        argument = func._schema.arguments[index]
        if index < len(args):
            return args[index]
        return kwargs.get(argument.name)

    def _recorded(self, argument):
        if isinstance(argument, torch.Tensor):
            return Ref(self.value(argument))
        if isinstance(argument, torch.ScriptObject):
            return self._script_object(argument)
        return counted(argument)

    @staticmethod
    def _groups_by_name(arguments):
        """Functional collectives name their group, in the last argument."""
        args, kwargs = arguments
        if args and isinstance(args[-1], str) and args[-1] not in REDUCTIONS:
            group = torch.distributed.distributed_c10d._resolve_process_group(args[-1])
            args = (*args[:-1], Group(tuple(torch.distributed.get_process_group_ranks(group))))
        return args, kwargs

    @staticmethod
    def _script_object(argument):
        with contextlib.suppress(Exception):
            group = torch.distributed.ProcessGroup.unbox(argument)
            return Group(tuple(torch.distributed.get_process_group_ranks(group)))
        with contextlib.suppress(Exception):
            return str(torch.distributed.ReduceOp.unbox(argument).op).split(".")[-1].lower()
        return "object"

    def _op(self, name, args, kwargs, out, written) -> None:
        tensors = [t for t in tree_flatten(out)[0] if isinstance(t, torch.Tensor)]
        before = [self._values.get(id(t)) for t in tensors]
        results = []
        for tensor in tensors:
            results.append(self.bind(tensor))
        self.events.append(Event("op", name, self.here(), self.in_backward(),
                                 args, kwargs, tuple(results)))
        if written:
            for tensor, old, value in zip(tensors, before, results):
                self._propagate(tensor, old, value)

    def _propagate(self, written: torch.Tensor, before: int, value: int) -> None:
        """What else shares memory with a tensor that was written to."""
        for other in self._storages.get(self._storage(written), []):
            if other is written:
                continue
            same = (other.shape == written.shape and other.stride() == written.stride()
                    and other.storage_offset() == written.storage_offset())
            if same:
                self._values[id(other)] = value
            else:
                arguments = tuple(map(Ref, (self._values[id(other)], before, value)))
                self.events.append(Event("op", WRITE, self.here(), self.in_backward(),
                                         arguments, results=(self.bind(other),)))

    # Edges of DTensor

    def label(self, name: str, source: torch.Tensor, result: torch.Tensor,
              placed: Placed, place: Place, backward: bool, is_parameter=False) -> None:
        argument = Ref(self.value(source))
        value = len(self.metas)
        self.metas.append(Meta(tuple(map(counted, source.shape)), source.dtype))
        self.bind(result, value)
        self.events.append(Event("label", name, place, backward, (argument,),
                                 results=(value,), placed=placed,
                                 is_parameter=is_parameter))

    def cotangent(self, gradient: torch.Tensor, primal: int) -> None:
        """What the backward pass hands back for a recorded value."""
        source = self.value(gradient)
        value = self.bind(gradient)
        self.events.append(Event("cotangent", "cotangent", self.here(), True,
                                 (Ref(source), Ref(primal)), results=(value,)))

    def watch(self, outputs: list[torch.Tensor]):
        """Has each node of the autograd graph say whose cotangents it makes."""
        producers = {(t.grad_fn, t.output_nr): self._values[id(t)]
                     for t in self._kept if t.grad_fn is not None}
        queue = [t.grad_fn for t in outputs if t.grad_fn is not None]
        seen = set(queue)

        def made(node):
            def hook(gradients, _):
                if self.quiet:
                    return
                for gradient, target in zip(gradients, node.next_functions):
                    if (isinstance(gradient, torch.Tensor) and target in producers
                            and not isinstance(gradient, DTensor)):
                        self.cotangent(gradient, producers[target])
            return hook

        while queue:
            node = queue.pop()
            yield node.register_hook(made(node))
            for next_, _ in node.next_functions:
                if next_ is not None and next_ not in seen:
                    seen.add(next_)
                    queue.append(next_)

    def convert(self, source, result, current, target, place) -> None:
        argument = Ref(self.value(source))
        value = self.bind(result)
        self.events.append(Event("convert", "redistribute", place, self.in_backward(),
                                 (argument,), results=(value,), placed=current,
                                 target=target))


def of_spec(spec) -> Placed:
    return Placed.of(spec.mesh, spec.placements, spec.shape)


@contextlib.contextmanager
def dtensor_edges(recorder: Recorder):
    """Has DTensor say what crosses its edges."""
    to_local, from_local = dtensor_api._ToTorchTensor, dtensor_api._FromTorchTensor
    originals = {
        "to_forward": to_local.forward, "to_backward": to_local.backward,
        "from_forward": from_local.forward, "from_backward": from_local.backward,
        "redistribute": dtensor_redistribute.redistribute_local_tensor,
    }
    propagator = DTensor._op_dispatcher.sharding_propagator
    # Runs operations for what it then remembers.
    propagates = {name: getattr(propagator, name) for name in (
        "propagate_op_sharding", "propagate_op_sharding_non_cached")}

    def silent(function):
        def call(*args, **kwargs):
            with recorder.silence():
                return function(*args, **kwargs)
        return call

    def to_forward(ctx, dtensor, grad_placements):
        ctx.moe_place = recorder.here()
        ctx.moe_parameter = isinstance(dtensor, torch.nn.Parameter)
        with recorder.silence():
            result = originals["to_forward"](ctx, dtensor, grad_placements)
        local = dtensor._local_tensor
        recorder.label("value of to_local", local, result, of_spec(dtensor._spec),
                       ctx.moe_place, recorder.in_backward())
        return result

    def to_backward(ctx, gradient):
        with recorder.silence():
            results = originals["to_backward"](ctx, gradient)
        if results[0] is not None:
            recorder.label("gradient of to_local", gradient, results[0]._local_tensor,
                           of_spec(results[0]._spec), ctx.moe_place, True,
                           ctx.moe_parameter)
        return results

    def from_forward(ctx, tensor, *rest):
        # The backward pass of to_local makes its gradient by from_local.
        if recorder.quiet:
            return originals["from_forward"](ctx, tensor, *rest)
        ctx.moe_place = recorder.here()
        with recorder.silence():
            result = originals["from_forward"](ctx, tensor, *rest)
        recorder.label("value of from_local", tensor, result._local_tensor,
                       of_spec(result._spec), ctx.moe_place, recorder.in_backward())
        return result

    def from_backward(ctx, gradient):
        return originals["from_backward"](ctx, gradient)

    def redistribute(local, current, target, **options):
        with recorder.silence():
            result = originals["redistribute"](local, current, target, **options)
            if result is local and current.placements != target.placements:
                result = local.view_as(local)
        if result is not local:
            recorder.convert(local, result, of_spec(current), of_spec(target),
                             recorder.here())
        return result

    users = (dtensor_api, dtensor_dispatch, dtensor_redistribute)
    try:
        to_local.forward, to_local.backward = staticmethod(to_forward), staticmethod(to_backward)
        from_local.forward = staticmethod(from_forward)
        from_local.backward = staticmethod(from_backward)
        for module in users:
            module.redistribute_local_tensor = redistribute
        for name, function in propagates.items():
            setattr(propagator, name, silent(function))
        yield
    finally:
        to_local.forward = staticmethod(originals["to_forward"])
        to_local.backward = staticmethod(originals["to_backward"])
        from_local.forward = staticmethod(originals["from_forward"])
        from_local.backward = staticmethod(originals["from_backward"])
        for module in users:
            module.redistribute_local_tensor = originals["redistribute"]
        for name, function in propagates.items():
            setattr(propagator, name, function)
