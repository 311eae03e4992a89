"""Gives programs damaged text and checks that each ends as it has to.

    damaged-text.py SOURCE_ROOT SEED COUNT

Makes COUNT damaged copies each of IR, of configurations and labels, and of a
safetensors file: cut short, with bits flipped, lines exchanged, numbers and tokens
replaced. A program may accept what is left or refuse it with exit code 1, an error and
no output. The rest is a defect: a signal, a hang, an error without text, half a file.
"""

import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys

root, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
random = random.Random(seed)
inputs = root / "test" / "Inputs"
config = inputs / "config-recorded.json"

TOKENS = [b"?", b"<", b">", b'"', b"{", b"}", b"[", b"]", b"(", b")", b"%0", b"!x", b"-1",
          b"shard<9>", b"partial<avg>", b"ragged<0>", b"tp", b"ep", b"f32", b"i32", b"null",
          b"1e999", b"\0", b"\xff", b"//", b"\n", b"tensor<4xf32>", b"none", b"x0x"]
NUMBERS = [b"0", b"1", b"3", b"-1", b"4294967296", b"9223372036854775807",
           b"99999999999999999999"]


def damage(data):
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(7)
        if kind == 0:
            data = data[:at]
        elif kind == 1 and at < len(data):
            flipped = bytes([data[at] ^ 1 << random.randrange(8)])
            data = data[:at] + flipped + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + random.choice(TOKENS) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + random.randrange(1, 30) :]
        elif kind == 4:
            data = data[:at] + data[at : at + random.randrange(1, 60)] + data[at:]
        elif kind == 5:
            numbers = list(re.finditer(rb"\d+", data[:100000]))
            if numbers:
                number = random.choice(numbers)
                data = data[: number.start()] + random.choice(NUMBERS) + data[number.end() :]
        else:
            lines = data.split(b"\n")
            i, j = random.randrange(len(lines)), random.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            data = b"\n".join(lines)
    return data


defects = 0
outcomes = {}


def run(damaged, *command, outputs=()):
    """`damaged` is the file that a report keeps."""
    global defects
    for path in outputs:
        pathlib.Path(path).unlink(missing_ok=True)
    before = sorted(os.listdir("."))
    try:
        result = subprocess.run(command, capture_output=True, timeout=60)
        code, text = result.returncode, result.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        code, text = "none in 60 s", ""
    outcomes[command[0], code] = outcomes.get((command[0], code), 0) + 1
    wrong = None
    if code not in (0, 1):
        wrong = f"exit code {code}"
    elif code == 0 and "error" in text:
        wrong = "an error and exit code 0"
    elif code == 1 and "error" not in text:
        wrong = "no error text"
    elif code == 1 and sorted(os.listdir(".")) != before:
        wrong = "an output was left"
    if wrong:
        kept = f"defect-{defects}{pathlib.Path(damaged).suffix}"
        pathlib.Path(kept).write_bytes(pathlib.Path(damaged).read_bytes())
        print(f"{kept}: {wrong}: {' '.join(command)}\n{text[-1000:]}")
        defects += 1


def write(path, data):
    pathlib.Path(path).write_bytes(data)


# Programs: those of tests that are right by themselves, and imported layers.
programs = []
for folder in ("test/AutoDiff", "test/Dialect", "test/Pipelines", "docs/examples"):
    for path in sorted((root / folder).rglob("*.mlir")):
        if path.stem.endswith(("-errors", "-verification")):
            continue
        text = path.read_bytes().replace(b"// -----", b"\f")
        text = re.sub(rb"^\s*//.*\n", b"", text, flags=re.M)
        programs += [part for part in text.split(b"\f") if part.strip()]
for plan in ("tp", "etp", "tp2ep"):
    command = ["moe-import", config, "--plan", plan, "--labels", "titan-2416"]
    programs.append(subprocess.run(command, capture_output=True, check=True).stdout)

for _ in range(count):
    write("damaged.mlir", damage(random.choice(programs)))
    run("damaged.mlir", "moe-opt", "damaged.mlir", "--moe-check", "-o", "x", outputs=["x"])
    run("damaged.mlir", "moe-opt", "damaged.mlir", "--spmd-verify-gradients",
        "--allow-unregistered-dialect", "-o", "x", outputs=["x"])

# Configurations and labels.
configs = [path.read_bytes() for path in sorted(inputs.rglob("*.json"))]
labels = json.dumps({
    "x": "shard<1>", "router.gate.output": {"tp": "replicate"},
    "top_scores": ["partial", "reduced"], "routed_input": "all-reduce"}).encode()
for _ in range(count):
    write("damaged.json", damage(random.choice(configs)))
    run("damaged.json", "moe-import", "damaged.json", "-o", "x", outputs=["x"])
    write("damaged.json", damage(labels))
    run("damaged.json", "moe-import", str(config), "--labels", "damaged.json", "-o", "x",
        outputs=["x"])

# Tensors, for a program whose arguments they are.
write("layer.mlir", b"""#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<2x4xf32, #mesh>
func.func @f(%x: !x {spmd.name = "x"}) -> (!x {spmd.name = "y"}) {
  %0 = moe.silu %x : (!x) -> !x
  return %0 : !x
}
""")
header = json.dumps({
    "x": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    "dy": {"dtype": "F64", "shape": [2, 4], "data_offsets": [32, 96]}}).encode()
for _ in range(count):
    # The header alone with a length that fits it, or all of the file.
    text = damage(header) if random.randrange(2) else header
    data = struct.pack("<Q", len(text)) + text + bytes(96)
    write("damaged.safetensors", data if text != header else damage(data))
    run("damaged.safetensors", "moe-run", "layer.mlir", "--inputs", "damaged.safetensors")

print(", ".join(f"{program} {code}: {n}" for (program, code), n in sorted(outcomes.items())))
sys.exit(1 if defects else 0)
