"""Gateware. The whole accelerator here, its blocks in ``fp``, ``axi``, ``compute`` and ``vector``.

Names below are imported when they are first used, so that a design that wants one block does not load all others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accelerator import Accelerator
    from .top import Top, generate_rtlil, generate_verilog
    from .verilog import component_verilog

__all__ = ["Accelerator", "Top", "component_verilog", "generate_rtlil", "generate_verilog"]

_PLACES = {
    "Accelerator": "accelerator", "Top": "top", "component_verilog": "verilog", "generate_rtlil": "top",
    "generate_verilog": "top",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
