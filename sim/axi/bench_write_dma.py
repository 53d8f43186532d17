"""cocotb tests of the write DMA against cocotbext-axi memories. Run through ``tests/rtl/axi/test_write_dma.py``."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamWrite, AxiSlaveWrite, AxiWriteBus
from cocotbext.axi.address_space import Region

from eftrain_hdl.registers import ErrorCode
from sim.axi.common import MEMORY_BYTES, BusChecker, Port, Transfer, describe, pauses, random_transfer
from sim.axi.tops import CONFIGURATIONS


class DataChecker:
    """Watches the W channel: beats belong to bursts in order, strobes are whole, WLAST is on the last beat."""

    def __init__(self, port: Port, checker: BusChecker) -> None:
        self.port = port
        self.addresses = checker
        self.strobed: list[bool] = []
        self.lasts = 0
        self.responses = 0

    async def run(self) -> None:
        """Coroutine to be started by the test."""
        port = self.port
        ones = (1 << port.beat_bytes) - 1
        held: tuple[int, ...] | None = None
        beat = 0
        lengths: list[int] = []
        while True:
            await RisingEdge(port.clk)
            if port.get("axi_bvalid") and port.get("axi_bready"):
                self.responses += 1
            if not port.get("axi_wvalid"):
                assert held is None, "wvalid was withdrawn"
                continue
            now = tuple(port.get(f"axi_{pin}") for pin in ("wdata", "wstrb", "wlast"))
            assert held in (None, now), "write data changed before ready"
            held = now
            if port.get("axi_wready"):
                held = None
                assert now[1] in (0, ones)
                self.strobed.append(now[1] == ones)
                beat += 1
                if now[2]:
                    lengths.append(beat)
                    beat = 0
                    self.lasts += 1
            known = [beats for _, beats in self.addresses.bursts][: len(lengths)]
            assert lengths[: len(known)] == known, "WLAST does not match AWLEN"


class Bench:
    """One DMA with a memory full of random bytes behind it."""

    def __init__(self, dut, name: str, rng: random.Random, burst_beats: int) -> None:
        self.dut = dut
        self.port = Port(dut, name)
        self.rng = rng
        self.burst_beats = burst_beats
        self.memory = AxiRamWrite(AxiWriteBus.from_prefix(dut, f"{name}_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
        self.memory.log.setLevel("WARNING")
        self.image = bytearray(rng.randbytes(MEMORY_BYTES))
        self.memory.write(0, bytes(self.image))
        self.addresses = BusChecker(self.port, "aw", burst_beats)
        self.data = DataChecker(self.port, self.addresses)

    async def start(self, stall: float) -> None:
        Clock(self.dut.clk, 2, unit="ns").start()
        for channel in (self.memory.aw_channel, self.memory.w_channel, self.memory.b_channel):
            channel.set_pause_generator(pauses(self.rng, stall))
        self.port["i_valid"].value = 0
        await self.port.reset(self.burst_beats)
        cocotb.start_soon(self.addresses.run())
        cocotb.start_soon(self.data.run())

    def send(self, transfers: list[Transfer], idle: float) -> None:
        """Start offering descriptors and random data, each at its own pace."""
        values = [t.packed(self.port.address_width) for t in transfers]
        cocotb.start_soon(self.port.send("i_transfer", values, self.rng, 0.2))
        size = self.port.beat_bytes
        self.values = {id(t): [self.rng.getrandbits(8 * size) for _ in t.beats(size)] for t in transfers}
        beats = [value for t in transfers for value in self.values[id(t)]]
        cocotb.start_soon(self.port.send("i", beats, self.rng, idle))

    def apply(self, transfer: Transfer) -> None:
        """Carry out a transfer on the reference image."""
        size = self.port.beat_bytes
        for address, value in zip(transfer.beats(size), self.values[id(transfer)], strict=True):
            self.image[address : address + size] = value.to_bytes(size, "little")


@cocotb.test()
@cocotb.parametrize(
    name=[name for name in CONFIGURATIONS if name != "deep"],
    burst_beats=[0, 1, 5, 8, 12, 511],
)
async def random_transfers(dut, name: str, burst_beats: int) -> None:
    """N-dimensional transfers around 4 KiB; at each ``done`` its data, and no others, are in memory."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name} {burst_beats}")
    bench = Bench(dut, name, rng, burst_beats)
    await bench.start(stall=rng.choice((0.0, 0.2, 0.5)))
    port = bench.port
    longest = 40 if burst_beats not in (0, 1) else 8
    transfers = [random_transfer(rng, port.beat_bytes, longest=longest, disjoint=True) for _ in range(10)]
    transfers.append(Transfer(4096 - port.beat_bytes, 300 if burst_beats == 511 else 20))
    bench.send(transfers, rng.choice((0.0, 0.3, 0.7)))
    size = port.beat_bytes
    for transfer in transfers:
        await port.until("done", timeout=60000)
        bench.apply(transfer)
        for address in transfer.beats(size):
            assert bench.memory.read(address, size) == bench.image[address : address + size], describe([transfer])
    assert bench.memory.read(0, MEMORY_BYTES) == bench.image, describe(transfers)
    await port.cycles(10)
    assert not port.get("busy") and port.get("idle") and not port.get("error") and not port.get("done")
    assert sum(beats for _, beats in bench.addresses.bursts) == sum(len(t.beats(size)) for t in transfers)
    assert bench.data.responses == len(bench.addresses.bursts) == bench.data.lasts


