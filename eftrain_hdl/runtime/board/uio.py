"""The accelerator under plain Linux: registers through UIO, memory from the u-dma-buf driver.

Both drivers describe what they offer in sysfs: ``class/uio/uioN/{name,maps/map0/size}`` (Linux, "The Userspace I/O
HOWTO") and ``class/u-dma-buf/NAME/{phys_addr,size,sync_*}`` (ikwzm/udmabuf, its README).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from eftrain_hdl.checks import check_kind
from eftrain_hdl.config import Config
from eftrain_hdl.registers import BUFFER_NAME, IP_NAME, REGISTER_MAP

from .device import BoardDevice, Buffer, check_expected, memory_advice

__all__ = ["UioDevice"]

_TO_DEVICE, _FROM_DEVICE = 1, 2
"""Directions of a transfer, as u-dma-buf numbers them."""
_CLASSES = ("u-dma-buf", "udmabuf")
"""Names of u-dma-buf's class in sysfs: since version 2, and before."""


class _UioRegisters:
    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_SYNC)
        try:
            self._words = map_words(descriptor, 1 << REGISTER_MAP.address_width)
        finally:
            os.close(descriptor)

    def read(self, offset: int) -> int:
        return int(self._words[offset >> 2])

    def write(self, offset: int, value: int) -> None:
        self._words[offset >> 2] = value


def map_words(descriptor: int, nbytes: int) -> Any:
    """Registers of an open UIO device as 32-bit words: each access is one access of the bus."""
    return np.frombuffer(mmap.mmap(descriptor, nbytes), np.uint32)


def write_attribute(path: Path, value: int) -> None:
    """Write a number to a file of sysfs."""
    path.write_text(f"{value}\n")


class _DmaBuffer(Buffer):
    def __init__(self, root: Path, name: str, needed: int) -> None:
        candidates = [root / "sys/class" / one / name for one in _CLASSES]
        self._attributes = next((path for path in candidates if path.is_dir()), candidates[0])
        if not self._attributes.is_dir():
            raise FileNotFoundError(
                f"{self._attributes} does not exist: is u-dma-buf loaded, with a buffer called {name}? "
                f"{memory_advice(needed)}"
            )
        size = _number(self._attributes / "size")
        if size < needed:
            raise MemoryError(
                f"{name} has {size} bytes, {needed - size} too few: give it a size of {needed} in the device tree; "
                f"{memory_advice(needed)}"
            )
        self.address = _number(self._attributes / "phys_addr")
        descriptor = os.open(root / "dev" / name, os.O_RDWR)
        try:
            self._memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self.array = np.frombuffer(self._memory, np.uint8)

    def flush(self, start: int, nbytes: int) -> None:
        self._sync("sync_for_device", _TO_DEVICE, start, nbytes)

    def invalidate(self, start: int, nbytes: int) -> None:
        self._sync("sync_for_cpu", _FROM_DEVICE, start, nbytes)

    def _sync(self, what: str, direction: int, start: int, nbytes: int) -> None:
        if not nbytes:
            return
        for name, value in (("sync_offset", start), ("sync_size", nbytes), ("sync_direction", direction), (what, 1)):
            write_attribute(self._attributes / name, value)

    def close(self) -> None:
        del self.array
        self._memory.close()


class UioDevice(BoardDevice):
    """The accelerator of a board with plain Linux.

    The kernel needs ``uio_pdrv_genirq.of_id=generic-uio`` and u-dma-buf; ``eftrain export --format devicetree`` writes
    the overlay that names both devices. Who may open ``/dev/uioN`` and the buffer may use the accelerator.

    Parameters
    ----------
    config : Config
        What the hardware is expected to be: a plan's ``config``.
    memory_bytes : int
        Memory that is needed of the buffer: a plan's ``memory_bytes``.
    uio : str or None
        Name of the UIO device, as in ``/sys/class/uio/uioN/name``; None takes the only one called like the
        accelerator.
    buffer : str
        Name of the u-dma-buf.
    root : path
        Where ``dev`` and ``sys`` are.
    settings
        ``timeout``, ``burst_bytes``, ``watchdog`` as for `BoardDevice`.

    Raises
    ------
    FileNotFoundError
        If there is no such UIO device or buffer.
    MemoryError
        If the buffer is too small; the message says by how much, and how to get a larger one.
    ConfigurationMismatch
        If the hardware is another configuration.
    """

    def __init__(
        self, config: Config, memory_bytes: int, *, uio: str | None = None, buffer: str = BUFFER_NAME,
        root: str | os.PathLike[str] = "/", **settings: Any,
    ) -> None:  # fmt: skip
        memory_bytes = check_expected(config, memory_bytes, **settings)
        for name, value in (("uio", uio), ("buffer", buffer)):
            check_kind(name, value, (str, type(None)) if name == "uio" else str, "a name")
        check_kind("root", root, (str, os.PathLike), "the path of a folder")
        path = _find(Path(root), uio or IP_NAME)
        super().__init__(config, _UioRegisters(path), _DmaBuffer(Path(root), buffer, memory_bytes), **settings)


def _find(root: Path, name: str) -> Path:
    """Device file of the only UIO device of a name."""
    names = {path.parent: path.read_text().strip() for path in sorted(root.glob("sys/class/uio/uio*/name"))}
    found = [path for path, other in names.items() if other == name]
    if len(found) != 1:
        there = ", ".join(names.values()) or "none"
        raise FileNotFoundError(f"{len(found)} UIO devices are called {name!r}; there are: {there}")
    size = _number(found[0] / "maps/map0/size")
    if size < 1 << REGISTER_MAP.address_width:
        raise FileNotFoundError(f"{found[0]} maps {size} bytes, fewer than the registers take")
    return root / "dev" / found[0].name


def _number(path: Path) -> int:
    return int(path.read_text(), 0)
