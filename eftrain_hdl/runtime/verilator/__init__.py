"""The RTL in Verilator: builds a shared library from Verilog and runs it behind a model of the board's DRAM."""

from .build import build_model
from .cache import CacheError, cache_directory, cached
from .model import BusError, ProtocolError, VerilatedModel
from .recording import Changes, RecordingModel
from .tools import ToolError, find_toolchain

__all__ = [
    "BusError",
    "CacheError",
    "Changes",
    "ProtocolError",
    "RecordingModel",
    "ToolError",
    "VerilatedModel",
    "build_model",
    "cache_directory",
    "cached",
    "find_toolchain",
]
