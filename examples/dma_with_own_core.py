"""Read DMA, a stream core of one's own, write DMA: the running maximum over a window of an image in memory.

The read DMA cuts the window out of the image by its strides; the write DMA packs the result. Prints the bursts that the
memory saw; exits with 1 unless what lies in memory afterwards is what NumPy says, and nothing beside it was touched.
"""

import sys

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from bus_models import AxiMemory
from eftrain_hdl.rtl.axi import (
    AXI4Signature,
    BeatLayout,
    ReadDma,
    TransferLayout,
    WriteDma,
    connect_read,
    connect_write,
)

WIDTH, ADDRESS_BITS = 32, 32
SIZE = 0x4000
IMAGE, RESULT = 0x1000, 0x3000
PITCH = 256
ROWS, COLUMNS, TOP, LEFT = 12, 20, 3, 7


class RunningMaximum(wiring.Component):
    """Each word becomes the largest one of its transfer so far; combinational from ``i`` to ``o``."""

    i: In(stream.Signature(BeatLayout(WIDTH)))
    o: Out(stream.Signature(WIDTH))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self.i.payload.data
        best = Signal(WIDTH)
        m.d.comb += [
            self.o.payload.eq(Mux(word > best, word, best)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            # `last` ends a transfer, not a burst: a core need not know how a transfer was cut up.
            m.d.sync += best.eq(Mux(self.i.payload.last, 0, self.o.payload))
        return m


class Machine(wiring.Component):
    """The core between the DMAs, behind one AXI port; a transfer for each DMA starts it."""

    source: In(stream.Signature(TransferLayout(ADDRESS_BITS)))
    target: In(stream.Signature(TransferLayout(ADDRESS_BITS)))
    done: Out(1)
    error: Out(1)
    axi: Out(AXI4Signature(WIDTH, ADDRESS_BITS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = ReadDma(WIDTH, ADDRESS_BITS, outstanding=4, fifo_beats=64)
        m.submodules.writer = writer = WriteDma(WIDTH, ADDRESS_BITS, outstanding=4, fifo_beats=64)
        m.submodules.core = core = RunningMaximum()
        wiring.connect(m, wiring.flipped(self.source), reader.i_transfer)
        wiring.connect(m, reader.o, core.i)
        wiring.connect(m, core.o, writer.i)
        wiring.connect(m, wiring.flipped(self.target), writer.i_transfer)
        connect_read(m, reader.axi, self.axi)
        connect_write(m, writer.axi, self.axi)
        for dma in (reader, writer):
            # The window is empty after reset: a DMA whose window nobody sets refuses every transfer.
            m.d.comb += [dma.window_limit.eq(SIZE), dma.burst_beats.eq(16)]
        m.d.comb += [self.done.eq(writer.done), self.error.eq(reader.error | writer.error)]
        return m


def simulate(image: np.ndarray) -> tuple[AxiMemory, bool]:
    """The memory after one run, and whether a DMA reported an error."""
    design = Machine()
    memory = AxiMemory(design.axi, SIZE)
    memory.bytes[IMAGE : IMAGE + image.nbytes] = image.view(np.uint8).reshape(-1)
    once = {"count1": 1, "count2": 1, "count3": 1, "stride1": 0, "stride2": 0, "stride3": 0}
    window = {"address": IMAGE + TOP * PITCH + LEFT * 4, "run": COLUMNS, "count1": ROWS, "stride1": PITCH}
    failed = False

    async def host(ctx: SimulatorContext) -> None:
        nonlocal failed
        for port, transfer in ((design.target, {"address": RESULT, "run": ROWS * COLUMNS}), (design.source, window)):
            ctx.set(port.payload, once | transfer)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)
        _, failed = await ctx.tick().sample(design.done, design.error).until(design.done | design.error)

    simulator = Simulator(design)
    simulator.add_clock(1e-8)
    simulator.add_testbench(host)
    memory.add_to(simulator)
    simulator.run()
    return memory, bool(failed)


def main() -> int:
    noise = np.random.default_rng(1).integers(0, 1000, (16, PITCH // 4), dtype=np.uint32)
    image = noise + np.arange(16, dtype=np.uint32)[:, None] * 100
    memory, failed = simulate(image)

    expected = np.zeros(SIZE, np.uint8)
    expected[IMAGE : IMAGE + image.nbytes] = image.view(np.uint8).reshape(-1)
    result = np.maximum.accumulate(image[TOP : TOP + ROWS, LEFT : LEFT + COLUMNS].reshape(-1))
    expected[RESULT : RESULT + result.nbytes] = result.view(np.uint8)
    right = not failed and np.array_equal(memory.bytes, expected)
    for name, bursts in (("read", memory.reads), ("written", memory.writes)):
        beats = sum(length for _, length in bursts)
        print(f"{beats} beats {name} in {len(bursts)} bursts, the first at {bursts[0][0]:#x}")
    print(f"{result.size} words of running maximum in memory: {'right' if right else 'WRONG'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
