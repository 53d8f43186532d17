"""Harnesses for the proofs: a component with free inputs, the bus's promises as assumptions, its duties as assertions.

``tight`` tightens one bound (by one, or to half a page), which must make the proof fail: so the bound is reached.
"""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator
from eftrain_hdl.rtl.axi.descriptor import TransferLayout
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from eftrain_hdl.rtl.axi.write_dma import WriteDma

ADDRESS_WIDTH = 14


def _constant(m: Module, value: Value) -> None:
    """Assume that an input never changes."""
    first = Signal(init=1)
    before = Signal(len(value))
    m.d.sync += [first.eq(0), before.eq(value)]
    m.d.comb += Assume(first | (value == before))


def _stable(m: Module, valid: Value, ready: Value, payload: Value) -> None:
    """Assert that an offer stands, unchanged, until it is taken."""
    waiting = Signal()
    before = Signal(len(payload))
    m.d.sync += [waiting.eq(valid & ~ready), before.eq(payload)]
    m.d.comb += [Assert(~waiting | valid), Assert(~waiting | (payload == before))]


def _count(m: Module, amount: Value, width: int = 8) -> Signal:
    """Running sum of ``amount``, not counting the present cycle."""
    total = Signal(width)
    m.d.sync += total.eq(total + amount)
    return total


