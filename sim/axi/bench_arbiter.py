"""cocotb tests of both arbiters with three DMAs each. Run through ``tests/rtl/axi/test_arbiter.py``."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge
from cocotbext.axi import AxiRamRead, AxiRamWrite, AxiReadBus, AxiWriteBus

from sim.axi.bench_read_dma import ideal_memory as ideal_read_memory
from sim.axi.bench_write_dma import DataChecker
from sim.axi.bench_write_dma import ideal_memory as ideal_write_memory
from sim.axi.common import MEMORY_BYTES, BusChecker, Port, Transfer, pauses, random_transfer
from sim.axi.tops_shared import MANAGERS, OPTIONS

READERS = [f"r{n}" for n in range(MANAGERS)]
WRITERS = [f"w{n}" for n in range(MANAGERS)]
SIZE = 8


async def start(dut, burst_beats: int) -> dict[str, Port]:
    """Clock, idle inputs, reset."""
    Clock(dut.clk, 2, unit="ns").start()
    ports = {name: Port(dut, name, OPTIONS) for name in READERS + WRITERS}
    for name, port in ports.items():
        port.prepare(burst_beats)
        if name in WRITERS:
            port["i_valid"].value = 0
        else:
            port["o_ready"].value = 0
    await ports["r0"].reset(burst_beats)
    return ports


async def read_all(port: Port, transfers: list[Transfer], image: bytes, rng: random.Random) -> None:
    """Run reads on one DMA and compare what arrives."""
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in transfers], rng, 0.3))
    expected = []
    for transfer in transfers:
        beats = transfer.beats(SIZE)
        for address in beats:
            expected.append(int.from_bytes(image[address : address + SIZE], "little"))
        expected[-1] |= 1 << (8 * SIZE)
    assert await port.receive("o", len(expected), rng, 0.3) == expected


async def write_all(port: Port, transfers: list[Transfer], image: bytearray, rng: random.Random) -> None:
    """Run writes on one DMA, carry them out on the reference and wait for all ``done``."""
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in transfers], rng, 0.3))
    values = []
    for transfer in transfers:
        for address in transfer.beats(SIZE):
            values.append(rng.getrandbits(8 * SIZE))
            image[address : address + SIZE] = values[-1].to_bytes(SIZE, "little")
    cocotb.start_soon(port.send("i", values, rng, 0.3))
    for _ in transfers:
        await port.until("done", timeout=60000)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], burst_beats=[1, 6, 16])
async def everybody(dut, stall: float, burst_beats: int) -> None:
    """Six DMAs at once, random transfers, random stalls: everybody gets and puts their own data."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {stall} {burst_beats}")
    source = rng.randbytes(MEMORY_BYTES)
    reads = AxiRamRead(AxiReadBus.from_prefix(dut, "read_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    writes = AxiRamWrite(AxiWriteBus.from_prefix(dut, "write_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    for memory in (reads, writes):
        memory.write(0, source)
        memory.log.setLevel("WARNING")
    for channel in (reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel, writes.b_channel):
        channel.set_pause_generator(pauses(rng, stall))
    ports = await start(dut, burst_beats)
    checkers = {
        "ar": BusChecker(Port(dut, "read", OPTIONS), "ar", burst_beats),
        "aw": BusChecker(Port(dut, "write", OPTIONS), "aw", burst_beats),
    }
    cocotb.start_soon(checkers["ar"].run())
    cocotb.start_soon(checkers["aw"].run())
    cocotb.start_soon(DataChecker(Port(dut, "write", OPTIONS), checkers["aw"]).run())
    image = bytearray(source)
    used: set[int] = set()
    tasks = []
    total = {"ar": 0, "aw": 0}
    for name in READERS + WRITERS:
        transfers: list[Transfer] = []
        while len(transfers) < 5:
            transfer = random_transfer(rng, SIZE, longest=30, disjoint=True)
            beats = set(transfer.beats(SIZE))
            if name in READERS or not beats & used:
                transfers.append(transfer)
                total["ar" if name in READERS else "aw"] += len(beats)
                used |= beats if name in WRITERS else set()
        own = random.Random(rng.random())
        work = read_all(ports[name], transfers, source, own)
        if name in WRITERS:
            work = write_all(ports[name], transfers, image, own)
        tasks.append(cocotb.start_soon(work))
    await Combine(*tasks)
    assert writes.read(0, MEMORY_BYTES) == image
    for channel, checker in checkers.items():
        assert sum(beats for _, beats in checker.bursts) == total[channel]
    await RisingEdge(dut.clk)
    assert all(port.get("idle") for port in ports.values())


@cocotb.test()
async def stalled_reader(dut) -> None:
    """A reader whose consumer never takes anything does not hold up the others."""
    rng = random.Random(cocotb.RANDOM_SEED)
    reads = AxiRamRead(AxiReadBus.from_prefix(dut, "read_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    reads.log.setLevel("WARNING")
    source = rng.randbytes(MEMORY_BYTES)
    reads.write(0, source)
    ports = await start(dut, 8)
    await ports["r0"].send("i_transfer", [Transfer(0, 1000).packed(32)])
    await ports["r0"].cycles(200)
    await read_all(ports["r1"], [Transfer(0x8000, 500)], source, rng)
    await read_all(ports["r2"], [Transfer(0x4000, 500)], source, rng)


@cocotb.test()
async def reads_share_without_loss(dut) -> None:
    """Three busy readers fill the data channel between them, in strict turns."""
    ports = await start(dut, 8)
    bus = Port(dut, "read", OPTIONS)
    cocotb.start_soon(ideal_read_memory(bus, latency=10))
    for n, name in enumerate(READERS):
        ports[name]["o_ready"].value = 1
        cocotb.start_soon(ports[name].send("i_transfer", [Transfer(n << 14, 800).packed(32)]))
    owners: list[int] = []
    await bus.until("axi_rvalid")
    for _ in range(1200):
        await RisingEdge(dut.clk)
        assert bus.get("axi_rvalid") and bus.get("axi_rready")
        if bus.get("axi_arvalid"):
            owners.append(bus.get("axi_araddr") >> 14)
    steady = owners[10:]
    assert len(steady) > 100
    assert all(a != b != c != a for a, b, c in zip(steady, steady[1:], steady[2:], strict=False))


@cocotb.test()
async def writes_share_without_loss(dut) -> None:
    """Three busy writers fill the data channel between them, in strict turns."""
    ports = await start(dut, 8)
    bus = Port(dut, "write", OPTIONS)
    cocotb.start_soon(ideal_write_memory(bus, latency=10))
    for n, name in enumerate(WRITERS):
        cocotb.start_soon(ports[name].send("i_transfer", [Transfer(n << 14, 800).packed(32)]))
        cocotb.start_soon(ports[name].send("i", [n] * 800))
    await ports["r0"].cycles(150)
    owners: list[int] = []
    for _ in range(1200):
        await RisingEdge(dut.clk)
        assert bus.get("axi_wvalid")
        if bus.get("axi_wlast"):
            owners.append(bus.get("axi_wdata"))
    assert len(owners) == 150
    assert all(a != b != c != a for a, b, c in zip(owners, owners[1:], owners[2:], strict=False))
