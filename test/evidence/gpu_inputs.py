"""Inputs of compiled layers, drawn where they are needed.

Experts are chosen by comparing scores, which two programs round differently. So that both
choose alike, a token is drawn again until its last chosen and first unchosen logit differ
by `MARGIN`, many times what bfloat16 rounds away.
"""

import numpy

import safetensors

MARGIN = 0.06


def rounded(values):
    """The nearest bfloat16, ties to even, as float32."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4").astype(numpy.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype("<u4").view("<f4")


def margins(x, gate, chosen):
    """By token, the last chosen logit less the first that is not."""
    logits = x.astype(numpy.float64) @ gate.astype(numpy.float64).T
    if chosen == logits.shape[-1]:
        return numpy.full(logits.shape[:-1], numpy.inf)
    logits.sort(axis=-1)
    return logits[..., -chosen] - logits[..., -chosen - 1]


def draw(arguments, seed, dtype, chosen=None):
    """Arguments of a layer by name. All tokens choose the middle expert, none the first."""
    generator = numpy.random.default_rng(seed)
    fit = rounded if dtype == "bf16" else lambda values: values.astype("<f4")

    def normal(shape, scale=1.0):
        return fit(generator.standard_normal(shape, "<f4") * numpy.float32(scale))

    tensors = {}
    for name, shape in sorted(arguments.items()):
        scale = 1.0
        if name not in ("x", "dy"):
            scale = shape[-1] ** -0.5
        tensors[name] = normal(shape, scale)
    x, gate = tensors["x"], tensors["router.gate.weight"]
    # One feature is nearly the same for all tokens, and the gate looks at it.
    x[..., 0] = fit(1 + abs(x[..., 0]) / 8)
    experts = gate.shape[0]
    if experts > 2 and (chosen or experts) < experts:
        gate[:, 0] = fit(gate[:, 0] - 4)
        gate[0, 0], gate[experts // 2, 0] = -8, 1
    for _ in range(50 if chosen else 0):
        bad = margins(x, gate, chosen) < MARGIN
        if not bad.any():
            break
        x[bad] = normal((int(bad.sum()), x.shape[-1]))
        x[..., 0] = numpy.where(bad, fit(1 + abs(x[..., 0]) / 8), x[..., 0])
    return tensors


def write(path, tensors):
    safetensors.write(path, tensors)