@cocotb.test()
@cocotb.parametrize(run_bytes=[64, 128, 1024])
async def throughput(dut, run_bytes: int) -> None:
    """With a memory that is always ready and answers after 20 cycles, no cycle is lost once data flow."""
    port = Port(dut, "deep")
    Clock(dut.clk, 2, unit="ns").start()
    cocotb.start_soon(ideal_memory(port, latency=20))
    port["i_valid"].value = 0
    await port.reset(burst_beats=8)
    run = run_bytes // port.beat_bytes
    transfers = [Transfer(0x1000 * n, run, (8, 2, 1), (2 * run_bytes, 20 * run_bytes, 0)) for n in range(4)]
    total = sum(len(t.beats(port.beat_bytes)) for t in transfers)
    cocotb.start_soon(port.send("i_transfer", [t.packed(port.address_width) for t in transfers]))
    cocotb.start_soon(port.send("i", list(range(total))))
    await port.until("axi_wvalid")
    got, cycles = [port.get("axi_wdata")], 0
    while len(got) < total:
        await RisingEdge(port.clk)
        cycles += 1
        assert cycles < 10 * total
        if port.get("axi_wvalid"):
            got.append(port.get("axi_wdata"))
    assert got == list(range(total))
    rate = (total - 1) / cycles
    dut._log.info("throughput of runs of %d bytes: %.3f beats a cycle", run_bytes, rate)
    assert rate > 0.99


async def ideal_memory(port: Port, latency: int) -> None:
    """Takes addresses and data whenever offered and answers each burst ``latency`` cycles after its last beat."""
    due: list[int] = []
    cycle = 0
    port["axi_awready"].value = 1
    port["axi_wready"].value = 1
    port["axi_bvalid"].value = 0
    port["axi_bresp"].value = 0
    while True:
        await RisingEdge(port.clk)
        cycle += 1
        if port.get("axi_wvalid") and port.get("axi_wlast"):
            due.append(cycle + latency)
        answer = bool(due) and due[0] <= cycle
        port["axi_bvalid"].value = answer
        if answer:
            due.pop(0)


