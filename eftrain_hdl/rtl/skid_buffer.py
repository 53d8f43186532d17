"""Cuts the path of a stream's ready signal."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """A stream whose ``ready`` comes from a register: one element that arrives as its reader stops is kept here.

    Elements pass in the cycle in which they come, one a cycle, so a reader that stops and goes on sees no gap.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.

    Members
    -------
    i, o : stream of ``shape``
        In and out. ``o.valid`` and ``o.payload`` depend on ``i`` in the same cycle; ``i.ready`` on no port.
    """

    LATENCY = 0
    """Cycles that an element takes through an empty buffer."""

    def __init__(self, shape: ShapeLike) -> None:
        self._width = Shape.cast(shape).width
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        full = Signal()
        kept = Signal(self._width, reset_less=True)
        arriving = Value.cast(self.i.payload)
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full | self.i.valid),
            Value.cast(self.o.payload).eq(Mux(full, kept, arriving)),
        ]
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        with m.If(~full):
            m.d.sync += kept.eq(arriving)
        return m
