"""A PYNQ device whose fabric is the simulated RTL. Imports pynq."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device

from eftrain_hdl.registers import IP_VLNV, REGISTER_MAP
from tests.conformance.hardware import BASE, Hardware

REGISTERS = 0xA000_0000


class StandInDevice(Device):
    """What PYNQ asks of a device: register access, memory, caches, and the loading of a bitstream."""

    _probe_priority_: ClassVar[int] = 7
    capabilities: ClassVar[dict[str, bool]] = {"REGISTER_RW": True}

    def __init__(self, hardware: Hardware) -> None:
        super().__init__("eftrain-standin")
        self.hardware = hardware
        self.loaded: list[str] = []

    @classmethod
    def _probe_(cls) -> list[Device]:
        return []

    def read_registers(self, address: int, length: int) -> bytes:
        assert length == 4 and 0 <= address - REGISTERS < 1 << REGISTER_MAP.address_width
        return self.hardware.read(address - REGISTERS).to_bytes(4, "little")

    def write_registers(self, address: int, data: bytes) -> None:
        assert len(data) == 4
        self.hardware.write(address - REGISTERS, int.from_bytes(data, "little"))

    def allocate(self, shape: tuple[int, ...], dtype: Any, **settings: Any) -> PynqBuffer:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if nbytes > len(self.hardware.cached):
            raise RuntimeError("Failed to allocate memory!")
        memory = self.hardware.cached[:nbytes]
        return PynqBuffer(shape, dtype, buffer=memory.data, device=self, device_address=BASE, coherent=False)

    def flush(self, bo: Any, offset: int, address: int, nbytes: int) -> None:
        self.hardware.flush(offset, nbytes)

    def invalidate(self, bo: Any, offset: int, address: int, nbytes: int) -> None:
        self.hardware.invalidate(offset, nbytes)

    def get_bitfile_metadata(self, name: str, partial: bool = False) -> SimpleNamespace:
        """What PYNQ reads of a ``.hwh``: here, the accelerator."""
        block = {
            "phys_addr": REGISTERS, "addr_range": 1 << 16, "type": IP_VLNV, "state": None, "interrupts": {},
            "gpio": {}, "fullpath": "eftrain_0", "mem_id": "s_axi_ctrl", "driver": None,
            "parameters": {}, "registers": {},
        }  # fmt: skip
        empty: dict[str, Any] = {}
        return SimpleNamespace(
            ip_dict={"eftrain_0": block}, gpio_dict=empty, interrupt_controllers=empty, interrupt_pins=empty,
            hierarchy_dict=empty, mem_dict=empty, clock_dict=empty, systemgraph=None, bin_data=None,
            refresh_hierarchy_dict=lambda: None,
        )  # fmt: skip

    def download(self, bitstream: Any, parser: Any = None) -> None:
        self.loaded.append(bitstream.bitfile_name)
        self.hardware.model.reset()
        self.post_download(bitstream, parser)
