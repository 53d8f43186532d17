"""Where everything lies in DRAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import integer

from .layouts import MapLayout, PlanarLayout, WeightLayout

PAGE = 4096


class Layout(Protocol):
    """What every layout of `eftrain_hdl.compiler.layouts` offers."""

    @property
    def words(self) -> int: ...


@dataclass(frozen=True)
class Tensor:
    """A tensor in DRAM: its name, byte address and layout."""

    name: str
    address: int
    layout: MapLayout | PlanarLayout | WeightLayout

    @property
    def nbytes(self) -> int:
        return 4 * self.layout.words

    def pack(self, *arrays: NDArray[Any] | None) -> NDArray[Any]:
        """Words to write at ``address``."""
        return self.layout.pack(*arrays)  # type: ignore[arg-type]

    def unpack(self, data: NDArray[np.uint8]) -> Any:
        """What ``nbytes`` read at ``address`` mean."""
        return self.layout.unpack(np.ascontiguousarray(data))


def check_base(base: int) -> int:
    """``base``: TypeError or ValueError unless a plan can begin at this address."""
    base = integer("memory_base", base, 0, (1 << 64) - 1)
    if base % PAGE:
        raise ValueError(f"memory_base must be a multiple of {PAGE}, not {base:#x}")
    return base


class Memory:
    """Hands out addresses from ``base`` upwards."""

    def __init__(self, base: int) -> None:
        check_base(base)
        self.base = base
        self.end = base
        self.tensors: dict[str, Tensor] = {}

    def place(self, nbytes: int) -> int:
        """Address of a new block."""
        address = self.end
        self.end += -(-nbytes // PAGE) * PAGE
        return address

    def tensor(self, name: str, layout: MapLayout | PlanarLayout | WeightLayout, share: int | None = None) -> Tensor:
        """A new tensor, at the address ``share`` if that is given."""
        address = self.place(4 * layout.words) if share is None else share
        self.tensors[name] = Tensor(name, address, layout)
        return self.tensors[name]
