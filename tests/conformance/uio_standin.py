"""What Linux shows of a UIO device and of a u-dma-buf, as files, with the simulated RTL behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.runtime.board import UioDevice, uio
from tests.conformance.hardware import BASE, Hardware


class _Words:
    """Mapped registers, each access of which goes to the RTL."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def __getitem__(self, index: int) -> np.uint32:
        return np.uint32(self._hardware.read(4 * index))

    def __setitem__(self, index: int, value: int) -> None:
        self._hardware.write(4 * index, int(np.uint32(value)))


class _Sysfs:
    """Attributes of u-dma-buf: writing 1 to one of the last two does what the kernel's driver does."""

    def __init__(self, hardware: Hardware, file: Path) -> None:
        self._hardware, self._file = hardware, file
        self._values: dict[str, int] = {}

    def write(self, path: Path, value: int) -> None:
        assert path.exists(), f"{path} does not exist"
        self._values[path.name] = value
        if path.name not in ("sync_for_device", "sync_for_cpu"):
            return
        start, nbytes = self._values["sync_offset"], self._values["sync_size"]
        memory = np.memmap(self._file, np.uint8, "r+")
        if path.name == "sync_for_device":
            assert self._values["sync_direction"] == 1
            self._hardware.cached[start : start + nbytes] = memory[start : start + nbytes]
            self._hardware.flush(start, nbytes)
        else:
            assert self._values["sync_direction"] == 2
            self._hardware.invalidate(start, nbytes)
            memory[start : start + nbytes] = self._hardware.cached[start : start + nbytes]


def make_files(root: Path, memory_bytes: int, *, kind: str = "u-dma-buf") -> Path:
    """The files of one accelerator, one other UIO device and one buffer. Returns the buffer's."""
    files = {
        "sys/class/uio/uio0/name": "other-timer\n", "sys/class/uio/uio0/maps/map0/size": "0x00010000\n",
        "sys/class/uio/uio1/name": "eftrain\n", "sys/class/uio/uio1/maps/map0/size": "0x00010000\n",
        f"sys/class/{kind}/udmabuf-eftrain/phys_addr": f"{BASE:#018x}\n",
        f"sys/class/{kind}/udmabuf-eftrain/size": f"{memory_bytes}\n",
        **{
            f"sys/class/{kind}/udmabuf-eftrain/{name}": "0\n"
            for name in ("sync_offset", "sync_size", "sync_direction", "sync_for_cpu", "sync_for_device")
        },
        "dev/uio0": "", "dev/uio1": "",
    }  # fmt: skip
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    buffer = root / "dev/udmabuf-eftrain"
    buffer.write_bytes(bytes(memory_bytes))
    return buffer


def open_device(
    config: Config, memory_bytes: int, hardware: Hardware, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> UioDevice:
    """The UIO driver on these files."""
    sysfs = _Sysfs(hardware, make_files(root, memory_bytes))
    monkeypatch.setattr(uio, "map_words", lambda descriptor, nbytes: _Words(hardware))
    monkeypatch.setattr(uio, "write_attribute", sysfs.write)
    return UioDevice(config, memory_bytes, root=root, **settings)
