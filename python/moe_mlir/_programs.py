"""The programs that the wheel holds, as commands."""

import os
import sys


def _run(name: str):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", name)
    os.execv(program, [name, *sys.argv[1:]])


def moe_import():
    _run("moe-import")


def moe_opt():
    _run("moe-opt")
