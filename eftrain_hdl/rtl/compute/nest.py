"""Loop nests in gateware."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["NestCounter", "step_select"]


class NestCounter(wiring.Component):
    """Counters of a loop nest, one element per cycle.

    Parameters
    ----------
    levels : int
        Loops; level 0 is the innermost.
    width : int
        Bits of a count.

    Members
    -------
    counts : In(levels of width)
        Count of each level, at least 1; stable from ``start`` on.
    start : In(1)
        The first element is presented in the next cycle. Overrides ``advance``.
    advance : In(1)
        The next element is presented in the next cycle; after the last one, the first again.
    level : Out(levels)
        One-hot: the present element was reached by advancing this level. Zero for the first element.
    last : Out(1)
        The present element is the last one.
    ends : Out(levels)
        The index of this level is at its last value.
    """

    def __init__(self, levels: int, width: int = 16):
        self._levels = levels
        self._width = width
        super().__init__(
            {
                "counts": In(data.ArrayLayout(width, levels)),
                "start": In(1),
                "advance": In(1),
                "level": Out(levels),
                "last": Out(1),
                "ends": Out(levels),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        carry = 1
        advanced = []
        for k in range(self._levels):
            # Counts down, so that the end is a registered flag and no comparison stands behind the counter.
            left = Signal(self._width, name=f"left_{k}")
            end = self.ends[k]
            single = Signal(name=f"single_{k}")
            m.d.sync += single.eq(self.counts[k] == 1)
            at_start = self.counts[k] == 1
            move = self.advance & carry
            with m.If(self.start):
                m.d.sync += [left.eq(self.counts[k]), end.eq(at_start)]
            with m.Elif(move):
                m.d.sync += [
                    left.eq(Mux(end, self.counts[k], left - 1)),
                    end.eq(Mux(end, single, left == 2)),
                ]
            advanced.append(move & ~end)
            carry = carry & end
        m.d.comb += self.last.eq(self.ends.all())
        with m.If(self.start):
            m.d.sync += self.level.eq(0)
        with m.Elif(self.advance):
            m.d.sync += self.level.eq(Mux(self.last, 0, Cat(advanced)))
        return m


def step_select(level: Value, steps: Sequence[ValueLike]) -> Value:
    """The step of the level set in the one-hot ``level``, as bits; zero if none is set."""
    chosen = [
        Value.cast(step).as_unsigned() & level[k].replicate(len(Value.cast(step))) for k, step in enumerate(steps)
    ]
    return reduce(or_, chosen)
