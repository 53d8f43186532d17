"""What the DMA benches share: random transfers, their reference, stream drivers and a checker of the bus rules."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass

from cocotb.handle import SimHandleBase
from cocotb.triggers import ReadOnly, RisingEdge

from eftrain_hdl.rtl.axi.descriptor import TransferLayout
from sim.axi.tops import CONFIGURATIONS

MEMORY_BYTES = 1 << 17


@dataclass(frozen=True)
class Transfer:
    """One descriptor, fields as in ``TransferLayout``."""

    address: int
    run: int
    counts: tuple[int, int, int] = (1, 1, 1)
    strides: tuple[int, int, int] = (0, 0, 0)

    def packed(self, address_width: int) -> int:
        """The descriptor as the integer that goes on ``i_transfer_payload``."""
        names = {f"count{n + 1}": count for n, count in enumerate(self.counts)}
        names |= {f"stride{n + 1}": stride for n, stride in enumerate(self.strides)}
        value = TransferLayout(address_width).const({"address": self.address, "run": self.run, **names})
        return int(value.as_bits())

    def starts(self) -> list[int]:
        """Start address of every run, in order."""
        (n1, n2, n3), (s1, s2, s3) = self.counts, self.strides
        return [
            self.address + i1 * s1 + i2 * s2 + i3 * s3 for i3 in range(n3) for i2 in range(n2) for i1 in range(n1)
        ]

    def beats(self, beat_bytes: int) -> list[int]:
        """Address of every beat, in order."""
        return [start + n * beat_bytes for start in self.starts() for n in range(self.run)]


def random_transfer(rng: random.Random, beat_bytes: int, *, longest: int = 40, disjoint: bool = False) -> Transfer:
    """A transfer inside the memory, often near a multiple of 4 KiB; with ``disjoint`` no byte is touched twice."""
    while True:
        run = rng.choice((1, 2, 3, rng.randint(1, longest), rng.randint(1, longest)))
        counts = tuple(rng.choice((1, 1, 2, 3, 5)) for _ in range(3))
        strides = tuple(beat_bytes * rng.choice((-1, 1)) * rng.randint(0, 3 * run + 2) for _ in range(3))
        page = rng.randrange(1, MEMORY_BYTES // 4096) * 4096
        address = page + beat_bytes * rng.randint(-40, 40) if rng.random() < 0.6 else page
        transfer = Transfer(address, run, counts, strides)
        beats = transfer.beats(beat_bytes)
        if min(beats) < 0 or max(beats) + beat_bytes > MEMORY_BYTES:
            continue
        if disjoint and len(set(beats)) != len(beats):
            continue
        return transfer


class Port:
    """Access to the pins of one DMA by their names below its prefix; ``options`` are its constructor's."""

    def __init__(self, dut: SimHandleBase, name: str, options: Mapping[str, int | bool] | None = None) -> None:
        self.dut = dut
        self.clk = dut.clk
        self.name = name
        options = CONFIGURATIONS[name] if options is None else options
        self.address_width = int(options.get("address_width", 40))
        self.beat_bytes = int(options["data_width"]) // 8
        self.longest_burst = min(int(options["fifo_beats"]), 16 if options.get("axi3") else 256)

    def __getitem__(self, pin: str) -> SimHandleBase:
        return getattr(self.dut, f"{self.name}_{pin}")

    def get(self, pin: str) -> int:
        """Present value of a pin as an integer."""
        return int(self[pin].value)

    async def reset(self, burst_beats: int = 8, limit: int = MEMORY_BYTES) -> None:
        """Reset the design with idle inputs and a window from 0 to ``limit``."""
        self.prepare(burst_beats, limit)
        self.dut.rst.value = 1
        await self.cycles(3)
        self.dut.rst.value = 0
        await self.cycles(1)

    def prepare(self, burst_beats: int, limit: int = MEMORY_BYTES) -> None:
        """Give the inputs of this DMA their idle values."""
        self["i_transfer_valid"].value = 0
        self["halt"].value = 0
        self["burst_beats"].value = burst_beats
        self["window_base"].value = 0
        self["window_limit"].value = limit

    async def cycles(self, count: int) -> None:
        """Wait for ``count`` rising edges."""
        for _ in range(count):
            await RisingEdge(self.clk)

    async def until(self, pin: str, value: int = 1, *, timeout: int = 5000) -> None:
        """Wait until a pin has a value at a rising edge."""
        for _ in range(timeout):
            await RisingEdge(self.clk)
            if self.get(pin) == value:
                return
        raise AssertionError(f"{self.name}_{pin} did not become {value} within {timeout} cycles")

    async def send(self, stream: str, values: list[int], rng: random.Random | None = None, idle: float = 0.0) -> None:
        """Offer ``values`` on an input stream, each after pauses of probability ``idle`` a cycle."""
        valid, ready, payload = self[f"{stream}_valid"], self[f"{stream}_ready"], self[f"{stream}_payload"]
        for value in values:
            while rng is not None and rng.random() < idle:
                await RisingEdge(self.clk)
            payload.value = value
            valid.value = 1
            await RisingEdge(self.clk)
            while not int(ready.value):
                await RisingEdge(self.clk)
            valid.value = 0

    async def receive(
        self, stream: str, count: int, rng: random.Random | None = None, stall: float = 0.0, timeout: int = 60000
    ) -> list[int]:
        """Take ``count`` values from an output stream, not ready with probability ``stall`` in any cycle."""
        valid, ready, payload = self[f"{stream}_valid"], self[f"{stream}_ready"], self[f"{stream}_payload"]
        taken: list[int] = []
        ready.value = 1
        for _ in range(timeout):
            await RisingEdge(self.clk)
            if int(valid.value) and int(ready.value):
                taken.append(int(payload.value))
                if len(taken) == count:
                    ready.value = 0
                    return taken
            if rng is not None:
                ready.value = rng.random() >= stall
        raise AssertionError(f"{stream}: {len(taken)} of {count} values after {timeout} cycles")


