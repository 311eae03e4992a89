# Layers are compiled and run on tensors of NumPy and DLPack, where they are.
# RUN: moe-import %S/../Inputs/configs/olmoe-small.json --mesh tp=2 --plan tp2ep --sequence-parallel -o %t.mlir
# RUN: %python %s %t.mlir %t

import json
import pathlib
import subprocess
import sys
import unittest

import moe_mlir
import numpy as np
from moe_mlir import Error

FILE, DIRECTORY = sys.argv[1], sys.argv[2]
EVIDENCE = pathlib.Path(__file__).resolve().parent.parent / "evidence"

#: An argument that is whole and one that is cut; a result that is cut otherwise.
PLACED = """
#mesh = #spmd.mesh<tp=2>
func.func @project(%x: !spmd.tensor<8x4xf32, #mesh> {spmd.name = "x"},
                   %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>> {spmd.name = "w"})
    -> (!spmd.tensor<8x6xf32, #mesh, tp: shard<1>> {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <CLAIM> at "x"
      : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh>
  %1 = moe.einsum "td,fd->tf" %0, %w
      : (!spmd.tensor<8x4xf32, #mesh>, !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>)
      -> !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>
  return %1 : !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>
}
"""


def project(claim="tp: partial<sum>"):
    return PLACED.replace("CLAIM", claim)


def draw(layer, seed=1):
    random = np.random.default_rng(seed)
    return {value.name: random.standard_normal(value.shape).astype(value.dtype)
            for value in layer.arguments}


def check_project(layer, wrap=lambda array: array):
    tensors = draw(layer)
    outputs = layer(**{name: wrap(array) for name, array in tensors.items()})
    x, w, dy = (tensors[name] for name in ("x", "w", "dy"))
    np.testing.assert_allclose(outputs["y"], x @ w.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["grad.x"], dy @ w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["grad.w"], dy.T @ x, rtol=1e-5, atol=1e-6)


