"""FP32 addition in two paths, one for cancellation and one for alignment."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.numerics import FP32

from .operand import decode
from .pipeline import Rounded, Specials, delay, finish, normalise, pack, register

__all__ = ["FloatAdd"]


class FloatAdd(wiring.Component):
    """FP32 sum a cycle, rounded to nearest even, subnormals flushed; the twin is ``numerics.float_add``.

    Members: ``a``, ``b`` (in, 32, FP32 bits); ``o`` (out, 32); ``overflow``, ``invalid`` (out, 1, of the same result).
    No handshake; no DSP block. A sum that loses more than one leading bit is exact and has operands at most one
    exponent apart, so the *near* path normalises but never aligns or rounds, and the *far* path never normalises by
    more than one place. Source: IEEE 754-2019, section 5.4.1, but for subnormals.
    """

    latency = 6
    """Cycles from ``a`` and ``b`` to ``o``: compare, swap, align, add, normalise or round, pack."""

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), "o": Out(32), "overflow": Out(1), "invalid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = {name: register(m, value, f"a_{name}") for name, value in decode(FP32, self.a).items()}
        b = {name: register(m, value, f"b_{name}") for name, value in decode(FP32, self.b).items()}
        swap = register(m, self.a[:31] < self.b[:31], "swap")
        above = register(m, self.a[23:31] - self.b[23:31], "above")
        below = register(m, self.b[23:31] - self.a[23:31], "below")

        subtract = register(m, a["sign"] ^ b["sign"], "subtract")
        exponent = register(m, Mux(swap, b["exponent"], a["exponent"]), "exponent")
        big = Cat(register(m, Mux(swap, b["fraction"], a["fraction"]), "big"), C(1, 1))
        small = Signal(24, reset_less=True)
        m.d.sync += small.eq(Cat(Mux(swap, a["fraction"], b["fraction"]), C(1, 1)))
        with m.If(Mux(swap, a["zero"], b["zero"])):
            m.d.sync += small.eq(0)
        distance = register(m, Mux(swap, below, above)[:8], "distance")

        close, difference = self._cancel(m, big, small, distance, subtract)
        near, near_zero = self._near(m, exponent, difference)
        far = self._far(m, exponent, big, small, distance, subtract)
        subtract, close = delay(m, subtract, 3), delay(m, close & ~difference[-1], 2)

        sign = Mux(swap, b["sign"], a["sign"])
        both_zero = a["zero"] & b["zero"]
        invalid = a["infinite"] & b["infinite"] & (a["sign"] ^ b["sign"])
        nan = a["nan"] | b["nan"] | invalid
        infinite = a["infinite"] | b["infinite"]
        sign, both_zero, invalid, nan, infinite = (delay(m, v, 4) for v in (sign, both_zero, invalid, nan, infinite))
        zero = both_zero | close & near_zero
        rounded = Rounded(Mux(close, near.number, far.number), Mux(close, near.tiny, far.tiny))
        specials = Specials(nan=nan, infinite=infinite, negative=sign, invalid=invalid)
        o, overflow, undefined = pack(m, rounded, sign & ~(zero & subtract), zero, specials)
        m.d.comb += [self.o.eq(o), self.overflow.eq(overflow), self.invalid.eq(undefined)]
        return m

    @staticmethod
    def _cancel(m: Module, big: Value, small: Value, distance: Value, subtract: Value) -> tuple[Value, Value]:
        """Whether the near path may serve, and the difference of operands at most one exponent apart; after 1 cycle."""
        close = register(m, subtract & (distance[1:] == 0), "close")
        nearby = Mux(distance[0], Cat(small, C(0, 1)), Cat(C(0, 1), small))
        return close, register(m, (Cat(C(0, 1), big) - nearby)[:25], "difference")

    @staticmethod
    def _near(m: Module, exponent: Value, difference: Value) -> tuple[Rounded, Value]:
        """The normalised difference and whether it is zero; 2 cycles after ``difference``, 3 after ``exponent``."""
        coarse, upper = normalise(m, difference, [16, 8])
        coarse, upper = register(m, coarse, "coarse"), register(m, upper)
        fine, lower = normalise(m, coarse, [4, 2, 1])
        reduced = Signal(signed(11))
        m.d.comb += reduced.eq(delay(m, exponent, 2) - Cat(lower, upper))
        number = register(m, Cat(fine[1:24], reduced), "near")
        return Rounded(number, number[-1] | ~number[23:].any()), register(m, ~fine[-1])

    @staticmethod
    def _far(m: Module, exponent: Value, big: Value, small: Value, distance: Value, subtract: Value) -> Rounded:
        """Sum or difference of aligned operands, rounded; after 3 cycles."""
        field = Cat(C(0, 2), small)
        # What leaves the field through its lower end matters only as one sticky bit.
        shifted = Cat(C(0, 31), field) >> distance[:5]
        aligned = Signal(27, reset_less=True)
        m.d.sync += aligned.eq(Cat(shifted[:31].any(), shifted[31:57]))
        with m.If(distance[5:].any()):
            m.d.sync += aligned.eq(Cat(small[-1], C(0, 26)))
        subtract, larger = register(m, subtract), register(m, big[:-1])
        # The extra lowest bit is the carry in, so that adding or subtracting is one carry chain.
        left = Cat(C(1, 1), C(0, 3), larger, C(1, 2))
        right = Cat(subtract, Cat(aligned, C(0, 1)) ^ subtract.replicate(28))
        total = register(m, (left + right)[1:29], "total")

        # One less than the exponents for a leading bit at place 27, 26 or 25, because finish() adds the leading bit.
        exponent = register(m, exponent)
        carried, level, lost = (register(m, Cat(exponent, C(0, 3)).as_signed() - i, f"less{i}")[:11] for i in range(3))
        wide, full = total[27], total[26]
        value = Mux(wide, total, Mux(full, total << 1, total << 2))[:28]
        return finish(m, Mux(wide, carried, Mux(full, level, lost)).as_signed(), value)
