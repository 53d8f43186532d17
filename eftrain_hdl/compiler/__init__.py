"""Compiler: a network description to programs for the accelerator, with the layouts of all tensors."""

from .errors import CompileError
from .memory import Tensor
from .plan import Plan, PlannedProgram, compile_model
from .plan_file import PlanFileError, load_plan, save_plan

__all__ = [
    "CompileError", "Plan", "PlanFileError", "PlannedProgram", "Tensor", "compile_model", "load_plan", "save_plan",
]  # fmt: skip
