#!/usr/bin/env python3
"""The layer in PyTorch: in float64 as the judge, in bfloat16 as users have it.

usage: torch_layer.py draw|compare|values REQUEST.json

Prints one line of JSON. `draw` writes a layer's inputs, `compare` judges the results of a
layer of full width beside the bfloat16 layer's and times that one, `values` judges small
layers.

The mathematics, for tokens x, gate G and experts (W1, W3, W2): logits x G^T, scores their
sigmoid or softmax, the k best experts of each token with scores p (divided by their sum
where normalized, then scaled), and

    y = sum over the chosen e of  p_e W2_e (silu(W1_e x) * W3_e x)        scores after
                                  W2_e (silu(W1_e p_e x) * W3_e p_e x)   before
                                  W2_e (p_e silu(W1_e x) * W3_e x)       pre-down

plus that of the shared experts. With p_e a number per token, after and pre-down are the
same function.
"""

import json
import struct
import sys

import torch
import torch.nn.functional as F

# What counts as zero: the gate's gradient where each token has one expert for sure.
TINY = 1e-7
GATE = "router.gate.weight"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def route(logits, spec):
    """Chosen experts and their scores, in the precision of the logits."""
    if spec["scoring"] == "softmax":
        scores = torch.softmax(logits, -1)
    else:
        scores = torch.sigmoid(logits)
    chosen = torch.topk(scores, spec["chosen"], dim=-1, sorted=False).indices
    picked = scores.gather(-1, chosen)
    if spec["normalized"]:
        picked = picked / (picked.sum(-1, keepdim=True) + 1e-20)
    return chosen, picked * spec["scale"]


def swiglu(rows, w1, w2, w3):
    return (F.silu(rows @ w1.T) * (rows @ w3.T)) @ w2.T


def smallest_margin(logits, chosen):
    """How far the last chosen logit is above the first that is not."""
    if chosen == logits.shape[-1]:
        return float("inf")
    best = torch.topk(logits, chosen + 1, dim=-1).values
    return float((best[..., -2] - best[..., -1]).min())


class Reference:
    """The layer and its gradients in float64, expert by expert."""

    def __init__(self, tensors, spec):
        tensors = {name: value.to(DEVICE) for name, value in tensors.items()}
        self.spec = spec
        self.shape = tensors["x"].shape
        self.leaves = {name: value.double().requires_grad_()
                       for name, value in tensors.items()
                       if name != "dy" and not name.startswith("experts.")}
        # The experts' matrices one by one: no gradient is as large as all of them.
        self.experts = {
            name: [matrix.double().requires_grad_() for matrix in tensors[f"experts.{name}"]]
            for name in ("w1", "w2", "w3")
        }
        self.compute(tensors["dy"].double())

    def forward(self):
        x = self.leaves["x"].reshape(-1, self.shape[-1])
        logits = x @ self.leaves[GATE].T
        self.margin = smallest_margin(logits.detach(), self.spec["chosen"])
        chosen, scores = route(logits, self.spec)
        self.counts = torch.bincount(chosen.flatten(), minlength=logits.shape[-1])
        y = torch.zeros_like(x)
        for expert in range(self.spec["experts"]):
            token, slot = (chosen == expert).nonzero(as_tuple=True)
            if not len(token):
                continue
            matrices = [self.experts[name][expert] for name in ("w1", "w2", "w3")]
            rows, score = x[token], scores[token, slot][:, None]
            if self.spec["score"] == "before":
                out = swiglu(rows * score, *matrices)
            else:
                out = swiglu(rows, *matrices) * score
            y = y.index_add(0, token, out)
        shared = [self.leaves.get(f"shared_experts.{name}.weight")
                  for name in ("w1", "w2", "w3")]
        if shared[0] is not None:
            y = y + swiglu(x, *shared)
        return y.reshape(self.shape)

    def compute(self, dy):
        y = self.forward()
        leaves = [*self.leaves.values(), *sum(self.experts.values(), [])]
        grads = torch.autograd.grad(y, leaves, dy, allow_unused=True)
        grads = [torch.zeros_like(leaf) if grad is None else grad
                 for leaf, grad in zip(leaves, grads)]
        self.results = {"y": [y.detach()]}
        for name in self.leaves:
            self.results[f"grad.{name}"] = [grads.pop(0)]
        for name, matrices in self.experts.items():
            self.results[f"grad.experts.{name}"] = [grads.pop(0) for _ in matrices]
        self.leaves = self.experts = None

    def error(self, name, value):
        """Frobenius norm of the difference, relative."""
        parts = self.results[name]
        values = value.reshape(len(parts), *parts[0].shape)
        error = sum(((own.to(DEVICE).double() - part) ** 2).sum()
                    for own, part in zip(values, parts))
        norm = sum((part ** 2).sum() for part in parts)
        if norm <= value.numel() * TINY ** 2:
            return 0.0
        return float((error / norm).sqrt())


#===----------------------------------------------------------------------===#
# What users have
#===----------------------------------------------------------------------===#


