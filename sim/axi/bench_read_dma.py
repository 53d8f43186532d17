"""cocotb tests of the read DMA against cocotbext-axi memories. Run through ``tests/rtl/axi/test_read_dma.py``."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus, AxiSlaveRead
from cocotbext.axi.address_space import Region

from eftrain_hdl.registers import ErrorCode
from sim.axi.common import MEMORY_BYTES, BusChecker, Port, Transfer, describe, pauses, random_transfer
from sim.axi.tops import CONFIGURATIONS


def start_clock(dut) -> None:
    Clock(dut.clk, 2, unit="ns").start()


class Bench:
    """One DMA with a memory full of random bytes behind it."""

    def __init__(self, dut, name: str, rng: random.Random, burst_beats: int) -> None:
        self.port = Port(dut, name)
        self.rng = rng
        self.burst_beats = burst_beats
        bus = AxiReadBus.from_prefix(dut, f"{name}_axi")
        self.memory = AxiRamRead(bus, dut.clk, dut.rst, size=MEMORY_BYTES)
        self.memory.write(0, rng.randbytes(MEMORY_BYTES))
        self.memory.log.setLevel("WARNING")
        self.checker = BusChecker(self.port, "ar", burst_beats)

    async def start(self, dut, stall: float) -> None:
        start_clock(dut)
        self.memory.ar_channel.set_pause_generator(pauses(self.rng, stall))
        self.memory.r_channel.set_pause_generator(pauses(self.rng, stall))
        await self.port.reset(self.burst_beats)
        cocotb.start_soon(self.checker.run())

    def expected(self, transfers: list[Transfer]) -> list[int]:
        size = self.port.beat_bytes
        result = []
        for transfer in transfers:
            beats = transfer.beats(size)
            for index, address in enumerate(beats):
                value = int.from_bytes(self.memory.read(address, size), "little")
                result.append(value | (index == len(beats) - 1) << (8 * size))
        return result


@cocotb.test()
@cocotb.parametrize(
    name=[name for name in CONFIGURATIONS if name != "deep"],
    burst_beats=[0, 1, 5, 8, 12, 511],
)
async def random_transfers(dut, name: str, burst_beats: int) -> None:
    """N-dimensional transfers with odd lengths around 4 KiB, with random stalls everywhere."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name} {burst_beats}")
    bench = Bench(dut, name, rng, burst_beats)
    await bench.start(dut, stall=rng.choice((0.0, 0.2, 0.5)))
    port = bench.port
    longest = 40 if burst_beats not in (0, 1) else 8
    transfers = [random_transfer(rng, port.beat_bytes, longest=longest) for _ in range(10)]
    transfers.append(Transfer(4096 - port.beat_bytes, 300 if burst_beats == 511 else 20))
    expected = bench.expected(transfers)
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in transfers], rng, 0.2))
    got = await port.receive("o", len(expected), rng, rng.choice((0.0, 0.3, 0.7)))
    assert got == expected, describe(transfers)
    await port.until("busy", 0, timeout=20)
    assert port.get("idle") and not port.get("error")
    total = sum(len(t.beats(port.beat_bytes)) for t in transfers)
    assert sum(beats for _, beats in bench.checker.bursts) == total


@cocotb.test()
@cocotb.parametrize(run_bytes=[64, 128, 1024])
async def throughput(dut, run_bytes: int) -> None:
    """On a memory that answers every cycle, no cycle is lost between bursts, runs or descriptors."""
    port = Port(dut, "deep")
    start_clock(dut)
    cocotb.start_soon(ideal_memory(port, latency=20))
    await port.reset(burst_beats=8)
    run = run_bytes // port.beat_bytes
    transfers = [Transfer(0x1000 * n, run, (8, 2, 1), (2 * run_bytes, 20 * run_bytes, 0)) for n in range(4)]
    expected = [address for t in transfers for address in t.beats(port.beat_bytes)]
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in transfers]))
    first = await port.receive("o", 1)
    mask = (1 << 8 * port.beat_bytes) - 1
    port["o_ready"].value = 1
    got, cycles = [value & mask for value in first], 0
    while len(got) < len(expected):
        await RisingEdge(port.clk)
        cycles += 1
        assert cycles < 10 * len(expected)
        if port.get("o_valid") and port.get("o_ready"):
            got.append(port.get("o_payload") & mask)
    assert got == expected
    rate = (len(expected) - 1) / cycles
    dut._log.info("throughput of runs of %d bytes: %.3f beats a cycle", run_bytes, rate)
    assert rate > 0.99


async def ideal_memory(port: Port, latency: int) -> None:
    """Takes a burst whenever offered and returns its beats (each its own address) back to back, ``latency`` later."""
    queue: list[tuple[int, int, bool]] = []
    cycle = 0
    free = 0
    port["axi_arready"].value = 1
    port["axi_rvalid"].value = 0
    port["axi_rresp"].value = 0
    while True:
        await RisingEdge(port.clk)
        cycle += 1
        if port.get("axi_arvalid"):
            address, beats = port.get("axi_araddr"), port.get("axi_arlen") + 1
            for n in range(beats):
                free = max(free + 1, cycle + latency)
                queue.append((free, address + n * port.beat_bytes, n == beats - 1))
        port["axi_rvalid"].value = 0
        if queue and queue[0][0] <= cycle:
            _, address, last = queue.pop(0)
            port["axi_rvalid"].value = 1
            port["axi_rdata"].value = address
            port["axi_rlast"].value = last


class FaultyRegion(Region):
    """Memory that answers an error for one address."""

    def __init__(self, bad: int) -> None:
        super().__init__(MEMORY_BYTES)
        self.bad = bad

    async def _read(self, address: int, length: int, **_: object) -> bytes:
        if address <= self.bad < address + length:
            raise ValueError("injected")
        return bytes(length)


