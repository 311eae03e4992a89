"""The layers that run-gpu and scaling compile beforehand, and what is in their folder.

A folder of prepared artifacts has a manifest.json: the seed, and for each case its name,
its compiled layer `NAME.so` and what the other half has to know of it.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from points import ROOT, run
from recordings import CONFIG, PLANS, SCORES, SHAPES

CONFIGS = f"{ROOT}/test/Inputs/configs"

# Tokens, d_model, hidden size and experts: every size once in each column.
SIZES = {
    "f32": [(1000, 32, 33, 31), (1, 1000, 31, 33), (31, 33, 1000, 32), (33, 31, 32, 1000),
            (32, 127, 128, 1), (127, 1, 129, 128), (128, 129, 1, 127), (129, 128, 127, 129)],
    "bf16": [(1000, 32, 128, 33), (129, 1000, 32, 31), (33, 128, 1000, 1),
             (1, 33, 31, 128), (31, 31, 129, 32), (32, 129, 33, 129), (127, 127, 1, 127),
             (128, 1, 127, 1000)],
}
# Sizes that the short form keeps: those with the most kernels.
QUICK_SIZES = {"f32": (0, 7), "bf16": (0, 1)}

# Experts, or their hidden sizes, that no number of ranks divides.
UNEVEN = [
    ("tp", "tp=3", "f32", (31, 33, 127, 32), False),
    ("etp", "tp=3", "bf16", (129, 32, 128, 31), False),
    ("tp2ep", "tp=3", "f32", (129, 32, 33, 31), False),
    ("tp2ep", "tp=2", "bf16", (128, 128, 32, 33), True),
    ("tp", "tp=2", "bf16", (128, 128, 1000, 31), True),
]
QUICK_UNEVEN = (2, 3)

# Forms of models with kernels of their own: groups, a bias of the choice.
MODELS = {
    "deepseek-v3": ("deepseek-v3-small", "tp2ep"),
    "llama4": ("llama4-small", "etp"),
}
QUICK_MODELS = ("deepseek-v3",)

# Layers of full width: configuration, tokens.
WIDTHS = {"qwen3-30b-a3b": ("qwen3-moe", 16384), "mixtral-8x7b": ("mixtral", 8192)}


@dataclasses.dataclass
class Case:
    """A layer to compile. `points` are those of the script that use it."""

    name: str
    points: str
    config: object
    plan: str
    mesh: str
    shape: tuple
    score: str = ""
    dtype: str = "f32"
    labels: str = "none"
    parallel: bool = False
    quick: bool = True
    # What the layer computes, for torch_layer; nothing if it is not asked.
    spec: dict = None
    target: str = "cuda:sm_90a"


def plain_config(index, sizes):
    """A configuration of these sizes; what else there is alternates."""
    tokens, model, hidden, experts = sizes
    return {
        "hidden_size": model,
        "moe_intermediate_size": hidden,
        "n_routed_experts": experts,
        "num_experts_per_tok": min(experts, (2, 1, 3, 8)[index % 4]),
        "n_shared_experts": index % 2,
        "scoring_func": ("sigmoid", "softmax")[index // 2 % 2],
        "norm_topk_prob": index % 3 == 0,
        "routed_scaling_factor": (1.0, 2.5)[index % 2],
    }


def spec_of(config, score):
    return {
        "experts": config["n_routed_experts"],
        "chosen": config["num_experts_per_tok"],
        "scoring": config["scoring_func"],
        "normalized": config["norm_topk_prob"],
        "scale": config["routed_scaling_factor"],
        "score": score,
    }


def plain_case(index, dtype, sizes, plan, mesh, parallel, quick):
    config = plain_config(index, sizes)
    score = ("after", "before", "pre-down")[index % 3]
    name = "-".join([plan, mesh.replace("=", "").replace(",", ""), dtype,
                     "x".join(map(str, sizes))])
    tokens = sizes[0]
    return Case(name, "1", config, plan, mesh, (1, tokens), score, dtype,
                parallel=parallel, quick=quick, spec=spec_of(config, score))


def sanitizer_cases():
    for dtype, table in SIZES.items():
        for index, sizes in enumerate(table):
            yield plain_case(index + (dtype == "bf16"), dtype, sizes, "tp", "tp=1", False,
                             index in QUICK_SIZES[dtype])
    for index, (plan, mesh, dtype, sizes, parallel) in enumerate(UNEVEN):
        yield plain_case(index, dtype, sizes, plan, mesh, parallel, index in QUICK_UNEVEN)
    for model, (path, plan) in MODELS.items():
        with open(f"{CONFIGS}/{path}.json") as file:
            config = json.load(file)
        for dtype in ("f32", "bf16"):
            yield Case(f"{model}-{dtype}", "1", config, plan, "tp=2", (1, 32), dtype=dtype,
                       quick=model in QUICK_MODELS)


def recorded_name(seed, sbe, form, parallel=True, labels="none"):
    return "-".join([f"seed{seed}", sbe, form, "sp" if parallel else "whole", labels])


def recorded_cases():
    for seed, shape in SHAPES.items():
        for sbe, score in SCORES.items():
            for form, plan in [*PLANS.items(), ("single", "tp")]:
                mesh = "tp=1" if form == "single" else "tp=2"
                for parallel in (True, False) if form != "single" else (False,):
                    points = "24" if form != "single" else "2"
                    yield Case(recorded_name(seed, sbe, form, parallel), points, CONFIG,
                               plan, mesh, shape, score, parallel=parallel,
                               quick=seed == 7)
                for labels in ("titan-1878", "titan-2416") if form != "single" else ():
                    yield Case(recorded_name(seed, sbe, form, True, labels), "2", CONFIG,
                               plan, mesh, shape, score, labels=labels, parallel=True,
                               quick=seed == 7)


def wide_cases():
    for name, (config, tokens) in WIDTHS.items():
        path = f"{CONFIGS}/{config}.json"
        with open(path) as file:
            model = json.load(file)
        spec = {
            "experts": model.get("num_experts") or model["num_local_experts"],
            "chosen": model["num_experts_per_tok"],
            "scoring": "softmax",
            # Mixtral always divides by the sum.
            "normalized": model.get("norm_topk_prob", True),
            "scale": 1.0,
            "score": "after",
        }
        yield Case(name, "3", path, "tp", "tp=1", (1, tokens), dtype="bf16",
                   quick=name == "qwen3-30b-a3b", spec=spec)


def all_cases():
    return [*sanitizer_cases(), *recorded_cases(), *wide_cases()]


#===----------------------------------------------------------------------===#
# Artifacts
#===----------------------------------------------------------------------===#


def describe(artifact):
    """What a compiled layer says of itself."""
    with open(artifact, "rb") as file:
        data = file.read()
    begin = data.index(b'{"abi":')
    return json.loads(data[begin : data.index(b"\0", begin)])


def import_case(case, directory):
    config = case.config
    if isinstance(config, dict):
        config = f"{directory}/{case.name}.json"
        with open(config, "w") as file:
            json.dump(case.config, file)
    layer = f"{directory}/{case.name}.mlir"
    arguments = [config, "-o", layer, "--mesh", case.mesh, "--plan", case.plan]
    arguments += ["--batch", case.shape[0], "--seq", case.shape[1]]
    arguments += ["--dtype", case.dtype, "--labels", case.labels]
    arguments += ["--score", case.score] if case.score else []
    run("moe-import", *arguments, *(["--sequence-parallel"] if case.parallel else []))
    return layer


def compile_case(case, sources, directory):
    """Compiles a case; None if all went well, else the error."""
    try:
        layer = import_case(case, sources)
        arguments = [layer, "-o", f"{directory}/{case.name}.so"]
        arguments += ["--target", case.target]
        run("moe-compile", *arguments, *(["--no-verify"] if case.labels != "none" else []))
        return None
    except RuntimeError as error:
        return f"{case.name}: {error}"


#===----------------------------------------------------------------------===#
# Planted faults
#===----------------------------------------------------------------------===#


def plant_write(ptx):
    """A store to global memory goes far beyond what was allocated."""
    lines = ptx.split("\n")
    for i, line in enumerate(lines):
        if "st.global.b32" in line and "[" in line and "+" not in line:
            lines[i] = line.replace("]", "+1073741824]")
            return "\n".join(lines)
    raise RuntimeError("no kernel stores 32 bits to global memory")


def plant_race(ptx):
    """A kernel that shares memory loses its barriers."""
    begin = 0
    while True:
        begin = ptx.index(".visible .entry", begin)
        end = ptx.find(".visible .entry", begin + 1)
        kernel = ptx[begin:end]
        if "st.shared" in kernel and "ld.shared" in kernel and "bar.sync" in kernel:
            lines = [line for line in kernel.split("\n") if "bar.sync" not in line]
            return ptx[:begin] + "\n".join(lines) + ptx[end:]
        begin = end


def plant_neighbour(ptx):
    """A product's result lies 4 KiB beyond its place: in the arena, not in its buffer."""
    begin = ptx.index(".visible .entry product")
    end = ptx.find(".visible .entry", begin + 1)
    kernel, count = re.subn(
        r"(st\.global\S*\s+\[%rd\d+)(?:\+(\d+))?\]",
        lambda match: f"{match[1]}+{int(match[2] or 0) + 4096}]", ptx[begin:end])
    if not count:
        raise RuntimeError("the first product stores nothing")
    return ptx[:begin] + kernel + ptx[end:]


