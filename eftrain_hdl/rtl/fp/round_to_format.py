"""FP32 to operand format."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.numerics import FP32, FloatFormat

from .operand import check_format

__all__ = ["RoundToFormat"]


class RoundToFormat(wiring.Component):
    """Round an FP32 value to ``fmt``: nearest, ties to even; subnormals of ``fmt`` become zero, overflow becomes Inf.

    Bit for bit :func:`eftrain_hdl.numerics.round_to_format` followed by :func:`~eftrain_hdl.numerics.to_bits`. A new
    value every cycle.

    Parameters
    ----------
    fmt : FloatFormat
        Target.

    Members
    -------
    i : In(32)
        FP32.
    o : Out(fmt.width)
        The value in ``fmt``, :attr:`latency` cycles later.

    Raises
    ------
    TypeError
        If ``fmt`` is not a FloatFormat.
    """

    latency = 2
    """Cycles from ``i`` to ``o``: round, select."""

    def __init__(self, fmt: FloatFormat):
        check_format(fmt, "fmt")
        self.fmt = fmt
        super().__init__({"i": In(32), "o": Out(fmt.width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt = self.fmt
        drop = FP32.mantissa - fmt.mantissa
        fraction, exponent, sign = self.i[:23], self.i[23:31], self.i[31]
        lowest = FP32.bias - fmt.bias + 1

        rounded = Signal(31, reset_less=True)
        zero, special, nan, sign_1 = (Signal(name=n, reset_less=True) for n in ("zero", "special", "nan", "sign_1"))
        m.d.sync += [
            zero.eq(exponent < lowest),
            special.eq(exponent.all()),
            nan.eq(exponent.all() & fraction.any()),
            sign_1.eq(sign),
        ]
        if drop:
            increment = Cat(Const((1 << (drop - 1)) - 1, drop - 1), Const(0, 32 - drop)) + self.i[drop]
            m.d.sync += rounded.eq(self.i[:31] + increment)
        else:
            m.d.sync += rounded.eq(self.i[:31])

        top = FP32.bias + fmt.bias
        ones = (1 << fmt.exponent) - 1
        kept = rounded[drop:23]
        exponent_1 = rounded[23:31]
        over = special | (exponent_1 > top)
        quiet = Mux(nan, 1 << (fmt.mantissa - 1), 0)
        m.d.sync += self.o.eq(
            Cat(
                Mux(zero, 0, Mux(over, quiet, kept))[: fmt.mantissa],
                Mux(zero, 0, Mux(over, ones, (exponent_1 - (lowest - 1))[: fmt.exponent]))[: fmt.exponent],
                sign_1 & ~nan,
            )
        )
        return m