@cocotb.test()
@cocotb.parametrize(name=["c32", "c64", "c128", "c256"])
async def read_error(dut, name: str) -> None:
    """A bad response is latched with its burst's address; everything in flight is drained; nothing follows."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name}")
    port = Port(dut, name)
    size = port.beat_bytes
    bad = 0x1000 + 21 * size
    slave = AxiSlaveRead(AxiReadBus.from_prefix(dut, f"{name}_axi"), dut.clk, dut.rst, target=FaultyRegion(bad))
    slave.r_channel.set_pause_generator(pauses(rng, 0.3))
    start_clock(dut)
    await port.reset(burst_beats=8)
    port["o_ready"].value = 1
    transfer = Transfer(0x1000, 100)
    cocotb.start_soon(port.send("i_transfer", [transfer.packed(port.address_width)] * 3))
    await port.until("error")
    await port.cycles(2)
    await port.until("idle")
    assert port.get("error_code") == ErrorCode.READ_RESPONSE
    assert port.get("error_address") == 0x1000 + 16 * size
    for _ in range(50):
        await RisingEdge(port.clk)
        assert not port.get("axi_arvalid") and port.get("idle") and port.get("error")
    assert not port.get("i_transfer_ready")


BAD_TRANSFERS = {
    "below": (Transfer(0x0F00, 64, (1, 1, 1)), 0x1000, 0x8000, ErrorCode.OUT_OF_WINDOW),
    "across_base": (Transfer(0x0FF0, 1 << 10), 0x1000, 0x8000, ErrorCode.OUT_OF_WINDOW),
    "across_limit": (Transfer(0x7FC0, 64), 0x1000, 0x7FE0, ErrorCode.OUT_OF_WINDOW),
    "stride": (Transfer(0x2000, 4, (1, 3, 1), (0, -0x1000, 0)), 0x1000, 0x8000, ErrorCode.OUT_OF_WINDOW),
    "end_of_space": (Transfer((1 << 40) - 64, 8), 0, (1 << 40) - 1, ErrorCode.OUT_OF_WINDOW),
    "address": (Transfer(0x2008, 4), 0x1000, 0x8000, ErrorCode.UNALIGNED),
    "stride1": (Transfer(0x2000, 4, strides=(4, 0, 0)), 0x1000, 0x8000, ErrorCode.UNALIGNED),
    "stride3": (Transfer(0x2000, 4, strides=(0, 0, 8)), 0x1000, 0x8000, ErrorCode.UNALIGNED),
    "run": (Transfer(0x2000, 0), 0x1000, 0x8000, ErrorCode.BAD_LENGTH),
    "count1": (Transfer(0x2000, 1, (0, 1, 1)), 0x1000, 0x8000, ErrorCode.BAD_LENGTH),
    "count2": (Transfer(0x2000, 1, (1, 0, 1)), 0x1000, 0x8000, ErrorCode.BAD_LENGTH),
    "count3": (Transfer(0x2000, 1, (1, 1, 0)), 0x1000, 0x8000, ErrorCode.BAD_LENGTH),
}


@cocotb.test()
@cocotb.parametrize(case=list(BAD_TRANSFERS))
async def bad_transfer(dut, case: str) -> None:
    """A transfer outside the window or malformed is reported; the one before it is carried out, no bad burst is."""
    transfer, base, limit, code = BAD_TRANSFERS[case]
    port = Port(dut, "c128")
    memory = AxiRamRead(AxiReadBus.from_prefix(dut, "c128_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    memory.log.setLevel("WARNING")
    start_clock(dut)
    await port.reset(burst_beats=4)
    port["window_base"].value = base
    port["window_limit"].value = limit
    checker = BusChecker(port, "ar", 4)
    cocotb.start_soon(checker.run())
    port["o_ready"].value = 1
    good = Transfer(0x3000, 9)
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in (good, transfer, good)]))
    await port.until("error")
    await port.cycles(60)
    assert port.get("idle")
    assert port.get("error_code") == code
    issued = [(0x3000, 4), (0x3040, 4), (0x3080, 1)]
    assert checker.bursts[:3] == issued
    assert all(address >= base and address + 16 * beats <= limit for address, beats in checker.bursts)
    wrong = {"across_limit": 0x7FC0, "stride": 0x0000}
    if case == "stride":
        assert checker.bursts[3:] == [(0x2000, 4), (0x1000, 4)]
        assert port.get("error_address") == wrong[case]
    else:
        assert checker.bursts[3:] == []
        assert port.get("error_address") == wrong.get(case, transfer.address)


@cocotb.test()
@cocotb.parametrize(name=["c32", "c256"], after=[0, 3, 12, 25, 60])
async def halt(dut, name: str, after: int) -> None:
    """A halt at any moment leaves a quiet bus, with a consumer that is not even ready."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name} {after}")
    bench = Bench(dut, name, rng, 8)
    await bench.start(dut, stall=0.3)
    port = bench.port
    port["o_ready"].value = 0
    cocotb.start_soon(port.send("i_transfer", [Transfer(0, 1000).packed(port.address_width)] * 2))
    await port.cycles(after)
    port["halt"].value = 1
    await port.cycles(1)
    port["halt"].value = 0
    await port.cycles(2)
    await port.until("idle")
    issued = len(bench.checker.bursts)
    await port.cycles(60)
    assert port.get("idle") and len(bench.checker.bursts) == issued and not port.get("error")
    await port.reset()
    transfer = Transfer(0x2000, 33)
    cocotb.start_soon(port.send("i_transfer", [transfer.packed(port.address_width)]))
    assert await port.receive("o", 33) == bench.expected([transfer]), "a reset after the halt makes it work again"
