"""cocotb tests of the register bank with the real map. Run through ``tests/rtl/axi/test_lite.py``."""

import random
from itertools import product

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from eftrain_hdl.registers import REGISTER_MAP, Access, Register
from sim.axi.common import pauses

SPACE = 1 << REGISTER_MAP.address_width


class Bench:
    """The bank with an AXI4-Lite manager in front; ports are ``dut.<port>``."""

    def __init__(self, dut, stall: float = 0.0, seed: int = 1) -> None:
        self.dut = dut
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi"), dut.clk, dut.rst)
        rng = random.Random(seed)
        write, read = self.master.write_if, self.master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(pauses(rng, stall))
        for interface in (write, read):
            interface.log.setLevel("WARNING")

    async def start(self) -> None:
        Clock(self.dut.clk, 2, unit="ns").start()
        for register in REGISTER_MAP:
            for item in register.fields:
                if item.access is Access.READ:
                    getattr(self.dut, register.port(item)).value = 0
                elif item.access is Access.CLEAR:
                    getattr(self.dut, register.port(item) + "_set").value = 0
        self.dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    def port(self, register: Register, field: str = "value"):
        return getattr(self.dut, register.port(register.field(field)))

    async def read(self, offset: int) -> tuple[int, AxiResp]:
        answer = await self.master.read(offset, 4)
        return int.from_bytes(answer.data, "little"), answer.resp

    async def write(self, offset: int, value: int, size: int = 4) -> AxiResp:
        return (await self.master.write(offset, value.to_bytes(size, "little"))).resp


