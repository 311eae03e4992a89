# -*- Python -*-

import importlib.util
import os
import shutil

import lit.formats
from lit.llvm import llvm_config

config.name = "MoE-MLIR"
# lit's own shell runs the tests: no bash is started, and a failing command of a
# RUN line is reported by itself.
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "evidence", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.moe_obj_root, "test")

moe_tools_dir = os.path.join(config.moe_obj_root, "bin")
moe_lib_dir = os.path.join(config.moe_obj_root, "lib")

config.substitutions.append(("%moe_src_root", config.moe_src_root))
config.substitutions.append(("%moe_lib_dir", moe_lib_dir))
config.substitutions.append(("%moe_obj_root", config.moe_obj_root))

# FileCheck, not, count and split-file come from here.
llvm_config.use_default_substitutions()
llvm_config.with_system_environment(["HOME", "TMP", "TEMP", "ASAN_OPTIONS"])
# The second one for commands that pages of docs/ show.
llvm_config.with_environment("PATH", config.llvm_tools_dir, append_path=True)
llvm_config.with_environment("PATH", moe_tools_dir, append_path=True)
llvm_config.add_tool_substitutions(
    ["moe-opt", "moe-import", "moe-run", "moe-reference", "moe-compile", "split-file", "mlir-opt"],
    [moe_tools_dir, config.llvm_tools_dir],
)

# A misspelt prefix, or a variable which survives its function, must not make a
# test pass.
config.environment["FILECHECK_OPTS"] = (
    "-enable-var-scope --allow-unused-prefixes=false"
)

if config.moe_enable_asan == "ON":
    config.available_features.add("asan")
if config.moe_enable_python == "ON":
    config.available_features.add("python")
    llvm_config.with_environment(
        "PYTHONPATH", os.path.join(config.moe_obj_root, "python"), append_path=True
    )
    # tools/setup --torch installs it.
    moe_torch_dir = os.path.join(config.moe_src_root, ".torch")
    if os.path.isdir(moe_torch_dir):
        config.available_features.add("torch")
        llvm_config.with_environment("PYTHONPATH", moe_torch_dir, append_path=True)
# tools/setup installs it.
if shutil.which("dot"):
    config.available_features.add("graphviz")
if config.moe_enable_assertions == "ON":
    config.available_features.add("assertions")

# lit can end a test which hangs only with psutil's help.
if importlib.util.find_spec("psutil"):
    lit_config.maxIndividualTestTime = 120
