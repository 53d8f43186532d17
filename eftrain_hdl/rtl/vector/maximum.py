"""Running maximum of successive beats, with its position."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import NO_INDEX
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.layouts import beat_layout

from .layouts import tags_layout
from .rectify import is_nan, is_positive

__all__ = ["Maximum"]

_LOWEST = -(1 << 31)  # below the order of -Inf
_HIGHEST = (1 << 31) - 1
_MINUS_INFINITY = 0xFF80_0000


def _order(word: Value, nan: Value) -> Value:
    """A signed number that orders FP32 bits as the reduction does: zeros are equal, NaN is one value above all."""
    magnitude = word[:31]
    return Mux(nan, _HIGHEST, Mux(word[31], -magnitude, magnitude))


class Maximum(wiring.Component):
    """Maximum of the words of successive elements, each word position by itself; one element a cycle, latency 3 cycles.

    Without ``tags.reduce`` every element is its own result. The order is that of :func:`eftrain_hdl.numerics.greater`.

    Parameters
    ----------
    config : Config
        Width of a beat.

    Members
    -------
    valid : In(1)
        An element is present.
    i : In(beat)
        FP32 words.
    tags : In(:func:`~.layouts.tags_layout`)
        ``first``, ``compete``, ``index``, ``gate`` and ``reduce`` are looked at.
    value : Out(beat)
        Maximum so far, of this element and those before it since ``tags.first``; -Inf if none competed.
    position : Out(beat)
        ``reduce``: index of ``value``, or NO_INDEX; otherwise ``value``.
    """

    LATENCY = 3

    def __init__(self, config: Config):
        beat = beat_layout(config)
        super().__init__({
            "valid": In(1), "i": In(beat), "tags": In(tags_layout()), "value": Out(beat), "position": Out(beat),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        tags = self.tags
        valid = delay(m, self.valid, 1, name="valid")
        first = delay(m, tags.first, 1, name="first")
        compete = delay(m, tags.compete, 1, name="compete")
        index = delay(m, tags.index, 1, name="index")
        gate = delay(m, tags.gate, 2, name="gate")
        reduce = delay(m, tags.reduce, 2, name="reduce")
        value = Signal(self.value.shape(), reset_less=True)
        position = Signal(self.position.shape(), reset_less=True)
        m.d.comb += [self.value.eq(value), self.position.eq(position)]
        for w, word in enumerate(self.i):
            order = Signal(signed(32), name=f"order_{w}", reset_less=True)
            m.d.sync += order.eq(_order(word, is_nan(word)))
            present = delay(m, word, 1, name=f"word_{w}")
            positive = delay(m, is_positive(word), 1, name=f"positive_{w}")

            best = Signal(signed(32), name=f"best_{w}", reset_less=True)
            word_best = Signal(32, name=f"best_word_{w}", reset_less=True)
            index_best = Signal(16, name=f"best_index_{w}", reset_less=True)
            known = Signal(name=f"known_{w}", reset_less=True)
            positive_best = Signal(name=f"best_positive_{w}", reset_less=True)
            with m.If(valid & compete & (first | (order > best))):
                m.d.sync += [
                    best.eq(order), word_best.eq(present), index_best.eq(index),
                    known.eq(1), positive_best.eq(positive),
                ]
            with m.Elif(valid & first):
                m.d.sync += [best.eq(_LOWEST), word_best.eq(_MINUS_INFINITY), known.eq(0)]

            found = Mux(known & (positive_best | ~gate), index_best, NO_INDEX)
            m.d.sync += [value[w].eq(word_best), position[w].eq(Mux(reduce, found, word_best))]
        return m
