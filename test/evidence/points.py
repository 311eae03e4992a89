"""The lines that an evidence script prints, and what it exits with."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "build", "bin")


class Points:
    """Collects points: `ok`, `short` (the bar is missed) or `skipped`."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def line(self, state, point, text, figure, bar):
        print(f"{state:<8}{point:<4}{text}: {figure} (bar: {bar})", flush=True)

    def check(self, point, text, good, figure, bar):
        self.passed += bool(good)
        self.failed += not good
        self.line("ok" if good else "short", point, text, figure, bar)

    def skip(self, point, text, why, bar):
        self.skipped += 1
        self.line("skipped", point, text, why, bar)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 77 if self.skipped else 0)


def run(program, *arguments, codes=(0,)):
    """Runs a program of this project; any other exit code is an exception."""
    command = [os.path.join(BIN, program), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in codes:
        raise RuntimeError(
            f"{' '.join(command)} exited with {result.returncode}:\n{result.stderr}"
        )
    return result
