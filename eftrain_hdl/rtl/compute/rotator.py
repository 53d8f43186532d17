"""Rotation of a vector by a run-time amount."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Rotator"]


class Rotator(wiring.Component):
    """``o[j] = i[(j + shift) mod lanes]``, pipelined, four ways a stage (one LUT6 per bit and stage).

    Parameters
    ----------
    width : int
        Bits of an element.
    lanes : int
        Elements; a power of two.

    Members
    -------
    i : In(lanes of width)
    shift : In(log2 lanes)
        With ``i``.
    o : Out(lanes of width)
        :attr:`latency` cycles later.
    """

    def __init__(self, width: int, lanes: int):
        if lanes < 2 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two from 2, not {lanes!r}")
        self._width = width
        self._lanes = lanes
        self._bits = lanes.bit_length() - 1
        super().__init__({
            "i": In(data.ArrayLayout(unsigned(width), lanes)),
            "shift": In(self._bits),
            "o": Out(data.ArrayLayout(unsigned(width), lanes)),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return (self._bits + 1) // 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = [self.i[j] for j in range(self._lanes)]
        shift = self.shift
        for stage in range(self.latency):
            low = 2 * stage
            part = shift[low:low + 2]
            rotated = [Signal(self._width, name=f"stage{stage}_{j}", reset_less=True) for j in range(self._lanes)]
            for j in range(self._lanes):
                choices = [current[(j + (k << low)) % self._lanes] for k in range(1 << len(part))]
                m.d.sync += rotated[j].eq(Array(choices)[part])
            following = Signal(self._bits, name=f"shift{stage}", reset_less=True)
            m.d.sync += following.eq(shift)
            current, shift = rotated, following
        m.d.comb += [self.o[j].eq(current[j]) for j in range(self._lanes)]
        return m
