"""Compiler: a network description to programs for the accelerator, with the layouts of all tensors."""

from .errors import CompileError
from .memory import Tensor
from .plan import Plan, PlannedProgram, compile_model

__all__ = ["CompileError", "Plan", "PlannedProgram", "Tensor", "compile_model"]
