# -*- Python -*-

import os

# The programs of docs/examples, tested as those of this folder are.
lit_config.load_config(config, os.path.join(config.moe_src_root, "test", "lit.cfg.py"))
config.name = "MoE-MLIR-Examples"
config.test_source_root = os.path.join(config.moe_src_root, "docs", "examples")
config.test_exec_root = os.path.join(config.moe_obj_root, "test", "docs", "examples")
# A project of its own: test/evidence/embedding builds it.
config.excludes.add("embedding")
