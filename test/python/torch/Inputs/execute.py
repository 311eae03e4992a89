"""Runs the layer of titan.py on ranks of this machine, beside the unsharded one.

    execute.py RANKS < cases.json > errors.json

A case is [plan, labels, score_before_experts, seed]; its result the largest relative error
of each gradient over the ranks. What a rank holds is taken by its label, as an optimizer
would: a Partial gradient is summed, a replicated one is what that rank has.
"""

import json
import os
import sys
import tempfile

import titan
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor


def gradients(case, mesh) -> dict[str, float]:
    plan, labels, before, seed = case
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(titan.BATCH, titan.SEQ, titan.D, generator=generator)
    dy = torch.randn(x.shape, generator=generator)
    torch.manual_seed(seed)
    reference = titan.MoE(before)
    sharded = titan.MoE(before)
    sharded.load_state_dict(reference.state_dict())
    titan.parallelize(sharded, mesh, plan, titan.Labels(*labels))
    whole = x.clone().requires_grad_()
    (reference(whole) * dy).sum().backward()
    part = distribute_tensor(x, mesh, [Shard(1)]).requires_grad_()
    sharded(part).backward(distribute_tensor(dy, mesh, [Shard(1)]))
    expected = {"input0": whole.grad} | {n: p.grad for n, p in reference.named_parameters()}
    found = {"input0": part.grad} | {n: p.grad for n, p in sharded.named_parameters()}
    return {n: error(found[n], expected[n]) for n in expected}


def error(found: DTensor, expected: torch.Tensor) -> float:
    if isinstance(found.placements[0], Partial):
        found = found.redistribute(placements=[Replicate()])
    value = found.full_tensor()
    largest = (value - expected).norm() / expected.norm()
    # What replicas are is not what one rank has.
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest.item()


def rank(number: int, size: int, cases, store: str, results, done) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=size)
    mesh = init_device_mesh("cpu", (size,), mesh_dim_names=("tp",))
    results.put((number, [gradients(case, mesh) for case in cases]))
    # No rank may go while another still talks to it.
    done.wait()
    dist.destroy_process_group()


def run(cases, size: int = 2) -> list[dict[str, float]]:
    context = processes.get_context("spawn")
    results, done = context.Queue(), context.Event()
    with tempfile.TemporaryDirectory() as folder:
        started = processes.spawn(rank, (size, cases, os.path.join(folder, "store"), results, done),
                                  nprocs=size, join=False)
        made = dict(results.get(timeout=300) for _ in range(size))
        done.set()
        started.join()
    return made[0]


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin), int(sys.argv[1])), sys.stdout)