class BusChecker:
    """Watches one address channel: bursts are legal, stay as offered until taken, and are recorded in order."""

    def __init__(self, port: Port, channel: str, burst_beats: int) -> None:
        self.port = port
        self.channel = channel
        self.limit = max(1, min(burst_beats, port.longest_burst))
        self.bursts: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Coroutine to be started by the test."""
        port, prefix = self.port, f"axi_{self.channel}"
        fixed = {"size": port.beat_bytes.bit_length() - 1, "burst": 1, "cache": 3, "prot": 2, "lock": 0, "qos": 0}
        held: tuple[int, int] | None = None
        while True:
            await RisingEdge(port.clk)
            await ReadOnly()
            if not port.get(prefix + "valid"):
                assert held is None, "valid was withdrawn"
                continue
            now = (port.get(prefix + "addr"), port.get(prefix + "len") + 1)
            assert held in (None, now), "payload changed before ready"
            held = now
            if port.get(prefix + "ready"):
                held = None
                self.check(*now)
                for name, value in fixed.items():
                    assert port.get(prefix + name) == value, name

    def check(self, address: int, beats: int) -> None:
        """Check one burst and record it."""
        size = self.port.beat_bytes
        assert address % size == 0
        assert beats <= self.limit, f"burst of {beats} beats, limit {self.limit}"
        assert address // 4096 == (address + beats * size - 1) // 4096, f"{address:#x} + {beats} beats crosses 4 KiB"
        self.bursts.append((address, beats))


def pauses(rng: random.Random, probability: float) -> Iterator[bool]:
    """Endless random pause pattern for cocotbext-axi's ``set_pause_generator``."""
    while True:
        yield rng.random() < probability


def describe(transfers: list[Transfer]) -> str:
    """Compact text for a failure message."""
    return ", ".join(str(astuple(transfer)) for transfer in transfers)
