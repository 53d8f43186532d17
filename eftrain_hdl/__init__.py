"""Train convolutional networks on small FPGAs: gateware in Amaranth, a compiler for it, and devices that run its
programs.

Names below are imported when they are first used, so that a driver on a board needs neither HDL tools nor the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler import CompileError as CompileError
    from .compiler import Plan as Plan
    from .compiler import PlanFileError as PlanFileError
    from .compiler import compile_model as compile_model
    from .compiler import load_plan as load_plan
    from .compiler import save_plan as save_plan
    from .config import Config as Config
    from .config import ConfigError as ConfigError
    from .data import DataError as DataError
    from .data import Dataset as Dataset
    from .data import load_data as load_data
    from .graph import SGD as SGD
    from .graph import AvgPool2d as AvgPool2d
    from .graph import BatchNorm2d as BatchNorm2d
    from .graph import Conv2d as Conv2d
    from .graph import CrossEntropyLoss as CrossEntropyLoss
    from .graph import Flatten as Flatten
    from .graph import GraphError as GraphError
    from .graph import Linear as Linear
    from .graph import MaxPool2d as MaxPool2d
    from .graph import ReLU as ReLU
    from .graph import Residual as Residual
    from .graph import Sequential as Sequential
    from .numerics import BF16 as BF16
    from .numerics import FP32 as FP32
    from .numerics import FloatFormat as FloatFormat
    from .runtime.board import PynqDevice as PynqDevice
    from .runtime.board import UioDevice as UioDevice
    from .runtime.device import Device as Device
    from .runtime.device import RunResult as RunResult
    from .runtime.emulator import EmulatorDevice as EmulatorDevice
    from .runtime.errors import ConfigurationMismatch as ConfigurationMismatch
    from .runtime.errors import DeviceError as DeviceError
    from .runtime.errors import DeviceNotReady as DeviceNotReady
    from .runtime.errors import DeviceTimeout as DeviceTimeout
    from .runtime.sim import SimDevice as SimDevice
    from .runtime.trainer import Diverged as Diverged
    from .runtime.trainer import StepResult as StepResult
    from .runtime.trainer import Trainer as Trainer
    from .runtime.trainer import TrainerError as TrainerError
    from .zoo import models as models

_MODULES = {
    "compiler": ("CompileError", "Plan", "PlanFileError", "compile_model", "load_plan", "save_plan"),
    "config": ("Config", "ConfigError"),
    "data": ("DataError", "Dataset", "load_data"),
    "graph": (
        "SGD", "AvgPool2d", "BatchNorm2d", "Conv2d", "CrossEntropyLoss", "Flatten", "GraphError", "Linear", "MaxPool2d",
        "ReLU", "Residual", "Sequential",
    ),
    "numerics": ("BF16", "FP32", "FloatFormat"),
    "runtime.board": ("PynqDevice", "UioDevice"),
    "runtime.device": ("Device", "RunResult"),
    "runtime.emulator": ("EmulatorDevice",),
    "runtime.errors": ("ConfigurationMismatch", "DeviceError", "DeviceNotReady", "DeviceTimeout"),
    "runtime.sim": ("SimDevice",),
    "runtime.trainer": ("Diverged", "StepResult", "Trainer", "TrainerError"),
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
