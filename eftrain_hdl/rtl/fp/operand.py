"""Decoding of floating-point operands: what a number is, worked out once and carried along with it."""

from __future__ import annotations

from amaranth.hdl import Module, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.numerics import FP32, FloatFormat

from .pipeline import register

__all__ = ["OperandDecoder", "check_format", "decode", "decoded_layout"]


def check_format(operand: FloatFormat, name: str = "operand") -> None:
    """Raise TypeError unless ``operand``, the parameter ``name``, is a :class:`~eftrain_hdl.numerics.FloatFormat`."""
    if not isinstance(operand, FloatFormat):
        raise TypeError(f"{name} must be a FloatFormat, not {operand!r}")


def decoded_layout(operand: FloatFormat) -> data.StructLayout:
    """A number of ``operand`` with its class: three bits more than the number itself.

    ``zero`` also stands for subnormals, whose fraction is then meaningless; at most one class bit is set.
    """
    return data.StructLayout(
        {
            "fraction": operand.mantissa,
            "exponent": operand.exponent,
            "sign": 1,
            "zero": 1,
            "infinite": 1,
            "nan": 1,
        }
    )


def decode(operand: FloatFormat, raw: Value) -> dict[str, Value]:
    """The fields of :func:`decoded_layout` from the bits of a number; combinational."""
    fraction = raw[: operand.mantissa]
    exponent = raw[operand.mantissa : -1]
    return {
        "fraction": fraction,
        "exponent": exponent,
        "sign": raw[-1],
        "zero": exponent == 0,
        "infinite": exponent.all() & (fraction == 0),
        "nan": exponent.all() & fraction.any(),
    }


class OperandDecoder(wiring.Component):
    """A vector of numbers to a vector of decoded numbers, one a cycle, in one cycle.

    Decoding where a vector enters an array, not in every unit it passes, saves its logic in all but one of them.

    Parameters
    ----------
    lanes: numbers in the vector, at least 1.
    operand: their format.

    Members: ``i`` (``ArrayLayout(unsigned(operand.width), lanes)``), ``o`` (``ArrayLayout`` of :func:`decoded_layout`).

    Raises
    ------
    TypeError: if ``operand`` is no format or ``lanes`` no integer. ValueError: if ``lanes`` is below 1.
    """

    latency = 1

    def __init__(self, lanes: int, operand: FloatFormat = FP32) -> None:
        check_format(operand)
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"lanes must be an integer, not {lanes!r}")
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes!r}")
        self.lanes = lanes
        self.operand = operand
        super().__init__(
            {
                "i": In(data.ArrayLayout(operand.width, lanes)),
                "o": Out(data.ArrayLayout(decoded_layout(operand), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(self.lanes):
            for field, value in decode(self.operand, self.i[lane]).items():
                m.d.comb += self.o[lane][field].eq(register(m, value, f"{field}_{lane}"))
        return m
