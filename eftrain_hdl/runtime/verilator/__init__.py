"""The RTL in Verilator: builds a shared library from Verilog and runs it behind a model of the board's DRAM."""

from .build import build_model, cache_directory
from .model import BusError, ProtocolError, VerilatedModel
from .recording import Changes, RecordingModel
from .tools import ToolError

__all__ = [
    "BusError",
    "Changes",
    "ProtocolError",
    "RecordingModel",
    "ToolError",
    "VerilatedModel",
    "build_model",
    "cache_directory",
]
