"""A multiply and an add for every word of a beat."""

from __future__ import annotations

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.fp import FloatAdd, FloatMul
from eftrain_hdl.rtl.layouts import beat_layout

__all__ = ["ScaledAdd"]


class ScaledAdd(wiring.Component):
    """``o = x + scale * operand``, product and sum rounded one after the other, or ``bypass`` unchanged.

    One beat a cycle. Inputs are taken at different times; cycles count from that in which ``operand`` is present.

    Parameters
    ----------
    config : Config
        Width of a beat.

    Members
    -------
    operand : In(beat), scale : In(32)
        FP32 words, at cycle 0.
    add : In(1)
        Whether to add, at cycle 0.
    live : In(1)
        Whether the flags count, at cycle 0.
    x : In(beat)
        FP32 words, at cycle :attr:`X_AT`.
    bypass : In(beat)
        Result where ``add`` is low, at cycle :attr:`BYPASS_AT`.
    o : Out(beat)
        At cycle :attr:`LATENCY`.
    overflow, invalid : Out(1)
        Of any product or sum that is ``live``; product and sum of a beat report at different times.
    """

    X_AT = FloatMul.latency
    BYPASS_AT = X_AT + FloatAdd.latency
    LATENCY = BYPASS_AT + 1

    def __init__(self, config: Config):
        beat = beat_layout(config)
        super().__init__({
            "operand": In(beat), "scale": In(32), "add": In(1), "live": In(1), "x": In(beat), "bypass": In(beat),
            "o": Out(beat), "overflow": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        chosen = delay(m, self.add, self.BYPASS_AT, name="add")
        live_product = delay(m, self.live, self.X_AT, name="live_product")
        live_sum = delay(m, live_product, self.BYPASS_AT - self.X_AT, name="live_sum")
        result = Signal(self.o.shape(), reset_less=True)
        m.d.comb += self.o.eq(result)
        lanes = [(FloatMul(), FloatAdd()) for _ in self.operand]
        for w, (multiply, add) in enumerate(lanes):
            m.submodules[f"multiply_{w}"] = multiply
            m.submodules[f"add_{w}"] = add
            m.d.comb += [
                multiply.a.eq(self.operand[w]), multiply.b.eq(self.scale), add.a.eq(self.x[w]), add.b.eq(multiply.o),
            ]
            m.d.sync += result[w].eq(Mux(chosen, add.o, self.bypass[w]))
        for name in ("overflow", "invalid"):
            products = Cat(getattr(multiply, name) for multiply, _ in lanes).any()
            sums = Cat(getattr(add, name) for _, add in lanes).any()
            m.d.sync += getattr(self, name).eq((products & live_product) | (sums & live_sum))
        return m
