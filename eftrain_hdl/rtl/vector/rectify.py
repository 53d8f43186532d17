"""ReLU, and the comparison with zero that it shares with the mask of its gradient."""

from __future__ import annotations

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.layouts import beat_layout

__all__ = ["Rectify", "is_nan", "is_positive"]


def is_nan(word: Value) -> Value:
    """Whether FP32 bits are a NaN."""
    return word[23:31].all() & word[:23].any()


def is_positive(word: Value) -> Value:
    """Whether FP32 bits are above zero; not so for a subnormal or a NaN."""
    return ~word[31] & word[23:31].any() & ~is_nan(word)


class Rectify(wiring.Component):
    """Words that are neither positive nor NaN become +0 where ``enable`` is set; one cycle.

    Parameters
    ----------
    config : Config
        Width of a beat.

    Members
    -------
    i : In(beat), enable : In(1)
    o : Out(beat)
    """

    LATENCY = 1

    def __init__(self, config: Config):
        beat = beat_layout(config)
        super().__init__({"i": In(beat), "enable": In(1), "o": Out(beat)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        held = Signal(self.o.shape(), reset_less=True)
        words = []
        for word in self.i:
            keep = Signal(name="keep")
            m.d.comb += keep.eq(~self.enable | is_positive(word) | is_nan(word))
            words.append(Mux(keep, word, 0))
        m.d.sync += held.eq(Cat(words))
        m.d.comb += self.o.eq(held)
        return m
