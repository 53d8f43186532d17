"""cocotb tests of the whole accelerator but the arithmetic. Run through ``tests/rtl/test_accelerator.py``."""

import os

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from eftrain_hdl.isa import Instruction, Opcode, Target, Unit, lengths
from eftrain_hdl.registers import IDENTIFICATION, REGISTER_MAP
from sim.accelerator.common import (
    CONFIGS,
    MEMORY_BYTES,
    PROGRAM,
    SOURCE,
    TARGET,
    Host,
    check_copy,
    copy_program,
    load,
    transfer,
    wipe,
)

CONFIG = CONFIGS[int(os.environ["EFTRAIN_PORTS"])]
SIZE = CONFIG.beat_bytes
END = Instruction(Opcode.END, {})


async def copies(host: Host, tiles: int = 3, beats: int = 20) -> None:
    """The machine works."""
    wipe(host)
    await host.launch(copy_program(CONFIG, tiles, beats))
    await host.finish()
    check_copy(host, tiles, beats)


@cocotb.test()
async def identity(dut) -> None:
    """Software finds out what it talks to."""
    host = Host(dut, CONFIG)
    await host.start()
    assert await host.read("ID") == IDENTIFICATION
    assert await host.read("CONFIGURATION_HASH") == CONFIG.digest
    expected = {
        ("CAPABILITY_ARRAY", "rows"): CONFIG.rows, ("CAPABILITY_ARRAY", "lanes"): CONFIG.lanes,
        ("CAPABILITY_FORMAT", "exponent"): 8, ("CAPABILITY_FORMAT", "mantissa"): 23,
        ("CAPABILITY_PORTS", "count"): CONFIG.ports, ("CAPABILITY_PORTS", "data_width"): CONFIG.data_width,
        ("CAPABILITY_PORTS", "address_width"): CONFIG.address_width, ("CAPABILITY_STREAMING", "value"): 64,
        ("CAPABILITY_STATIONARY", "value"): 64, ("CAPABILITY_ACCUMULATOR", "depth"): CONFIG.accumulator_depth,
        ("CAPABILITY_ACCUMULATOR", "banks"): CONFIG.accumulator_banks,
        ("CAPABILITY_OPERAND", "value"): 128,
    }
    for (register, field), value in expected.items():
        assert await host.field(register, field) == value, register


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def copy(dut, stall: float) -> None:
    """Every unit, every queue and both stores; twice, since a start begins from nothing."""
    host = Host(dut, CONFIG)
    await host.start(stall)
    await copies(host, 6, 32)
    await copies(host, 5, 22)
    assert await host.read("LOAD_X_BEATS") == 3 * 22
    assert await host.read("LOAD_A_BEATS") == (5 + 2) * 22
    assert await host.read("STORE_0_BEATS") == await host.read("STORE_1_BEATS") == 5 * 22
    assert await host.read("MAC_CYCLES") == 5 * 22
    words = await host.read("PROGRAM_BYTES") // 4
    assert await host.read("COMMAND_BEATS") == -(-words * 4 // SIZE)
    cycles = await host.read("CYCLES")
    for unit in ("LOAD_X", "LOAD_A", "COMPUTE", "VECTOR", "STORE_0", "STORE_1"):
        assert 0 < await host.read(f"{unit}_BUSY") < cycles
        assert await host.read(f"{unit}_WAIT") < cycles
    assert await host.read("COMPUTE_WAIT") > 0
    assert await host.read("TIMESTAMP_COUNT") == 1
    assert abs(await host.read("TIMESTAMP_DATA") - cycles) < 20


@cocotb.test()
async def interrupt_and_timestamps(dut) -> None:
    """The pin follows status, enable and the master enable; barriers leave their times in the log."""
    host = Host(dut, CONFIG)
    await host.start()
    done = REGISTER_MAP["INTERRUPT_STATUS"].pack(done=1)
    await host.write("INTERRUPT_ENABLE", done)
    step = Instruction(Opcode.COMPUTE, {"s0_count": 200})
    await host.launch([step, Instruction(Opcode.BARRIER, {}), step, Instruction(Opcode.BARRIER, {}), END])
    for _ in range(2000):
        await RisingEdge(dut.clk)
        if int(dut.interrupt.value):
            break
    else:
        raise AssertionError("no interrupt")
    assert await host.field("STATUS", "done")
    await host.write("INTERRUPT_STATUS", done)
    await host.cycles(3)
    assert not int(dut.interrupt.value)
    times = []
    for index in range(await host.read("TIMESTAMP_COUNT")):
        await host.write("TIMESTAMP_INDEX", index)
        times.append(await host.read("TIMESTAMP_DATA"))
    assert len(times) == 3
    assert times[0] > 200 and 200 < times[1] - times[0] < 300 and times[2] - times[1] < 30
    assert times[2] <= await host.read("CYCLES") < times[2] + 20


@cocotb.test()
async def flags(dut) -> None:
    """Floating-point flags stick until software clears them."""
    host = Host(dut, CONFIG)
    await host.start()
    await host.launch([Instruction(Opcode.VECTOR, {"relu": 1}), END])
    await host.finish()
    assert await host.read("FP_FLAGS") == 3
    await host.write("FP_FLAGS", 1)
    assert await host.read("FP_FLAGS") == 2


LOADS = [load(Opcode.LOAD_X, Target.STREAMING, SOURCE, 8, 0, tag=k) for k in range(3)]
BEHIND_LOADS = PROGRAM + 4 * sum(lengths(LOADS))
STORED = [Instruction(Opcode.VECTOR, {"n0_count": 8, "emit_0": 1})]
FAILURES = {
    # name: (program, unit, code, address, instruction, tag)
    "opcode": ([*LOADS, load(Opcode.LOAD_X, Target.STREAMING, SOURCE, 8, 0), END], "COMMAND", "BAD_OPCODE",
               BEHIND_LOADS, 3, 0),
    "no_end": (LOADS, "COMMAND", "BAD_LENGTH", BEHIND_LOADS, 3, 2),
    "order": ([Instruction(Opcode.BARRIER, {"after_load_x": 1, "tag": 9}), END], "COMMAND", "BAD_FIELD", PROGRAM, 0, 9),
    "field": ([*LOADS, load(Opcode.LOAD_X, Target.STATIONARY, SOURCE, 8, 0, tag=5), END], "LOAD_X", "BAD_FIELD",
              0, 3, 5),
    "chip": ([*LOADS, load(Opcode.LOAD_X, Target.STREAMING, SOURCE, 8, 62, tag=6), END], "LOAD_X", "CHIP_ADDRESS",
             64, 3, 6),
    "operand": ([load(Opcode.LOAD_A, Target.OPERAND_C, SOURCE, 8, -1, tag=6), END], "LOAD_A", "CHIP_ADDRESS",
                0xFF_FFFF, 0, 6),
    "window": ([load(Opcode.LOAD_A, Target.OPERAND_B, MEMORY_BYTES - SIZE, 2, 0, tag=8), END], "LOAD_A",
               "OUT_OF_WINDOW", MEMORY_BYTES, 0, 8),
    "above": ([Instruction(Opcode.STORE_1, {**transfer(0, 1), "address_high": 1 << 8, "tag": 8}), END], "STORE_1",
              "OUT_OF_WINDOW", 0, 0, 8),
    "unaligned": ([Instruction(Opcode.STORE_0, {**transfer(TARGET + 4, 1), "tag": 3}), END], "STORE_0", "UNALIGNED",
                  TARGET + 4, 0, 3),
    "read": ([*LOADS, load(Opcode.LOAD_A, Target.STATIONARY, SOURCE + 0x800, 64, 0, tag=4), END], "LOAD_A",
             "READ_RESPONSE", SOURCE + 0x880, 3, 4),
    "write": ([*STORED, Instruction(Opcode.STORE_0, {**transfer(TARGET + 0x40, 8), "tag": 4}), END], "STORE_0",
              "WRITE_RESPONSE", TARGET + 0x40, 1, 4),
    "standstill": ([Instruction(Opcode.STORE_0, {**transfer(TARGET, 1), "tag": 1}), END], "COMMAND", "WATCHDOG",
                   1 << Unit.STORE_0, 1, 0),
}


@cocotb.test()
@cocotb.parametrize(name=list(FAILURES))
async def failure(dut, name: str) -> None:
    """The machine stops, says why, raises the interrupt, and works again after a soft reset."""
    program, *expected = FAILURES[name]
    host = Host(dut, CONFIG)
    await host.start(stall=0.1)
    host.memory.bad_read = SOURCE + 0x888
    host.memory.bad_write = TARGET + 0x48
    await host.write("WATCHDOG", 1000)
    await host.write("INTERRUPT_ENABLE", REGISTER_MAP["INTERRUPT_ENABLE"].pack(error=1))
    await host.launch(program if name != "opcode" else [*LOADS, END])
    if name == "opcode":
        host.memory.bytes[BEHIND_LOADS] = 0x77
    assert await host.failure(10000) == tuple(expected)
    assert int(dut.interrupt.value)
    assert not await host.field("STATUS", "done")
    # A start is ignored while the error stands.
    await host.write("CONTROL", 1)
    await host.cycles(50)
    assert await host.describe_error() == tuple(expected)
    host.memory.bad_read = host.memory.bad_write = None
    await host.soft_reset()
    await host.write("INTERRUPT_STATUS", REGISTER_MAP["INTERRUPT_STATUS"].pack(error=1))
    assert not await host.field("STATUS", "error") and await host.read("ERROR_CODE") == 0
    await copies(host)
    assert not int(dut.interrupt.value)


class BurstCounter:
    """Counts bursts asked for and completed on one port, and that no address or data beat is withdrawn."""

    def __init__(self, dut, number: int) -> None:
        self.dut = dut
        self.prefix = f"axi_{number}_"
        self.reads = self.writes = self.peak = 0
        self.beats = 0

    def get(self, name: str) -> int:
        return int(getattr(self.dut, self.prefix + name).value)

    async def run(self) -> None:
        held = dict.fromkeys(("ar", "aw", "w"), False)
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            for channel in held:
                valid, ready = self.get(f"{channel}valid"), self.get(f"{channel}ready")
                assert valid or not held[channel], f"{channel}valid was withdrawn"
                held[channel] = bool(valid and not ready)
            if self.get("arvalid") and self.get("arready"):
                self.reads += 1
            if self.get("rvalid") and self.get("rready") and self.get("rlast"):
                self.reads -= 1
            if self.get("awvalid") and self.get("awready"):
                self.writes += 1
                self.beats += self.get("awlen") + 1
            if self.get("wvalid") and self.get("wready"):
                self.beats -= 1
            if self.get("bvalid") and self.get("bready"):
                self.writes -= 1
            self.peak = max(self.peak, self.reads + self.writes)


@cocotb.test()
@cocotb.parametrize(moment=[30, 90, 150, 200, 263, 350, 500, 801])
async def soft_reset_breaks_no_burst(dut, moment: int) -> None:
    """Reset in the middle of a program on slow memory: all bursts are completed first, and the next program works."""
    host = Host(dut, CONFIG, seed=moment)
    await host.start()
    host.stall(0.6, read_data=0.8)
    counters = [BurstCounter(dut, number) for number in range(CONFIG.ports)]
    for counter in counters:
        cocotb.start_soon(counter.run())
    await host.launch(copy_program(CONFIG, 6, 32))
    await host.cycles(moment)
    await host.soft_reset(20000)
    assert all(c.reads == c.writes == c.beats == 0 for c in counters)
    assert any(c.peak for c in counters)
    host.stall(0.0)
    assert not await host.read("STATUS")
    await copies(host)


@cocotb.test()
async def window_closed_after_reset(dut) -> None:
    """Nothing can be read before software has opened the window."""
    host = Host(dut, CONFIG)
    await host.start()
    await host.write("WINDOW_LIMIT", 0)
    await host.launch([END])
    assert await host.failure() == ("COMMAND", "OUT_OF_WINDOW", PROGRAM, 0, 0)
    await host.soft_reset()
    # A limit above the address space is as good as none; a base above it closes the window.
    await host.write("WINDOW_LIMIT", 1 << 63)
    await copies(host)
    await host.write("WINDOW_BASE", 1 << 63)
    await host.launch([END])
    assert await host.failure() == ("COMMAND", "OUT_OF_WINDOW", PROGRAM, 0, 0)
