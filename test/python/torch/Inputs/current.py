"""torchtitan's MoE layer as it is installed, under its own parallel plans."""

from __future__ import annotations

import spmd_types as spmd
import torch
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torchtitan.distributed import parallel_dims, spmd_types, utils
from torchtitan.distributed.parallel_dims import ParallelDims
from torchtitan.models.common.config_utils import (make_ffn_config, make_moe_config,
                                                   make_routed_experts_config,
                                                   make_router_config)
from torchtitan.models.common.moe_sharding import set_moe_sharding_config
from torchtitan.models.deepseek_v3.sharding import _GROUPED_EXPERTS_PARAM_LAYOUT

# It takes a machine without a GPU for one with a GPU.
parallel_dims.device_type = "cpu"

BATCH, SEQ, D, F, E, K = 2, 16, 16, 32, 4, 2


def config(score_func: str = "sigmoid", route_norm: bool = True):
    nothing = {"weight": torch.nn.init.ones_, "bias": torch.nn.init.zeros_}
    return make_moe_config(
        num_experts=E,
        router=make_router_config(dim=D, num_experts=E, gate_param_init=nothing, top_k=K,
                                  score_func=score_func, route_norm=route_norm),
        routed_experts=make_routed_experts_config(
            dim=D, hidden_dim=F, num_experts=E, top_k=K, param_init=nothing,
            comm_backend="standard"),
        shared_experts=make_ffn_config(dim=D, hidden_dim=F, w1_param_init=nothing,
                                       w2w3_param_init=nothing))


class Plan:
    """A parallel plan of torchtitan's: degrees, and its two switches."""

    def __init__(self, backend: str, dp: int, tp: int, ep: int, sequence_parallel: bool,
                 **options):
        self.backend, self.dp, self.tp, self.ep = backend, dp, tp, ep
        self.sequence_parallel = sequence_parallel
        self.without_grad_placements = options.pop("without_grad_placements", False)
        self.options = options
        self.world = {"dp": dp, "tp": tp}

    def __str__(self) -> str:
        return (f"{self.backend} dp={self.dp} tp={self.tp} ep={self.ep} "
                f"sp={'on' if self.sequence_parallel else 'off'}")

    def dims(self) -> ParallelDims:
        utils.set_spmd_backend(self.backend)
        dims = ParallelDims(dp_replicate=1, dp_shard=self.dp, cp=1, tp=self.tp, pp=1,
                            ep=self.ep, world_size=self.dp * self.tp,
                            spmd_backend=self.backend)
        dims.build_mesh()
        return dims

    def model(self, _mesh):
        self.parallel_dims = dims = self.dims()
        built = config(**self.options)
        set_moe_sharding_config(built, enable_ep=self.ep > 1,
                                enable_sp=self.sequence_parallel,
                                expert_param_layout=_GROUPED_EXPERTS_PARAM_LAYOUT)
        if self.without_grad_placements:
            built.routed_experts.sharding_config.local_map.in_grad_placements = None
        module = built.build()
        module.parallelize(dims)
        if self.backend == "spmd_types":
            spmd_types.set_spmd_meshes(dense_mesh=dims.spmd_dense_mesh(),
                                       sparse_mesh=dims.spmd_sparse_mesh())
            forward = module.forward

            def on_mesh(*args):
                with spmd_types.set_current_spmd_mesh(dims.spmd_dense_mesh()):
                    return forward(*args)

            module.forward = on_mesh
        return module

    def inputs(self, _mesh):
        dims = self.parallel_dims
        if self.backend == "spmd_types":
            return (self.annotated_input(dims),)
        mesh = (dims.get_mesh("tp") if self.backend == "partial_dtensor"
                else dims.spmd_meshes()[0])
        names = {"tp": Shard(1) if self.sequence_parallel else Replicate(),
                 "dp_shard": Shard(0) if self.dp > 1 else Replicate()}
        x = distribute_tensor(torch.randn(BATCH * self.dp, SEQ, D), mesh,
                              [names[n] for n in mesh.mesh_dim_names])
        return (x.requires_grad_(),)

    def annotated_input(self, dims):
        size = SEQ // self.tp if self.sequence_parallel else SEQ
        x = torch.randn(BATCH, size, D).requires_grad_()
        sequence = spmd.S(1) if self.sequence_parallel else spmd.I
        with spmd_types.set_current_spmd_mesh(dims.spmd_dense_mesh()):
            spmd.assert_type(x, {"dp": spmd.S(0), "cp": spmd.R, "tp": sequence})
        return x

    @property
    def placements(self):
        """How the output lies, where it is no DTensor."""
        if self.backend != "spmd_types":
            return {}
        sequence = Shard(1) if self.sequence_parallel else Replicate()
        return {"output": [Shard(0), sequence]}
