"""The boards that the accelerator is made for, as data."""

from eftrain_hdl.boards import ultra96, zcu102
from eftrain_hdl.boards._zynqmp import Board, ZynqMPPlatform

__all__ = ["Board", "ZynqMPPlatform", "get", "names"]

_BOARDS = {board.name: board for board in (zcu102.BOARD, ultra96.BOARD)}


def names() -> tuple[str, ...]:
    """Return the names of all boards."""
    return tuple(_BOARDS)


def get(name: str) -> Board:
    """Return the board called ``name``; ``ValueError`` names the choices."""
    try:
        return _BOARDS[name]
    except KeyError:
        raise ValueError(f"no board called {name!r}; there are {', '.join(_BOARDS)}") from None
