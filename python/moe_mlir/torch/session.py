"""Running a module on every rank of a mesh, in one process, on no data."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from typing import Any, Callable

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import (DataDependentOutputException,
                                           DynamicOutputShapeException, FakeTensorMode)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate
from torch.distributed.tensor._collective_utils import MeshTopoInfo
from torch.distributed.tensor._redistribute import _gen_transform_infos
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, ShapeEnv
from torch.utils._pytree import tree_flatten

from .annotations import annotation
from .capture import LIBRARIES, Event, Placed, Recorder, Ref, dtensor_edges, of_spec
from .errors import CaptureError, DataDependentControlFlow, ModuleRaises, Place

DATA_DEPENDENT = (GuardOnDataDependentSymNode, DataDependentOutputException,
                  DynamicOutputShapeException)


@contextlib.contextmanager
def fake_world(rank: int, size: int):
    """A process group of which this process is one rank, and no other exists."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    if dist.is_initialized():
        raise CaptureError("a process group exists already; destroy it first")
    # They remember groups of an earlier world.
    DTensor._op_dispatcher.sharding_propagator.propagate_op_sharding.cache_clear()
    torch._C._clear_DTensor_sharding_propagator_cache()
    _gen_transform_infos.cache_clear()
    MeshTopoInfo.build_from_mesh.cache_clear()
    dist.init_process_group("fake", rank=rank, world_size=size, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


def place_of(error: BaseException) -> Place | None:
    """The innermost line of the user's through which an exception came."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if not frame.filename.startswith(LIBRARIES) and not frame.filename.startswith("<"):
            return Place(frame.filename, frame.lineno or 1)
    return None


@contextlib.contextmanager
def named_errors():
    """Makes of what the module raises an exception that says what and where."""
    try:
        yield
    except CaptureError:
        raise
    except DATA_DEPENDENT as error:
        place = place_of(error)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataDependentControlFlow(
            f"what runs next depends on the data of a tensor ({reason})", place) from error
    except Exception as error:
        raise ModuleRaises(f"the module raises {type(error).__name__}: {error}",
                           place_of(error)) from error


class Session:
    """One rank's run."""

    def __init__(self, placements: dict[str, Any] | None):
        self.recorder = Recorder()
        self.stated = dict(placements or {})
        self.used: set[str] = set()
        #: Of annotated tensors by name, how their gradients lie.
        self.duals: dict[str, Placed] = {}

    def run(self, module: torch.nn.Module, inputs: tuple, mesh: DeviceMesh) -> None:
        recorder = self.recorder
        leaves: list[tuple[str, torch.Tensor]] = []
        for name, parameter in module.named_parameters():
            self.enter(name, parameter, mesh)
            if parameter.requires_grad:
                leaves.append((name, parameter))
        for name, buffer in module.named_buffers():
            self.enter(name, buffer, mesh, required=False)
        for i, tensor in enumerate(tree_flatten(inputs)[0]):
            if isinstance(tensor, torch.Tensor):
                name = f"input{i}"
                self.enter(name, tensor, mesh)
                if tensor.requires_grad:
                    leaves.append((name, tensor))
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            for handle in self.hooks(module):
                stack.callback(handle.remove)
            # Each autograd node then knows the line that made it.
            stack.enter_context(torch.autograd.set_detect_anomaly(True, check_nan=False))
            stack.enter_context(dtensor_edges(recorder))
            stack.enter_context(recorder)
            with named_errors():
                outputs = module(*inputs)
            self.backward(outputs, leaves, mesh, stack)
        for name in self.stated.keys() - self.used:
            raise ValueError(f"placements: there is no parameter, buffer, input or output "
                             f"'{name}'")

    def hooks(self, module: torch.nn.Module):
        stack = self.recorder.modules
        for name, submodule in module.named_modules():
            yield submodule.register_forward_pre_hook(
                lambda _, __, name=name: stack.append(name), prepend=True)
            yield submodule.register_forward_hook(
                lambda *_: (stack.pop(), None)[1], always_call=True)

    def placed(self, name: str, tensor: torch.Tensor, mesh: DeviceMesh) -> Placed | None:
        if isinstance(tensor, DTensor):
            return of_spec(tensor._spec)
        if name not in self.stated:
            annotated = annotation(tensor)
            if annotated is None:
                return None
            self.duals[name] = annotated[1]
            return annotated[0]
        self.used.add(name)
        placements = self.stated[name]
        if isinstance(placements, dict):
            names = mesh.mesh_dim_names or ()
            placements = [placements.get(n, Replicate()) for n in names]
        shape = list(tensor.shape)
        for i, placement in enumerate(placements):
            if placement.is_shard():
                shape[placement.dim] *= mesh.size(i)
        return Placed.of(mesh, placements, shape)

    def enter(self, name: str, tensor: torch.Tensor, mesh: DeviceMesh, required=True) -> None:
        placed = self.placed(name, tensor, mesh)
        if placed is None and required:
            raise ValueError(f"'{name}' is no DTensor; say how it lies: "
                             f"placements={{'{name}': [..]}}")
        local = tensor._local_tensor if isinstance(tensor, DTensor) else tensor
        value = self.recorder.bind(local)
        self.recorder.events.append(Event("input", name, self.recorder.here(), False,
                                          results=(value,), placed=placed))

    def leave(self, name: str, tensor: torch.Tensor, placed: Placed, place: Place,
              is_parameter=False) -> None:
        local = tensor._local_tensor if isinstance(tensor, DTensor) else tensor
        value = self.recorder.value(local)
        self.recorder.events.append(Event("output", name, place, name.startswith("grad."),
                                          (Ref(value),), placed=placed,
                                          is_parameter=is_parameter))

    def backward(self, outputs, leaves, mesh: DeviceMesh,
                 stack: contextlib.ExitStack) -> None:
        recorder = self.recorder
        made = [o for o in tree_flatten(outputs)[0]
                if isinstance(o, torch.Tensor) and o.requires_grad]
        if not made:
            raise CaptureError("no output of the module has a gradient")
        end = recorder.here()
        cotangents = []
        for i, output in enumerate(made):
            name = "output" if len(made) == 1 else f"output{i}"
            placed = self.placed(name, output, mesh)
            if placed is None:
                raise ValueError(f"'{name}' is no DTensor; say how it lies: "
                                 f"placements={{'{name}': [..]}}")
            self.leave(name, output, placed, end)
            cotangents.append(self.cotangent(f"grad.{name}", output, placed))
        for handle in recorder.watch(made):
            stack.callback(handle.remove)
        with named_errors():
            gradients = torch.autograd.grad(made, [t for _, t in leaves], cotangents,
                                            allow_unused=True)
        for (name, leaf), gradient in zip(leaves, gradients):
            if gradient is None:
                continue
            if isinstance(gradient, DTensor):
                placed = of_spec(gradient._spec)
            else:
                placed = self.duals.get(name) or self.placed(name, leaf, mesh)
            self.leave(f"grad.{name}", gradient, placed, end,
                       isinstance(leaf, torch.nn.Parameter))

    def cotangent(self, name: str, output: torch.Tensor, placed: Placed) -> torch.Tensor:
        """Of a sum that is still to be taken each term gets the whole cotangent."""
        recorder = self.recorder
        placements = [Replicate() if isinstance(p, Partial) else p for p in placed.placements]
        with recorder.silence():
            if isinstance(output, DTensor):
                local = torch.empty_like(output.to_local().detach())
                result = DTensor.from_local(local, output.device_mesh, placements,
                                            run_check=False, shape=output.shape,
                                            stride=output.stride())
                local = result._local_tensor
            else:
                result = local = torch.empty_like(output.detach())
        value = recorder.bind(local)
        recorder.events.append(Event(
            "input", name, recorder.here(), True, results=(value,),
            placed=Placed(placed.groups, placed.names, tuple(placements), placed.shape)))
        return result


def record(model: Callable[[DeviceMesh], torch.nn.Module], sizes: dict[str, int],
           inputs: Callable[[DeviceMesh], tuple], placements, rank: int) -> Recorder:
    """What one rank of a mesh of these sizes does."""
    world = 1
    for size in sizes.values():
        world *= size
    with fake_world(rank, world):
        mesh = init_device_mesh("cpu", tuple(sizes.values()), mesh_dim_names=tuple(sizes))
        with named_errors():
            module = model(mesh)
            arguments = inputs(mesh)
        session = Session(placements)
        shapes = ShapeEnv()
        with FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True):
            session.run(module, tuple(arguments), mesh)
        session.recorder.settle(shapes)
        return session.recorder
