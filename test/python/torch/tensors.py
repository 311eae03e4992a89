# RUN: %python -W ignore %s %S/../../Inputs/configs/qwen3-moe-small.json %t.mlir
"""Layers take PyTorch's tensors and give what it takes, bfloat16 too, without a copy."""

import subprocess
import sys

import torch

import moe_mlir

config, path = sys.argv[1:]
for dtype in ("f32", "bf16"):
    subprocess.run(["moe-import", config, "-o", path, "--mesh", "tp=2", "--plan", "tp2ep",
                    "--batch", "2", "--seq", "8", "--dtype", dtype], check=True)
    with open(path) as file:
        layer = moe_mlir.compile(moe_mlir.parse(file.read(), path))
    generator = torch.Generator().manual_seed(1)
    tensors = {value.name: torch.randn(value.shape, generator=generator)
               .to(getattr(torch, value.dtype)) for value in layer.arguments}
    outputs = layer(**tensors)
    for value in layer.results:
        taken = torch.from_dlpack(outputs[value.name])
        assert taken.dtype == getattr(torch, value.dtype), (value, taken.dtype)
        assert tuple(taken.shape) == value.shape and taken.float().norm() > 0, value
        again = torch.from_dlpack(outputs[value.name])
        assert taken.data_ptr() == again.data_ptr(), value
    if dtype == "f32":
        exact = {name: torch.from_dlpack(output).clone() for name, output in outputs.items()}
        assert torch.equal(exact["y"], torch.from_dlpack(layer(**{
            name: tensor.numpy() for name, tensor in tensors.items()})["y"]))
