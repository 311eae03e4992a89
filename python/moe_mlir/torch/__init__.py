"""The placements of a PyTorch module's gradients, checked.

>>> report = moe_mlir.torch.check(model, {"tp": 2}, inputs)
>>> print(report)
"""

from .check import Finding, Report, Step, check
from .errors import (CaptureError, DataDependentControlFlow, ModuleRaises, Place,
                     RankDependentProgram, UnknownCollective)
from .translate import Unchecked

__all__ = ["CaptureError", "DataDependentControlFlow", "Finding", "ModuleRaises", "Place",
           "RankDependentProgram", "Report", "Step", "Unchecked", "UnknownCollective", "check"]