class Generator(wiring.Component):
    """Every burst is legal, inside the window, within both limits, and stands until it is taken."""

    def __init__(self, *, tight: str = "") -> None:
        self.tight = tight
        super().__init__(
            {
                "transfer": In(stream.Signature(TransferLayout(ADDRESS_WIDTH))),
                "ready": In(1),
                "stop": In(1),
                "limit": In(9),
                "base": In(ADDRESS_WIDTH),
                "end": In(ADDRESS_WIDTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = BurstGenerator(256, ADDRESS_WIDTH, max_beats=16)
        wiring.connect(m, wiring.flipped(self.transfer), dut.i)
        m.d.comb += [
            dut.o.ready.eq(self.ready),
            dut.stop.eq(self.stop),
            dut.burst_beats.eq(self.limit),
            dut.window_base.eq(self.base),
            dut.window_limit.eq(self.end),
        ]
        for value in (self.limit, self.base, self.end):
            _constant(m, value)
        burst = dut.o.payload
        beats = burst.beats
        last_byte = Signal(ADDRESS_WIDTH + 1)
        page = 12 - (self.tight == "page")
        longest = Mux(self.limit == 0, 1, Mux(self.limit > 16, 16, self.limit))
        m.d.comb += last_byte.eq(burst.address + (beats << 5) - 1)
        with m.If(dut.o.valid):
            m.d.comb += [
                Assert(beats > 0),
                Assert(beats + (self.tight == "length") <= longest),
                Assert(burst.address[:5] == 0),
                Assert(burst.address[page:] == last_byte[page:]),
                Assert(burst.address >= self.base),
                Assert(last_byte + (self.tight == "window") < self.end),
            ]
        _stable(m, dut.o.valid, self.ready, Cat(burst.as_value()))
        return m


class Read(wiring.Component):
    """Addresses stand, promises are kept, and what the bus delivers comes out complete and in order."""

    OUTSTANDING = 2
    FIFO = 3

    def __init__(self, *, tight: str = "") -> None:
        self.tight = tight
        super().__init__(
            {
                "transfer": In(stream.Signature(TransferLayout(ADDRESS_WIDTH))),
                "arready": In(1),
                "rvalid": In(1),
                "oready": In(1),
                "halt": In(1),
                "burst_beats": In(9),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = ReadDma(32, ADDRESS_WIDTH, outstanding=self.OUTSTANDING, fifo_beats=self.FIFO)
        axi = dut.axi
        wiring.connect(m, wiring.flipped(self.transfer), dut.i_transfer)
        asked = axi.arvalid & axi.arready
        got = axi.rvalid & axi.rready
        given = dut.o.valid & dut.o.ready
        asked_beats = _count(m, Mux(asked, axi.arlen + 1, 0))
        asked_bursts = _count(m, asked)
        got_beats = _count(m, got)
        got_bursts = _count(m, got & axi.rlast)
        given_beats = _count(m, given)

        # The bus answers in order: `ends` marks, by beat number, which beats are the last of a burst.
        ends = Signal(64)
        final = asked_beats + axi.arlen
        with m.If(asked):
            m.d.sync += ends.eq(ends | (1 << final[:6]))
        m.d.comb += [
            axi.arready.eq(self.arready),
            axi.rvalid.eq(self.rvalid & (got_beats != asked_beats)),
            axi.rlast.eq(ends.bit_select(got_beats[:6], 1)),
            axi.rdata.eq(got_beats),
            dut.o.ready.eq(self.oready),
            dut.halt.eq(self.halt),
            dut.burst_beats.eq(self.burst_beats),
            dut.window_limit.eq((1 << ADDRESS_WIDTH) - 1),
            Assume(asked_beats < 60),
        ]
        halted = Signal()
        m.d.sync += halted.eq(halted | self.halt)
        m.d.comb += [
            Assert(axi.rready),
            Assert(asked_bursts - got_bursts + (self.tight == "outstanding") <= self.OUTSTANDING),
            Assert(halted | (asked_beats - given_beats + (self.tight == "reservation") <= self.FIFO)),
            Assert(~dut.o.valid | (dut.o.payload.data == given_beats)),
            Assert(~dut.o.valid | (given_beats < got_beats)),
            Assert(~dut.idle | (asked_beats == got_beats)),
        ]
        _stable(m, axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen))
        _stable(m, dut.o.valid, dut.o.ready, dut.o.payload.as_value())
        return m


class Write(wiring.Component):
    """No address without its data in hand, W bursts as long as announced, everything stands until it is taken."""

    OUTSTANDING = 2
    FIFO = 3

    def __init__(self, *, tight: str = "") -> None:
        self.tight = tight
        super().__init__(
            {
                "transfer": In(stream.Signature(TransferLayout(ADDRESS_WIDTH))),
                "ivalid": In(1),
                "awready": In(1),
                "wready": In(1),
                "bvalid": In(1),
                "halt": In(1),
                "burst_beats": In(9),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = WriteDma(32, ADDRESS_WIDTH, outstanding=self.OUTSTANDING, fifo_beats=self.FIFO)
        axi = dut.axi
        wiring.connect(m, wiring.flipped(self.transfer), dut.i_transfer)
        asked = axi.awvalid & axi.awready
        sent = axi.wvalid & axi.wready
        asked_beats = _count(m, Mux(asked, axi.awlen + 1, 0))
        asked_bursts = _count(m, asked)
        sent_beats = _count(m, sent)
        sent_bursts = _count(m, sent & axi.wlast)
        answered = _count(m, axi.bvalid & axi.bready)
        taken = _count(m, dut.i.valid & dut.i.ready)
        offered_beats = asked_beats + Mux(axi.awvalid, axi.awlen + 1, 0)

        # Both ends of a burst, by beat number: as announced by addresses, and as marked by WLAST.
        announced = Signal(64)
        marked = Signal(64)
        final = asked_beats + axi.awlen
        with m.If(asked):
            m.d.sync += announced.eq(announced | (1 << final[:6]))
        with m.If(sent & axi.wlast):
            m.d.sync += marked.eq(marked | (1 << sent_beats[:6]))
        both = Signal(64)
        m.d.comb += [
            both.eq((1 << Mux(asked_beats < sent_beats, asked_beats, sent_beats)[:6]) - 1),
            axi.awready.eq(self.awready),
            axi.wready.eq(self.wready),
            axi.bvalid.eq(self.bvalid & (answered != asked_bursts) & (answered != sent_bursts)),
            dut.i.valid.eq(self.ivalid),
            dut.i.payload.eq(taken),
            dut.halt.eq(self.halt),
            dut.burst_beats.eq(self.burst_beats),
            dut.window_limit.eq((1 << ADDRESS_WIDTH) - 1),
            Assume((asked_beats < 60) & (taken < 60)),
            Assert(axi.bready),
            Assert(asked_bursts - answered + (self.tight == "outstanding") <= self.OUTSTANDING),
            Assert(offered_beats + (self.tight == "in_hand") <= taken),
            Assert((announced & both) == (marked & both)),
            Assert(~axi.wvalid | (axi.wdata == sent_beats)),
            Assert((axi.wstrb == 0) | (axi.wstrb == 15)),
            Assert(~dut.idle | ((asked_bursts == answered) & (asked_beats == sent_beats))),
        ]
        _stable(m, axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen))
        _stable(m, axi.wvalid, axi.wready, Cat(axi.wdata, axi.wstrb, axi.wlast))
        return m
