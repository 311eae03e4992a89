"""Compiled layers, run on the CPU."""

from __future__ import annotations

import dataclasses
import os

from . import _moe_mlir
from .diagnostics import Diagnostic, Error


@dataclasses.dataclass(frozen=True)
class Value:
    """An argument or a result of a layer."""

    name: str
    #: "float32", "float64", "bfloat16", "int32" or "int64".
    dtype: str
    #: Of all ranks together.
    shape: tuple[int, ...]
    #: "tp: shard<0>, ep: partial<sum>"; an axis over which it is replicated is
    #: left out.
    placements: str


class Layer:
    """Forward and backward of a layer. `compile` makes it.

    Called with a tensor for each argument, by name, it runs all ranks of its mesh
    as threads of this process, and returns the results by name:

    >>> outputs = layer(x=x, dy=dy, **{"router.gate.weight": w})
    >>> outputs["grad.x"]

    Tensors are global: those of NumPy, PyTorch, JAX or whatever else has
    `__dlpack__` or the buffer protocol, in the CPU's memory, contiguous, of the
    argument's shape and type. They are not copied, but for the parts of ranks that
    are not in one piece of memory. Results are NumPy arrays, which
    `torch.from_dlpack` and `jax.dlpack.from_dlpack` take without a copy; of a
    bfloat16 result, which NumPy lacks, they are objects with `__dlpack__`.
    """

    def __init__(self, compiled: _moe_mlir.Layer):
        self._compiled = compiled
        self.num_ranks: int = compiled.num_ranks
        self.arguments = [Value(*value) for value in compiled.arguments]
        self.results = [Value(*value) for value in compiled.results]
        #: Seconds that a rank may wait in one collective before the run fails.
        self.timeout = 60.0

    def __call__(self, /, **tensors) -> dict[str, object]:
        """Raises TypeError for a missing or unknown argument, ValueError for one
        of another type or shape, and `Error` if the run fails or ranks differ in
        a result that should be equal."""
        names = [value.name for value in self.arguments]
        for name in names:
            if name not in tensors:
                raise TypeError(f"the argument {name!r} is missing")
        for name in tensors:
            if name not in names:
                raise TypeError(f"there is no argument {name!r}, but {', '.join(names)}")
        results, reported = self._compiled.run([tensors[name] for name in names],
                                               float(self.timeout))
        if results is None:
            raise Error("the run failed", Diagnostic.convert(reported))
        return {value.name: result for value, result in zip(self.results, results)}

    def __repr__(self) -> str:
        arguments = ", ".join(value.name for value in self.arguments)
        results = ", ".join(value.name for value in self.results)
        return f"<moe_mlir.Layer of {self.num_ranks} ranks: ({arguments}) -> ({results})>"


def compile(module: _moe_mlir.Module | str, target: str = "cpu", *,
            policy: str = "min-cut", cost_file: str | os.PathLike | None = None,
            memory_budget: int | None = None, bucket_bytes: int = 4096,
            verify: bool = True) -> Layer:
    """Checks a program and compiles it, forward and backward, into this process.

    The options are those of `moe-compile`: `cost_file` says what collectives cost,
    as `moe-run --calibrate` writes it, and `memory_budget` bounds the bytes of values
    that are partial over an axis at a time. No linker is needed. Raises `Error`, with
    the reasons in its `diagnostics`, if a claim is false (with `verify=False` the
    program is compiled as it is), if the cost file cannot be used, if nothing fits
    into the memory budget, or if the program cannot be compiled.
    """
    if isinstance(module, str):
        from . import parse

        module = parse(module)
    compiled, reported = _moe_mlir.compile(
        module, target, policy, os.fspath(cost_file or ""),
        -1 if memory_budget is None else memory_budget, bucket_bytes, verify)
    if compiled is None:
        raise Error("the layer cannot be compiled", Diagnostic.convert(reported))
    return Layer(compiled)
