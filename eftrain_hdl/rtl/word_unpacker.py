"""Beats to 32-bit words."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.rtl.axi.descriptor import BeatLayout

__all__ = ["WordUnpacker"]


class WordUnpacker(wiring.Component):
    """Splits the beats of one transfer into words, lowest address first; one word a cycle, latency 2 cycles.

    Parameters
    ----------
    data_width : int
        Bits of a beat, a multiple of 32.

    Members
    -------
    clear : In(1)
        Forget everything, before a new transfer.
    i : In(stream of BeatLayout)
    o : Out(stream of 32 bits)
    exhausted : Out(1)
        The last word of the transfer was taken.
    """

    def __init__(self, data_width: int) -> None:
        if not isinstance(data_width, int) or data_width < 32 or data_width % 32:
            raise ValueError(f"data_width must be a multiple of 32, not {data_width!r}")
        self.words = data_width // 32
        super().__init__({
            "clear": In(1),
            "i": In(stream.Signature(BeatLayout(data_width))),
            "o": Out(stream.Signature(32)),
            "exhausted": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Beats wait here, so that the queue they come from does not hang on the taking of a word.
        m.submodules.beats = beats = ResetInserter(self.clear)(SyncFIFO(width=self.i.payload.shape().size, depth=2))
        beat = Signal(32 * self.words, reset_less=True)
        left = Signal(range(self.words + 1))
        last = Signal()
        take = Signal()
        head = data.View(self.i.payload.shape(), beats.r_data)
        m.d.comb += [
            self.o.payload.eq(beat[:32]),
            self.o.valid.eq(left != 0),
            self.exhausted.eq(last & (left == 0)),
            take.eq(self.o.valid & self.o.ready),
            beats.w_data.eq(self.i.payload),
            beats.w_en.eq(self.i.valid),
            self.i.ready.eq(beats.w_rdy),
            beats.r_en.eq(~last & ((left == 0) | ((left == 1) & take))),
        ]
        with m.If(take):
            m.d.sync += [beat.eq(beat[32:]), left.eq(left - 1)]
        with m.If(beats.r_rdy & beats.r_en):
            m.d.sync += [beat.eq(head.data), left.eq(self.words), last.eq(head.last)]
        with m.If(self.clear):
            m.d.sync += [left.eq(0), last.eq(0)]
        return m
