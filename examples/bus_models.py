"""The other side of the buses in Amaranth's simulator, which the examples share: an AXI4 memory, AXI4-Lite writes."""

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext


async def _handshake(ctx: SimulatorContext, other: Value, *values: Value) -> list[int]:
    """Wait for a clock edge at which the other side is there; ``values`` at that edge."""
    # What `ctx.tick().until(other)` is for; but Amaranth complains of a background testbench that ends inside one.
    there = False
    while not there:
        _, _, there, *sampled = await ctx.tick().sample(other, *values)
    return sampled


async def write_register(ctx: SimulatorContext, axi: wiring.PureInterface, offset: int, value: int) -> None:
    """Write 32 bits through ``axi``, the port of a ``RegisterBank`` that is idle."""
    for name, level in {"awaddr": offset, "wdata": value, "wstrb": 0b1111, "bready": 1}.items():
        ctx.set(getattr(axi, name), level)
    ctx.set(axi.awvalid, 1)
    ctx.set(axi.wvalid, 1)
    # An idle register bank takes address and data at the same edge; not every AXI4-Lite subordinate does.
    await ctx.tick().until(axi.awready & axi.wready)
    ctx.set(axi.awvalid, 0)
    ctx.set(axi.wvalid, 0)
    await ctx.tick().until(axi.bvalid)


class AxiMemory:
    """Memory behind ``axi``, a port of the simulated design that drives addresses; one burst each way at a time.

    ``bytes`` is its contents; ``reads`` and ``writes`` list the (address, beats) of every burst, in order.
    """

    def __init__(self, axi: wiring.PureInterface, size: int) -> None:
        self.axi = axi
        self.bytes = np.zeros(size, np.uint8)
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    def add_to(self, simulator: Simulator) -> None:
        """Serve from the start of the simulation to its end."""
        # Background: a simulation ends when the other testbenches do.
        simulator.add_testbench(self._serve_reads, background=True)
        simulator.add_testbench(self._serve_writes, background=True)

    async def _serve_reads(self, ctx: SimulatorContext) -> None:
        axi = self.axi
        step = len(axi.rdata) // 8
        while True:
            ctx.set(axi.arready, 1)
            address, length = await _handshake(ctx, axi.arvalid, axi.araddr, axi.arlen)
            ctx.set(axi.arready, 0)
            self.reads.append((address, length + 1))
            for start in self._beats(address, length + 1, step):
                ctx.set(axi.rdata, int.from_bytes(self.bytes[start : start + step].tobytes(), "little"))
                ctx.set(axi.rlast, start == address + length * step)
                ctx.set(axi.rvalid, 1)
                await _handshake(ctx, axi.rready)
            ctx.set(axi.rvalid, 0)

    async def _serve_writes(self, ctx: SimulatorContext) -> None:
        axi = self.axi
        step = len(axi.wdata) // 8
        while True:
            ctx.set(axi.awready, 1)
            address, length = await _handshake(ctx, axi.awvalid, axi.awaddr, axi.awlen)
            ctx.set(axi.awready, 0)
            self.writes.append((address, length + 1))
            ctx.set(axi.wready, 1)
            for start in self._beats(address, length + 1, step):
                data, strobe = await _handshake(ctx, axi.wvalid, axi.wdata, axi.wstrb)
                for lane in range(step):
                    if strobe >> lane & 1:
                        self.bytes[start + lane] = data >> (8 * lane) & 0xFF
            ctx.set(axi.wready, 0)
            ctx.set(axi.bvalid, 1)
            await _handshake(ctx, axi.bready)
            ctx.set(axi.bvalid, 0)

    def _beats(self, address: int, beats: int, step: int) -> range:
        if address + beats * step > len(self.bytes):
            raise IndexError(f"a burst of {beats} beats at {address:#x} leaves the memory of {len(self.bytes)} bytes")
        return range(address, address + beats * step, step)
