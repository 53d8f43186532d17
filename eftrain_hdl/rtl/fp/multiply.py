"""FP32 multiplication."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.numerics import FP32

from .operand import decode
from .pipeline import Specials, delay, finish, pack, register
from .product import multiply

__all__ = ["FloatMul"]


class FloatMul(wiring.Component):
    """FP32 product a cycle, rounded to nearest even, subnormals flushed; the twin is ``numerics.float_mul``.

    Members: ``a``, ``b`` (in, 32, FP32 bits); ``o`` (out, 32); ``overflow``, ``invalid`` (out, 1, of the same result).
    No handshake; two DSP blocks (three on an ECP5). Source: IEEE 754-2019, section 5.4.1, but for subnormals.
    """

    latency = 4
    """Cycles from ``a`` and ``b`` to ``o``: decode and multiply, join, round, pack."""

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), "o": Out(32), "overflow": Out(1), "invalid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = decode(FP32, self.a), decode(FP32, self.b)
        fields = [{name: register(m, value, name) for name, value in number.items() if name != "fraction"}
                  for number in (a, b)]
        left, right = Cat(a["fraction"], C(1, 1)), Cat(b["fraction"], C(1, 1))
        exact, _ = multiply(m, left, right, 0, platform)
        a, b = fields

        product = Signal(48, reset_less=True)
        exponent = Signal(signed(11), reset_less=True)
        m.d.sync += [
            product.eq(exact),
            # One less than the exponent of the lower leading place, because finish() adds the leading bit to it.
            exponent.eq(a["exponent"] + b["exponent"] - 128),
        ]
        zero = register(m, a["zero"] | b["zero"])
        sign = register(m, a["sign"] ^ b["sign"])
        invalid = register(m, a["infinite"] & b["zero"] | a["zero"] & b["infinite"])
        nan = register(m, a["nan"] | b["nan"])
        infinite = register(m, a["infinite"] | b["infinite"])

        wide = product[-1]
        rounded = finish(m, (exponent + wide)[:11].as_signed(), Mux(wide, product, product << 1)[:48])
        specials = Specials(*(delay(m, value, 1) for value in (nan | invalid, infinite, sign, invalid)))
        o, overflow, undefined = pack(m, rounded, register(m, sign), register(m, zero), specials)
        m.d.comb += [self.o.eq(o), self.overflow.eq(overflow), self.invalid.eq(undefined)]
        return m