def words() -> list[tuple[Register, int, int]]:
    """(register, word number, byte offset) of every word of the map."""
    return [(r, n, r.offset + 4 * n) for r in REGISTER_MAP for n in range(r.size // 4)]


@cocotb.test()
async def reset_values(dut) -> None:
    """Constants and reset values read back at their documented offsets."""
    bench = Bench(dut)
    await bench.start()
    for register, word, offset in words():
        expected = sum(item.reset << item.lsb for item in register.fields) >> 32 * word & 0xFFFF_FFFF
        assert await bench.read(offset) == (expected, AxiResp.OKAY), register.name
    assert (await bench.read(0))[0] == 0x4546_5448


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def every_field(dut, stall: float) -> None:
    """Random values through every read-only and read-write field, read back over the bus or seen at the port."""
    bench = Bench(dut, stall)
    await bench.start()
    rng = random.Random(f"{cocotb.RANDOM_SEED} {stall}")
    state: dict[str, int] = {}
    for register in REGISTER_MAP:
        value = 0
        for item in register.fields:
            if item.access is Access.READ:
                bits = rng.getrandbits(item.width)
                bench.port(register, item.name).value = bits
                value |= bits << item.lsb
            elif item.access is Access.WRITE:
                value |= rng.getrandbits(item.width) << item.lsb
            elif item.access is Access.CONSTANT:
                value |= item.reset << item.lsb
        state[register.name] = value
    for register, word, offset in words():
        writable = any(item.access is Access.WRITE for item in register.fields)
        if writable:
            assert await bench.write(offset, state[register.name] >> 32 * word & 0xFFFF_FFFF) is AxiResp.OKAY
    for register, word, offset in words():
        expected = state[register.name] >> 32 * word & 0xFFFF_FFFF
        assert await bench.read(offset) == (expected, AxiResp.OKAY), register.name
        for item in register.fields:
            if item.access is Access.WRITE:
                assert int(bench.port(register, item.name).value) == item.get(state[register.name])


@cocotb.test()
async def strobes(dut) -> None:
    """Any subset of bytes that a manager can write changes those bytes only."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    register = REGISTER_MAP["WINDOW_LIMIT"]
    reference = bytearray(8)
    for first, size in product(range(8), range(1, 5)):
        if first % 4 + size <= 4:
            data = rng.randbytes(size)
            reference[first : first + size] = data
            await bench.write(register.offset + first, int.from_bytes(data, "little"), size)
            assert int(bench.port(register).value) == int.from_bytes(reference, "little")
    await bench.write(REGISTER_MAP.offset("CONTROL") + 1, 0xFFFFFF, 3)
    assert not int(dut.control_interrupt_enable.value), "byte 0 was not strobed"


@cocotb.test()
async def refused(dut) -> None:
    """SLVERR for every address without a register and for writes to read-only ones; nothing changes."""
    bench = Bench(dut)
    await bench.start()
    mapped = {offset: register for register, _, offset in words()}
    for offset in range(0, SPACE, 4):
        if offset not in mapped:
            assert (await bench.read(offset))[1] is AxiResp.SLVERR
            assert await bench.write(offset, 0xFFFF_FFFF) is AxiResp.SLVERR
        elif not mapped[offset].writable:
            assert await bench.write(offset, 0xFFFF_FFFF) is AxiResp.SLVERR
    for register, word, offset in words():
        expected = sum(item.reset << item.lsb for item in register.fields) >> 32 * word & 0xFFFF_FFFF
        assert await bench.read(offset) == (expected, AxiResp.OKAY)


@cocotb.test()
async def pulses(dut) -> None:
    """Each written one of a ``wo`` field is one cycle long; the neighbouring ``rw`` field keeps its value."""
    bench = Bench(dut)
    await bench.start()
    counts = {"start": 0, "soft_reset": 0}

    async def count() -> None:
        while True:
            await RisingEdge(dut.clk)
            for name in counts:
                counts[name] += int(getattr(dut, f"control_{name}").value)

    cocotb.start_soon(count())
    control = REGISTER_MAP["CONTROL"]
    await bench.write(control.offset, control.pack(start=1, interrupt_enable=1))
    await bench.write(control.offset, control.pack(soft_reset=1, interrupt_enable=1))
    await bench.write(control.offset, control.pack(start=1, interrupt_enable=1))
    await bench.read(control.offset)
    assert counts == {"start": 2, "soft_reset": 1}
    assert int(dut.control_interrupt_enable.value) == 1
    assert (await bench.read(control.offset))[0] == control.pack(interrupt_enable=1)


@cocotb.test()
async def write_one_to_clear(dut) -> None:
    """Hardware sets, writing one clears that bit alone, and setting wins over clearing."""
    bench = Bench(dut)
    await bench.start()
    register = REGISTER_MAP["INTERRUPT_STATUS"]
    for name in ("done", "error"):
        pin = getattr(dut, f"interrupt_status_{name}_set")
        pin.value = 1
        await RisingEdge(dut.clk)
        pin.value = 0
    assert (await bench.read(register.offset))[0] == 3
    await bench.write(register.offset, 0)
    assert (await bench.read(register.offset))[0] == 3
    await bench.write(register.offset, register.pack(error=1))
    assert (await bench.read(register.offset))[0] == register.pack(done=1)
    dut.interrupt_status_done_set.value = 1
    await bench.write(register.offset, 3)
    dut.interrupt_status_done_set.value = 0
    assert (await bench.read(register.offset))[0] == register.pack(done=1)
    await bench.write(register.offset, 3)
    assert (await bench.read(register.offset))[0] == 0


@cocotb.test()
async def counters(dut) -> None:
    """A counter that carries between the two reads is still read as one number, whichever counter it is."""
    bench = Bench(dut)
    await bench.start()
    wide = [register for register in REGISTER_MAP if register.snapshot]
    assert len(wide) == 19
    for number, register in enumerate(wide):
        before = (number + 1 << 32) | 0xFFFF_FFFF
        bench.port(register).value = before
        low, _ = await bench.read(register.offset)
        bench.port(register).value = before + 1
        high, _ = await bench.read(register.offset + 4)
        assert high << 32 | low == before


@cocotb.test()
@cocotb.parametrize(first=["aw", "w"], gap=[1, 2, 7])
async def split_write(dut, first: str, gap: int) -> None:
    """Address long before data, or data long before address, with a late ``bready``: driven by hand."""
    bench = Bench(dut)
    await bench.start()
    write = bench.master.write_if
    pins = {"aw": write.aw_channel, "w": write.w_channel}
    second = "w" if first == "aw" else "aw"
    pins[second].set_pause_generator(None)
    pins[second].pause = True
    write.b_channel.set_pause_generator(None)
    write.b_channel.pause = True
    task = cocotb.start_soon(bench.write(REGISTER_MAP.offset("MOMENTUM"), 0x1234_5678))
    for _ in range(gap):
        await RisingEdge(dut.clk)
    assert not int(dut.axi_bvalid.value) and not int(dut.momentum.value)
    pins[second].pause = False
    for _ in range(gap + 8):
        await RisingEdge(dut.clk)
    assert int(dut.axi_bvalid.value) and not task.done()
    write.b_channel.pause = False
    assert await task is AxiResp.OKAY
    assert int(dut.momentum.value) == 0x1234_5678
