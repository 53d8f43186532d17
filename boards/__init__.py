"""The boards that the accelerator is made for, as data: one file each.

A board is a module of this package that defines ``BOARD``; nothing else has to know of it (docs/boards.md).
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from eftrain_hdl.boards._board import Board, ProcessingSystem
from eftrain_hdl.checks import choice

__all__ = ["Board", "ProcessingSystem", "get", "names"]


@cache
def _boards() -> dict[str, Board]:
    files = sorted(item.name for item in iter_modules(__path__) if not item.name.startswith("_"))
    found = (getattr(import_module(f"{__name__}.{name}"), "BOARD", None) for name in files)
    return {board.name: board for board in found if isinstance(board, Board)}


def names() -> tuple[str, ...]:
    """Return the names of all boards."""
    return tuple(_boards())


def get(name: str) -> Board:
    """Return the board called ``name``; ``ValueError`` names the choices."""
    return _boards()[choice("board", name, _boards())]