@cocotb.test()
@cocotb.parametrize(name=["c32", "c128"])
async def stalled_producer(dut, name: str) -> None:
    """A producer that stops inside a burst leaves no burst half done on the bus."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name}")
    bench = Bench(dut, name, rng, 8)
    await bench.start(stall=0.0)
    port = bench.port
    cocotb.start_soon(port.send("i_transfer", [Transfer(0x2000, 32).packed(port.address_width)]))
    sent = 0
    for upto, bursts in ((7, 0), (8, 1), (23, 2), (31, 3), (32, 4)):
        await port.send("i", list(range(sent, upto)))
        sent = upto
        await port.cycles(60)
        assert len(bench.addresses.bursts) == bursts
        assert len(bench.data.strobed) == 8 * bursts
        assert port.get("idle")
    assert not port.get("busy")


class FaultyRegion(Region):
    """Memory that answers an error for one address and drops writes."""

    def __init__(self, bad: int) -> None:
        super().__init__(MEMORY_BYTES)
        self.bad = bad

    async def _write(self, address: int, data: bytes, **_: object) -> None:
        if address <= self.bad < address + len(data):
            raise ValueError("injected")


@cocotb.test()
@cocotb.parametrize(name=["c32", "c64", "c128", "c256"])
async def write_error(dut, name: str) -> None:
    """A bad response is latched with its burst's address; issued bursts are completed; nothing follows, no ``done``."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name}")
    port = Port(dut, name)
    size = port.beat_bytes
    bad = 0x1000 + 21 * size
    slave = AxiSlaveWrite(AxiWriteBus.from_prefix(dut, f"{name}_axi"), dut.clk, dut.rst, target=FaultyRegion(bad))
    slave.w_channel.set_pause_generator(pauses(rng, 0.3))
    Clock(dut.clk, 2, unit="ns").start()
    port["i_valid"].value = 0
    await port.reset(burst_beats=8)
    transfer = Transfer(0x1000, 100)
    cocotb.start_soon(port.send("i_transfer", [transfer.packed(port.address_width)] * 2))
    cocotb.start_soon(port.send("i", list(range(200))))
    done = 0
    for _ in range(2000):
        await RisingEdge(port.clk)
        done += port.get("done")
    assert port.get("error") and port.get("idle") and not done
    assert port.get("error_code") == ErrorCode.WRITE_RESPONSE
    assert port.get("error_address") == 0x1000 + 16 * size
    assert not port.get("axi_awvalid") and not port.get("axi_wvalid") and not port.get("i_transfer_ready")


@cocotb.test()
async def window(dut) -> None:
    """A burst outside the window is not issued, those before it are; so with an unaligned descriptor."""
    bench = Bench(dut, "c128", random.Random(1), 4)
    await bench.start(stall=0.0)
    port = bench.port
    port["window_base"].value = 0x1000
    port["window_limit"].value = 0x2000
    cocotb.start_soon(port.send("i_transfer", [Transfer(0x1F80, 16).packed(port.address_width)]))
    cocotb.start_soon(port.send("i", list(range(16))))
    await port.until("error")
    await port.cycles(40)
    assert port.get("error_code") == ErrorCode.OUT_OF_WINDOW and port.get("error_address") == 0x2000
    assert {address for address, _ in bench.addresses.bursts} <= {0x1F80, 0x1FC0}
    assert port.get("idle")
    await port.reset()
    cocotb.start_soon(port.send("i_transfer", [Transfer(0x1F81, 1).packed(port.address_width)]))
    await port.until("error")
    assert port.get("error_code") == ErrorCode.UNALIGNED and port.get("error_address") == 0x1F81


@cocotb.test()
@cocotb.parametrize(name=["c32", "c256"], after=[1, 14, 26, 40, 41, 42, 90])
async def halt(dut, name: str, after: int) -> None:
    """A halt at any moment: issued bursts get all their beats, the late ones without strobes, then the bus is quiet."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {name} {after}")
    bench = Bench(dut, name, rng, 8)
    await bench.start(stall=0.5)
    port = bench.port
    transfer = Transfer(0, 1000)
    bench.send([transfer, transfer], 0.0)
    await port.cycles(after)
    port["halt"].value = 1
    await port.cycles(1)
    port["halt"].value = 0
    await port.cycles(2)
    await port.until("idle")
    issued = sum(beats for _, beats in bench.addresses.bursts)
    await port.cycles(60)
    strobed = bench.data.strobed
    assert port.get("idle") and not port.get("error") and not port.get("axi_wvalid")
    assert len(strobed) == issued == sum(beats for _, beats in bench.addresses.bursts)
    assert strobed == sorted(strobed, reverse=True), "data after the first beat without strobes"
    assert bench.data.responses == len(bench.addresses.bursts)
    size = port.beat_bytes
    for address, value in list(zip(transfer.beats(size), bench.values[id(transfer)], strict=True))[: sum(strobed)]:
        bench.image[address : address + size] = value.to_bytes(size, "little")
    assert bench.memory.read(0, MEMORY_BYTES) == bench.image
