# Programs are parsed and checked, and diagnostics are objects.
# RUN: %python %s

import unittest

import moe_mlir
from moe_mlir import Diagnostic, Error, Location

MESH = "#mesh = #spmd.mesh<tp=2>\n"
LINEAR = MESH + """
func.func @project(%x: !spmd.tensor<8x4xf32, #mesh>,
                   %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>)
    -> (!spmd.tensor<8x6xf32, #mesh, tp: ?> {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <CLAIM> at "x"
      : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh>
  %1 = moe.einsum "td,fd->tf" %0, %w
      : (!spmd.tensor<8x4xf32, #mesh>, !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>)
      -> !spmd.tensor<8x6xf32, #mesh, tp: ?>
  return %1 : !spmd.tensor<8x6xf32, #mesh, tp: ?>
}
"""
RIGHT = LINEAR.replace("CLAIM", "tp: partial<sum>")
WRONG = LINEAR.replace("CLAIM", "")


class Parse(unittest.TestCase):
    def test_prints(self):
        module = moe_mlir.parse(RIGHT)
        again = moe_mlir.parse(str(module))
        self.assertEqual(str(module), str(again))
        self.assertNotIn("loc(", str(module))
        self.assertIn('loc("layer.mlir":6:', moe_mlir.parse(RIGHT, "layer.mlir").print(True))

    def test_error(self):
        with self.assertRaises(Error) as caught:
            moe_mlir.parse(MESH + "\n  foo.bar", filename="layer.mlir")
        (error,) = caught.exception.diagnostics
        self.assertEqual(error.severity, "error")
        self.assertEqual(error.location, Location("layer.mlir", 3, 3))
        self.assertIn("layer.mlir:3:3: error: ", str(caught.exception))

    def test_labels_of_operations(self):
        with self.assertRaises(Error) as caught:
            moe_mlir.parse("func.func @f(%x: !spmd.tensor<8xf32, #spmd.mesh<tp=0>>)")
        (error,) = caught.exception.diagnostics
        self.assertEqual(error.rule, "M1")

    def test_nested_too_deeply(self):
        # What would end the process: see test/Tools/moe-opt/errors.test.
        for text in ("#a = " + "[" * 1000000, "module {" * 100000,
                     "!t = " + "tuple<" * 100000, "module {} loc(" + "fused[" * 100000,
                     "#m = affine_map<(d) -> (" + "-" * 1000000 + "d)>",
                     "#m = affine_map<(d) -> (d" + "+d" * 1000000 + ")>"):
            with self.assertRaisesRegex(Error, "'deep.mlir' is nested too deeply"):
                moe_mlir.parse(text, "deep.mlir")
        # Neither text in strings and comments nor a long program is deep.
        moe_mlir.parse('func.func private @f() attributes {a = "' + "[" * 2000 + '\\""}\n//'
                       + "(" * 2000 + "\n" + "module { module { } }\n" * 20000)

    def test_not_utf8_in_a_name(self):
        with self.assertRaises(Error) as caught:
            moe_mlir.parse('"\\FF"() : () -> ()')
        self.assertTrue(caught.exception.diagnostics)


class Run(unittest.TestCase):
    def test_accepted(self):
        module = moe_mlir.parse(RIGHT)
        before = str(module)
        result = moe_mlir.run(module, "moe-check")
        self.assertTrue(result.ok)
        self.assertEqual(result.errors, [])
        self.assertIn("@project.vjp", str(result.module))
        self.assertEqual(str(module), before)

    def test_refused(self):
        result = moe_mlir.run(moe_mlir.parse(WRONG, "layer.mlir"), "moe-check")
        self.assertFalse(result.ok)
        self.assertIsNone(result.module)
        (error,) = result.errors
        self.assertEqual(error.severity, "error")
        self.assertEqual(error.rule, "G1")
        self.assertEqual(error.location, Location("layer.mlir", 6, 8))
        self.assertTrue(error.message.startswith("[G1] the gradient at 'x' is claimed"))
        origin = error.notes[0]
        self.assertEqual(origin.severity, "note")
        self.assertEqual(origin.location.line, 8)
        self.assertIn("claim partial<sum> over 'tp' here", error.help[0])
        self.assertIn("help: " + error.help[0], str(error))

    def test_options(self):
        result = moe_mlir.run(WRONG, "moe-check{try-repairs=false}")
        self.assertEqual(result.errors[0].help, [])

    def test_nested_pipelines(self):
        for text in ("builtin.module(func.func(spmd-infer-placements),cse)",
                     "func.func(spmd-infer-placements),cse"):
            result = moe_mlir.run(RIGHT, text)
            self.assertIn("tp: shard<1>", str(result.module))

    def test_no_pipeline(self):
        for text, reason in (("moe-chek", "does not refer to a registered pass"),
                             ("builtin.module(moe-check", "unbalanced parentheses"),
                             ("moe-check{repairs=1}", "failed to add")):
            with self.assertRaisesRegex(Error, reason) as caught:
                moe_mlir.run(RIGHT, text)
            self.assertTrue(caught.exception.diagnostics[0].help)

    def test_no_program(self):
        with self.assertRaises(Error):
            moe_mlir.run("foo.bar", "moe-check")


class Objects(unittest.TestCase):
    def test_diagnostics_are_values(self):
        one = Diagnostic("error", "wrong", "G1", Location("a.py", 1, 2))
        self.assertEqual(one, Diagnostic("error", "wrong", "G1", Location("a.py", 1, 2)))
        self.assertEqual(str(one), "a.py:1:2: error: wrong")


unittest.main()
