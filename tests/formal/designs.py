"""Harnesses for the proofs: a component with free inputs, the bus's promises as assumptions, its duties as assertions.

``tight`` tightens one bound (by one, or to half a page), which must make the proof fail: so the bound is reached.
"""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from eftrain_hdl.rtl.axi.descriptor import TransferLayout
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
