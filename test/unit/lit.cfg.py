# -*- Python -*-

import os

import lit.formats

config.name = "MoE-MLIR-Unit"
config.suffixes = []
# The tests are executables, hence found in the build tree.
config.test_exec_root = os.path.join(config.moe_obj_root, "test", "unit")
config.test_source_root = config.test_exec_root
config.test_format = lit.formats.GoogleTest("bin", "Tests")

for variable in ["HOME", "TMP", "TEMP", "ASAN_OPTIONS"]:
    if variable in os.environ:
        config.environment[variable] = os.environ[variable]
