"""What spmd_types says of a plain tensor.

Its types are of a tensor and of its gradient at once: the gradient of what is replicated
(R) is a term of a sum, that of what is invariant (I) is replicated.
"""

from __future__ import annotations

import re

import torch
import torch.distributed as dist
from torch.distributed.tensor import Partial, Replicate, Shard

from .capture import Placed

try:
    import spmd_types
    from spmd_types.runtime import get_local_type, get_partition_spec, has_local_type
except ImportError:
    spmd_types = None


def annotation(tensor: torch.Tensor) -> tuple[Placed, Placed] | None:
    """How a tensor and its gradient lie, if it is annotated."""
    if spmd_types is None or not has_local_type(tensor):
        return None
    types = get_local_type(tensor)
    spec = get_partition_spec(tensor)
    return of_types(types, spec, tensor.shape)


def of_types(types, spec, shape) -> tuple[Placed, Placed] | None:
    axes = list(types)
    dims = {}
    for dim, entry in enumerate(spec or ()):
        for axis in entry if isinstance(entry, tuple) else (entry,):
            dims[axis] = dim
    groups, forward, backward = [], [], []
    shape = list(shape)
    for axis in axes:
        groups.append(ranks_of(axis))
        type_ = types[axis]
        if type_ == spmd_types.V and axis not in dims:
            return None
        if axis in dims or isinstance(type_, spmd_types.Shard):
            dim = dims.get(axis, getattr(type_, "dim", 0))
            shape[dim] *= axis.size()
            forward.append(Shard(dim))
            backward.append(Shard(dim))
        elif type_ == spmd_types.P:
            forward.append(Partial())
            backward.append(Replicate())
        else:
            forward.append(Replicate())
            backward.append(Partial() if type_ == spmd_types.R else Replicate())
    named = tuple(axis_name(axis) for axis in axes)
    return (Placed(tuple(groups), named, tuple(forward), tuple(shape)),
            Placed(tuple(groups), named, tuple(backward), tuple(shape)))


def axis_name(axis) -> str:
    """Of the names that an axis has, one that a mesh gave it."""
    names = sorted(re.match(r"\w+", name)[0].removeprefix("mesh_") for name in axis.names)
    return next((n for n in names if n != "default_pg"), "world")


def ranks_of(axis) -> tuple[int, ...]:
    """The ranks of this rank's group along an axis."""
    (size, stride), = axis.layout.sizes_and_strides
    rank = dist.get_rank()
    first = rank - rank // stride % size * stride
    return tuple(first + i * stride for i in range(size))
