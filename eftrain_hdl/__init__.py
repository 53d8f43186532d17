"""Train convolutional networks on small FPGAs: gateware in Amaranth, a compiler for it, and devices that run its
programs.

Names below are imported when they are first used, so that a driver on a board needs neither HDL tools nor the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler import CompileError, Plan, PlanFileError, compile_model, load_plan, save_plan
    from .config import Config, ConfigError
    from .data import DataError, Dataset, load_data
    from .files import FileError
    from .graph import (
        SGD,
        AvgPool2d,
        BatchNorm2d,
        Conv2d,
        CrossEntropyLoss,
        Flatten,
        GraphError,
        Linear,
        MaxPool2d,
        ReLU,
        Residual,
        Sequential,
    )
    from .numerics import BF16, FP16, FP32, TF32, FloatFormat
    from .runtime.board import PynqDevice, UioDevice
    from .runtime.device import Device, RunResult
    from .runtime.emulator import EmulatorDevice
    from .runtime.errors import (
        ConfigurationMismatch,
        DeviceError,
        DeviceNotReady,
        DeviceTimeout,
        Diverged,
        TrainerError,
    )
    from .runtime.sim import SimDevice
    from .runtime.trainer import StepResult, Trainer
    from .runtime.verilator import CacheError, ToolError
    from .zoo import models

__all__ = [
    "BF16",
    "FP16",
    "FP32",
    "SGD",
    "TF32",
    "AvgPool2d",
    "BatchNorm2d",
    "CacheError",
    "CompileError",
    "Config",
    "ConfigError",
    "ConfigurationMismatch",
    "Conv2d",
    "CrossEntropyLoss",
    "DataError",
    "Dataset",
    "Device",
    "DeviceError",
    "DeviceNotReady",
    "DeviceTimeout",
    "Diverged",
    "EmulatorDevice",
    "FileError",
    "Flatten",
    "FloatFormat",
    "GraphError",
    "Linear",
    "MaxPool2d",
    "Plan",
    "PlanFileError",
    "PynqDevice",
    "ReLU",
    "Residual",
    "RunResult",
    "Sequential",
    "SimDevice",
    "StepResult",
    "ToolError",
    "Trainer",
    "TrainerError",
    "UioDevice",
    "__version__",
    "compile_model",
    "load_data",
    "load_plan",
    "models",
    "save_plan",
]

__version__ = "0.1.0"

_MODULES = {
    "compiler": ("CompileError", "Plan", "PlanFileError", "compile_model", "load_plan", "save_plan"),
    "config": ("Config", "ConfigError"),
    "data": ("DataError", "Dataset", "load_data"),
    "files": ("FileError",),
    "graph": (
        "SGD", "AvgPool2d", "BatchNorm2d", "Conv2d", "CrossEntropyLoss", "Flatten", "GraphError", "Linear", "MaxPool2d",
        "ReLU", "Residual", "Sequential",
    ),
    "numerics": ("BF16", "FP16", "FP32", "TF32", "FloatFormat"),
    "runtime.board": ("PynqDevice", "UioDevice"),
    "runtime.device": ("Device", "RunResult"),
    "runtime.emulator": ("EmulatorDevice",),
    "runtime.errors": (
        "ConfigurationMismatch", "DeviceError", "DeviceNotReady", "DeviceTimeout", "Diverged", "TrainerError",
    ),
    "runtime.sim": ("SimDevice",),
    "runtime.trainer": ("StepResult", "Trainer"),
    "runtime.verilator": ("CacheError", "ToolError"),
    "zoo": ("models",),
}  # fmt: skip
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
