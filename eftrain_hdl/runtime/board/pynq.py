"""The accelerator under PYNQ: registers through its MMIO, memory from its allocator."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from eftrain_hdl.checks import check_kind, integer
from eftrain_hdl.config import Config
from eftrain_hdl.registers import IP_VLNV, REGISTER_MAP

from .device import BoardDevice, Buffer, check_expected, memory_advice

__all__ = ["PynqDevice"]


class _PynqBuffer(Buffer):
    def __init__(self, pynq: Any, nbytes: int) -> None:
        try:
            self._memory = pynq.allocate(shape=(nbytes,), dtype="u1")
        except (MemoryError, OSError, RuntimeError) as error:
            raise MemoryError(f"pynq.allocate: {error}: {memory_advice(nbytes)}") from None
        self.address = self._memory.device_address
        self.array = self._memory.view(np.ndarray)

    def flush(self, start: int, nbytes: int) -> None:
        if nbytes:
            self._memory[start : start + nbytes].flush()

    def invalidate(self, start: int, nbytes: int) -> None:
        if nbytes:
            self._memory[start : start + nbytes].invalidate()

    def close(self) -> None:
        del self.array
        self._memory.freebuffer()


class PynqDevice(BoardDevice):
    """The accelerator of a board that runs PYNQ.

    Parameters
    ----------
    config : Config
        What the hardware is expected to be: a plan's ``config``.
    memory_bytes : int
        Contiguous memory to allocate: a plan's ``memory_bytes``.
    bitstream : path or None
        The ``.bit``, with the ``.hwh`` of the same name beside it, to load before. None: it is loaded already.
    registers : int or None
        Physical address of the registers; None takes the only accelerator of the bitstream's ``.hwh``.
    settings
        ``timeout``, ``burst_bytes``, ``watchdog`` as for `BoardDevice`.

    Raises
    ------
    ImportError
        If pynq is not installed.
    ValueError
        If neither ``bitstream`` nor ``registers`` is given, or the ``.hwh`` has no accelerator, or several.
    MemoryError
        If there is not enough contiguous memory; the message says how to get more.
    ConfigurationMismatch
        If the hardware is another configuration.
    """

    def __init__(
        self, config: Config, memory_bytes: int, *, bitstream: str | os.PathLike[str] | None = None,
        registers: int | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        memory_bytes = check_expected(config, memory_bytes, **settings)
        check_kind("bitstream", bitstream, (str, os.PathLike, type(None)), "the path of a .bit file")
        registers = None if registers is None else integer("registers", registers, 0, (1 << 64) - 1)
        try:
            import pynq
        except ImportError as error:
            raise ImportError(f"pynq cannot be imported ({error}): it is on boards that run PYNQ") from None
        # Kept, since the overlay's garbage collection must not come before ours.
        self._overlay = pynq.Overlay(os.fspath(bitstream)) if bitstream is not None else None
        if registers is None:
            if self._overlay is None:
                raise ValueError("give the bitstream, or the address of the registers if it is loaded already")
            registers = _find(self._overlay.ip_dict)
        mmio = pynq.MMIO(registers, 1 << REGISTER_MAP.address_width)
        super().__init__(config, mmio, _PynqBuffer(pynq, memory_bytes), **settings)


def _find(blocks: dict[str, dict[str, Any]]) -> int:
    """Address of the registers of the only accelerator among the blocks of a hardware description."""
    # The version after the last colon counts revisions of the packaged block.
    kind = IP_VLNV.rsplit(":", 1)[0]
    found = {name: block for name, block in blocks.items() if str(block.get("type", "")).rsplit(":", 1)[0] == kind}
    if len(found) != 1:
        what = f"has {len(found)} accelerators ({', '.join(found)})" if found else f"has no {kind}"
        raise ValueError(f"the hardware description {what}: give the address of its registers")
    return int(next(iter(found.values()))["phys_addr"])