class OtherTensor:
    """Offers DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Compile(unittest.TestCase):
    def test_describes_itself(self):
        layer = moe_mlir.compile(project())
        self.assertEqual(layer.num_ranks, 2)
        self.assertEqual([value.name for value in layer.arguments], ["x", "w", "dy"])
        self.assertEqual(layer.arguments[1].placements, "tp: shard<0>")
        self.assertEqual(layer.arguments[1].shape, (6, 4))
        self.assertEqual([value.name for value in layer.results], ["y", "grad.x", "grad.w"])
        self.assertIn("(x, w, dy) -> (y, grad.x, grad.w)", repr(layer))

    def test_refuses(self):
        wrong = project(claim="")
        with self.assertRaisesRegex(Error, "G1") as caught:
            moe_mlir.compile(wrong)
        self.assertEqual(caught.exception.diagnostics[0].rule, "G1")
        for options, reason in (({"target": "cuda:sm_90a"}, "cannot run a layer for 'cuda"),
                                ({"policy": "best"}, "unknown policy 'best'"),
                                ({"bucket_bytes": -1}, "less than 0"),
                                ({"memory_budget": -3}, "the memory budget is negative"),
                                ({"cost_file": "absent.json"}, "No such file")):
            with self.assertRaisesRegex(Error, reason):
                moe_mlir.compile(project(), **options)

    def test_cost_file(self):
        costs = pathlib.Path(f"{DIRECTORY}.costs.json")
        line = {"alpha_us": 1, "beta_us_per_mib": 1000}
        kinds = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all")
        costs.write_text(json.dumps({"default": {kind: [line] for kind in kinds}}))
        check_project(moe_mlir.compile(project(), cost_file=costs))
        for wrong, reason, remedy in (
                ({"default": {"all_reduce": [{"alpha_us": "fast"}]}},
                 r"default\.all_reduce\[0\]\.alpha_us is \"fast\", not a number",
                 "write a number without quotes"),
                ({"axes": {"tp": {kind: [line] for kind in kinds[1:]}}},
                 r"axes\.tp\.all_reduce is missing", "add it for this axis of the mesh"),
                ({"default": {kind: [line] for kind in kinds},
                  "axes": {"pp": {"all_reduce": [line]}}},
                 "names the axis 'pp', which the mesh does not have", "its axes are tp")):
            costs.write_text(json.dumps(wrong))
            with self.assertRaisesRegex(Error, reason) as caught:
                moe_mlir.compile(project(), cost_file=costs)
            self.assertIn(remedy, caught.exception.diagnostics[0].help[0])

    def test_memory_budget(self):
        with self.assertRaisesRegex(Error, "do not fit in 8 bytes") as caught:
            moe_mlir.compile(project(), memory_budget=8)
        help = caught.exception.diagnostics[0].help[0]
        smallest = int(help.split()[-1])
        with self.assertRaisesRegex(Error, f"do not fit in {smallest - 1} bytes"):
            moe_mlir.compile(project(), memory_budget=smallest - 1)
        check_project(moe_mlir.compile(project(), memory_budget=smallest))

    def test_policies(self):
        for policy in ("min-cut", "boundary", "eager"):
            check_project(moe_mlir.compile(project(), policy=policy))


class Run(unittest.TestCase):
    def test_as_moe_run(self):
        sys.path.insert(0, str(EVIDENCE))
        import safetensors

        layer = moe_mlir.compile(moe_mlir.parse(pathlib.Path(FILE).read_text(), FILE))
        tensors = draw(layer)
        outputs = layer(**tensors)
        safetensors.write(f"{DIRECTORY}.in.safetensors", tensors)
        subprocess.run(["moe-run", FILE, "--backend", "cpu", "--gather", "--inputs",
                        f"{DIRECTORY}.in.safetensors", "--outputs", DIRECTORY],
                       check=True, stdout=subprocess.DEVNULL)
        expected = safetensors.read(f"{DIRECTORY}/global.safetensors")
        self.assertEqual(set(outputs), set(expected))
        for name, tensor in expected.items():
            np.testing.assert_array_equal(outputs[name], tensor, err_msg=name)

    def test_other_tensors(self):
        check_project(moe_mlir.compile(project()), OtherTensor)

    def test_read_only_tensors(self):
        def freeze(array):
            array.flags.writeable = False
            return array

        check_project(moe_mlir.compile(project()), freeze)

    def test_results_keep_their_memory(self):
        outputs = moe_mlir.compile(project())(**draw(moe_mlir.compile(project())))
        other = np.from_dlpack(outputs["y"])
        self.assertTrue(np.shares_memory(other, outputs["y"]))
        # JAX copies what is aligned less.
        self.assertTrue(all(output.ctypes.data % 64 == 0 for output in outputs.values()))
        before = other.copy()
        del outputs
        np.testing.assert_array_equal(other, before)

    def test_refuses_arguments(self):
        layer = moe_mlir.compile(project())
        right = draw(layer)
        for change, kind, reason in (
                ({"x": None}, TypeError, "'x' is no tensor"),
                ({"x": right["x"].astype("float64")}, ValueError, "type float32"),
                ({"x": right["x"].T.copy()}, ValueError, r"\[4, 8\], but must have \[8, 4\]"),
                ({"x": right["x"].T.copy().T}, ValueError, "not contiguous"),
                ({"x": np.frombuffer(b"\0" * 129, np.uint8)[1:].view("f4").reshape(8, 4)},
                 ValueError, "not contiguous and aligned"),
                ({"z": right["x"]}, TypeError, "no argument 'z', but x, w, dy")):
            with self.assertRaisesRegex(kind, reason):
                layer(**{**right, **change})
        del right["dy"]
        with self.assertRaisesRegex(TypeError, "'dy' is missing"):
            layer(**right)

    def test_false_claims_show(self):
        layer = moe_mlir.compile(project(claim=""), verify=False)
        with self.assertRaisesRegex(Error, "'grad.x': the replicas of ranks 0 and 1 differ"):
            layer(**draw(layer))

    def test_failures_name_rank_and_place(self):
        layer = moe_mlir.compile(pathlib.Path(FILE).read_text())
        tensors = draw(layer)
        tensors["x"][:] = np.nan
        with self.assertRaisesRegex(Error, "rank [01].*<string>:[0-9]+:"):
            layer(**tensors)


unittest.main(argv=sys.argv[:1])
