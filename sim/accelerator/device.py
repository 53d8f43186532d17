"""The accelerator's Verilog, in whatever simulator cocotb runs on, as a device that the product's trainer drives."""

from __future__ import annotations

import random
import re

import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import resume
from cocotb.triggers import ReadOnly, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave
from cocotbext.axi.address_space import Region
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.runtime.driver import RegisterDevice
from sim.axi.common import pauses

__all__ = ["CocotbDevice", "watch_outputs"]

_PERIOD_NS = 4
_OUTPUT = re.compile(
    r"interrupt|s_axi_ctrl_(aw|w|ar)ready|s_axi_ctrl_(b|r)(valid|resp|data)"
    r"|m_axi_\d_((aw|w|ar)(?!ready)\w+|bready|rready)"
)
_TIMEOUT_NS = 200_000 * _PERIOD_NS
_WATCHDOG = 20_000


class _Memory(Region):
    """DRAM as bytes that both sides see."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.bytes = bytearray(size)

    async def _read(self, address: int, length: int, **_: object) -> bytes:
        return bytes(self.bytes[address : address + length])

    async def _write(self, address: int, data: bytes, **_: object) -> None:
        self.bytes[address : address + len(data)] = data


class CocotbDevice(RegisterDevice):
    """The top level with ports ``aclk``, ``aresetn``, ``interrupt``, ``s_axi_ctrl_*`` and ``m_axi_<i>_*``.

    `start` is awaited first. All else is blocking code, to be called from a function under cocotb's ``bridge``.

    Parameters
    ----------
    dut : SimHandleBase
    config : Config
        The one of the Verilog.
    memory_bytes : int
        Size of the memory behind all ports.
    stall : float
        Probability, in each cycle, that a channel of a memory port, or of the control port, is held back.
    seed : int
        Of the pauses.
    """

    def __init__(self, dut: SimHandleBase, config: Config, *, memory_bytes: int, stall: float, seed: int) -> None:
        self.config = config
        self.window_base = 0
        self.window_limit = memory_bytes
        self._dut = dut
        self._memory = _Memory(memory_bytes)
        self._ctrl = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axi_ctrl"), dut.aclk, dut.aresetn, reset_active_level=False
        )
        slaves = [
            AxiSlave(
                AxiBus.from_prefix(dut, f"m_axi_{number}"), dut.aclk, dut.aresetn, target=self._memory,
                reset_active_level=False,
            )
            for number in range(config.ports)
        ]  # fmt: skip
        rng = random.Random(seed)
        for part in (self._ctrl, *slaves):
            for interface in (part.write_if, part.read_if):
                interface.log.setLevel("WARNING")
            for channel in (part.write_if.aw_channel, part.write_if.w_channel, part.write_if.b_channel,
                            part.read_if.ar_channel, part.read_if.r_channel):  # fmt: skip
                channel.set_pause_generator(pauses(rng, stall))

    async def start(self) -> None:
        """Clock and reset."""
        Clock(self._dut.aclk, _PERIOD_NS, unit="ns").start()
        self._dut.aresetn.value = 0
        for _ in range(4):
            await RisingEdge(self._dut.aclk)
        self._dut.aresetn.value = 1
        for _ in range(3):
            await RisingEdge(self._dut.aclk)

    def setup(self) -> None:
        """What other devices do when they are made: check the hardware and open the window."""
        self.open(burst_bytes=128, watchdog=_WATCHDOG)

    def read32(self, offset: int) -> int:
        return resume(self._read32)(offset)

    async def _read32(self, offset: int) -> int:
        answer = await self._ctrl.read(offset, 4)
        assert not answer.resp, f"read of register {offset:#x}: {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    def write32(self, offset: int, value: int) -> None:
        resume(self._write32)(offset, value)

    async def _write32(self, offset: int, value: int) -> None:
        answer = await self._ctrl.write(offset, value.to_bytes(4, "little"))
        assert not answer.resp, f"write of register {offset:#x}: {answer.resp!r}"

    def wait(self) -> None:
        resume(self._wait)()

    async def _wait(self) -> None:
        if not int(self._dut.interrupt.value):
            await with_timeout(RisingEdge(self._dut.interrupt), _TIMEOUT_NS, "ns")

    def settle(self) -> None:
        while self.read_field("STATUS", "resetting"):
            pass

    def write(self, address: int, array: np.ndarray) -> None:
        data = self.as_bytes(array)
        self.check_range(address, data.size)
        self._memory.bytes[address : address + data.size] = data.tobytes()

    def read(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        self.check_range(address, nbytes)
        return np.frombuffer(bytes(self._memory.bytes[address : address + nbytes]), np.uint8).copy()


async def watch_outputs(dut: SimHandleBase, unknown: set[str]) -> None:
    """Collect the names of outputs that hold an X or Z after any rising edge of ``aclk``."""
    outputs = {handle._name: handle for handle in dut if _OUTPUT.fullmatch(handle._name)}
    assert {"interrupt", "s_axi_ctrl_rdata", "m_axi_0_wdata"} <= outputs.keys() and len(outputs) > 30
    while True:
        await RisingEdge(dut.aclk)
        await ReadOnly()
        unknown.update(name for name, handle in outputs.items() if not handle.value.is_resolvable)