PLANTED = {
    "planted-write": plant_write,
    "planted-neighbour": plant_neighbour,
    "planted-race": plant_race,
}


def plant(name, layer, sources, directory):
    """Compiles `layer` with one of its kernels made faulty."""
    target = ["--target", "cuda:sm_90a"]
    ptx, code = f"{sources}/{name}.ptx", f"{sources}/{name}.cubin"
    run("moe-compile", layer, "-o", ptx, "--emit", "ptx", *target)
    with open(ptx) as file:
        text = PLANTED[name](file.read())
    with open(ptx, "w") as file:
        file.write(text)
    assembler = os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/bin/ptxas"
    subprocess.run([assembler, "--gpu-name=sm_90a", "-o", code, ptx], check=True)
    host = f"{sources}/{name}.ll"
    run("moe-compile", layer, "-o", host, "--emit", "llvm", *target)
    with open(host) as file:
        lines = file.read().split("\n")
    with open(code, "rb") as file:
        data = file.read()
    text = "".join(f"\\{byte:02X}" for byte in data)
    for i, line in enumerate(lines):
        if line.startswith("@moert_device_code ="):
            lines[i] = f'@moert_device_code = constant [{len(data)} x i8] c"{text}"'
        elif line.startswith("@moert_device_code_size ="):
            lines[i] = f"@moert_device_code_size = constant i64 {len(data)}"
    with open(host, "w") as file:
        file.write("\n".join(lines))
    subprocess.run(["clang-22", "-shared", "-fPIC", "-Wno-override-module", "-o",
                    f"{directory}/{name}.so", host, "-lm"], check=True)


