"""What the UIO driver says when the kernel does not offer what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.registers import BUFFER_NAME, IDENTIFICATION
from eftrain_hdl.runtime.board import UioDevice
from eftrain_hdl.runtime.errors import ConfigurationMismatch
from tests.conformance.uio_standin import make_files

CONFIG = Config(rows=4, lanes=8)


def test_no_device_of_that_name(tmp_path: Path) -> None:
    make_files(tmp_path, 8192)
    with pytest.raises(FileNotFoundError, match="0 UIO devices are called 'mine'; there are: other-timer, eftrain"):
        UioDevice(CONFIG, 4096, root=tmp_path, uio="mine")
    (tmp_path / "sys/class/uio/uio0/name").write_text("eftrain\n")
    with pytest.raises(FileNotFoundError, match="2 UIO devices are called 'eftrain'"):
        UioDevice(CONFIG, 4096, root=tmp_path)


def test_a_mapping_that_is_too_small(tmp_path: Path) -> None:
    make_files(tmp_path, 8192)
    (tmp_path / "sys/class/uio/uio1/maps/map0/size").write_text("0x100\n")
    with pytest.raises(FileNotFoundError, match="uio1 maps 256 bytes"):
        UioDevice(CONFIG, 4096, root=tmp_path)


def registers(tmp_path: Path) -> None:
    """Registers that hold nothing, as a file."""
    (tmp_path / "dev/uio1").write_bytes(bytes(4096))


def test_no_buffer_of_that_name(tmp_path: Path) -> None:
    make_files(tmp_path, 8192)
    registers(tmp_path)
    with pytest.raises(FileNotFoundError, match="is u-dma-buf loaded, with a buffer called other"):
        UioDevice(CONFIG, 4096, root=tmp_path, buffer="other")


def test_a_buffer_that_is_too_small(tmp_path: Path) -> None:
    make_files(tmp_path, 8192)
    registers(tmp_path)
    message = rf"{BUFFER_NAME} has 8192 bytes, 1992 too few: give it a size of 10184 .*cma=33M"
    with pytest.raises(MemoryError, match=message):
        UioDevice(CONFIG, 10184, root=tmp_path)


@pytest.mark.parametrize("kind", ["u-dma-buf", "udmabuf"])
def test_hardware_that_is_no_accelerator(tmp_path: Path, kind: str) -> None:
    """Files for registers, mapped as a device's would be; nothing is written to them."""
    make_files(tmp_path, 8192, kind=kind)
    registers(tmp_path)
    with pytest.raises(ConfigurationMismatch, match=f"ID.value reads 0x0, expected {IDENTIFICATION:#x}"):
        UioDevice(CONFIG, 4096, root=tmp_path)
    assert (tmp_path / "dev/uio1").read_bytes() == bytes(4096)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("burst_bytes", 0, ValueError), ("burst_bytes", 1 << 16, ValueError), ("watchdog", 1 << 32, ValueError),
     ("watchdog", -1, ValueError), ("watchdog", 1.5, TypeError), ("timeout", "60", TypeError),
     ("timeout", -1.0, ValueError)],
)  # fmt: skip
def test_settings_that_cannot_be_meant(tmp_path: Path, name: str, value: object, error: type[Exception]) -> None:
    """Before any file is opened: there is none."""
    with pytest.raises(error, match=f"^{name}="):
        UioDevice(CONFIG, 4096, root=tmp_path, **{name: value})