def eager(x, gate, w1, w2, w3, spec, combine):
    """torchtitan's layer: scores in float32, rows sorted by expert, grouped products.
    `combine` is the precision in which the experts' results are weighed and added."""
    tokens = x.reshape(-1, x.shape[-1])
    chosen, scores = route((tokens @ gate.T).float(), spec)
    flat = chosen.flatten()
    order = torch.argsort(flat, stable=True)
    counts = torch.zeros(spec["experts"], device=x.device, dtype=torch.int32)
    counts = counts.scatter_add(0, flat, torch.ones_like(flat, dtype=torch.int32))
    ends = torch.cumsum(counts, 0, dtype=torch.int32)
    rows = tokens.index_select(0, order // spec["chosen"])

    def product(left, weight):
        return torch._grouped_mm(left, weight.transpose(-2, -1), offs=ends)

    out = product(F.silu(product(rows, w1)) * product(rows, w3), w2)
    slots = torch.zeros_like(out).index_copy(0, order, out)
    slots = slots.view(len(tokens), spec["chosen"], -1)
    y = torch.bmm(scores.to(combine)[:, None], slots.to(combine)).squeeze(1)
    return y.to(x.dtype).reshape(x.shape)


def median_time(step, repeats=10, warmup=3):
    """Milliseconds by events on the device."""
    times = []
    for i in range(warmup + repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        step()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times[warmup:])[repeats // 2]


def run_eager(tensors, spec, combine):
    names = ["x", GATE, "experts.w1", "experts.w2", "experts.w3"]
    leaves = [tensors[name].to(DEVICE).requires_grad_() for name in names]
    dy = tensors["dy"].to(DEVICE)

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = eager(*leaves, spec, combine)
        y.backward(dy)
        return y

    time = median_time(step)
    y = step().detach()
    return time, {"y": y, **{f"grad.{name}": leaf.grad
                             for name, leaf in zip(names, leaves)}}


#===----------------------------------------------------------------------===#
# Commands
#===----------------------------------------------------------------------===#


DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


def load(path):
    """The tensors of a safetensors file, in the file's own memory."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    size = max(entry["data_offsets"][1] for name, entry in header.items()
               if name != "__metadata__")
    storage = torch.from_file(path, shared=False, size=8 + length + size,
                              dtype=torch.uint8)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            # Copied: where the file has it need not be aligned.
            part = storage[begin:end].clone().view(DTYPES[entry["dtype"]])
            tensors[name] = part.reshape(entry["shape"])
    return tensors


def save(path, tensors):
    """Writes tensors of bfloat16."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + 2 * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.cpu().contiguous().view(torch.int16).numpy().data)


def draw(request):
    """Inputs in bfloat16 whose chosen logits are `margin` above the others."""
    generator = torch.Generator(DEVICE).manual_seed(request["seed"])

    def normal(shape, scale=1.0):
        values = torch.randn(shape, generator=generator, device=DEVICE)
        return (values * scale).to(torch.bfloat16)

    tensors = {name: normal(shape, 1.0 if name in ("x", "dy") else shape[-1] ** -0.5)
               for name, shape in sorted(request["shapes"].items())}
    x, gate = tensors["x"], tensors[GATE].double()
    chosen = request["spec"]["chosen"]
    rounds = 0
    while rounds < 64:
        logits = x.double() @ gate.T
        best = torch.topk(logits, chosen + 1, dim=-1).values
        bad = best[..., -2] - best[..., -1] < request["margin"]
        if not bad.any():
            break
        x[bad] = normal((int(bad.sum()), x.shape[-1]))
        rounds += 1
    save(request["inputs"], tensors)
    return {"rounds": rounds, "left": int(bad.sum())}


def coarse(value, bits):
    """Rounded to so many bits, if any are asked for."""
    if not bits:
        return value
    mantissa, exponent = torch.frexp(value.float())
    return torch.ldexp((mantissa * 2 ** bits).round() / 2 ** bits, exponent)


def compare(request):
    spec = request["spec"]
    tensors = load(request["inputs"])
    answer = {"device": torch.cuda.get_device_name(), "torch": torch.__version__,
              "peers": {}}
    peers = {}
    for combine in ("float32", "bfloat16"):
        time, results = run_eager(tensors, spec, getattr(torch, combine))
        peers[combine] = {name: value.cpu() for name, value in results.items()}
        answer["peers"][combine] = {"ms": time}
        del results
        torch.cuda.empty_cache()
    reference = Reference(tensors, spec)
    answer["margin"] = reference.margin
    answer["counts"] = [int(reference.counts.min()), int(reference.counts.max())]
    for combine, results in peers.items():
        answer["peers"][combine]["errors"] = {
            name: reference.error(name, value) for name, value in results.items()}
    answer["errors"] = {
        name: reference.error(name, coarse(value, request.get("bits")))
        for name, value in load(request["outputs"]).items()}
    return answer


def values(requests):
    answer = {}
    for request in requests:
        reference = Reference(load(request["inputs"]), request["spec"])
        outputs = load(request["outputs"])
        # A choice that rounding may change is not compared.
        errors = {}
        if reference.margin > request["margin"]:
            errors = {name: reference.error(name, outputs[name]) / request["tolerance"]
                      for name in reference.results}
        answer[request["name"]] = {"margin": reference.margin, "errors": errors,
                                   "empty": int((reference.counts == 0).sum()),
                                   "most": int(reference.counts.max())}
    return answer


def main():
    command, path = sys.argv[1:]
    with open(path) as file:
        request = json.load(file)
    torch.backends.cuda.matmul.allow_tf32 = False
    print(json.dumps({"draw": draw, "compare": compare, "values": values}[command](request)))


if __name__ == "__main__":
    main()