def prepare(directory, sources, options, cases, planted=()):
    """Compiles those of the cases that the options ask for into `directory`, and the first
    of `planted` once more with each fault. Returns the errors."""
    os.makedirs(directory, exist_ok=True)
    cases = [case for case in cases
             if (case.quick or not options.quick)
             and (not options.point or options.point in case.points)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = [error for error in pool.map(
            lambda case: compile_case(case, sources, directory), cases) if error]
    planted = [case for case in planted if case in cases][:1]
    for case in planted:
        for name in PLANTED:
            plant(name, f"{sources}/{case.name}.mlir", sources, directory)
    entries = [dataclasses.asdict(case) for case in cases
               if os.path.exists(f"{directory}/{case.name}.so")]
    manifest = {"seed": options.seed, "planted_in": [c.name for c in planted],
                "cases": entries, "errors": errors}
    with open(f"{directory}/manifest.json", "w") as file:
        json.dump(manifest, file, indent=1)
    for error in errors:
        print(error, file=sys.stderr)
    files = os.listdir(directory)
    size = sum(os.path.getsize(f"{directory}/{file}") for file in files)
    print(f"{len(files) - 1} artifacts, {size / (1 << 20):.1f} MiB, {len(errors)} layers "
          "not compiled", file=sys.stderr)
    return errors
