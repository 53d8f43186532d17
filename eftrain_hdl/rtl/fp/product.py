"""Exact products of two significands, in parts that suit the multipliers of the FPGA."""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth.hdl import Cat, Module, Value
from amaranth.vendor import LatticePlatform

from .pipeline import register

__all__ = ["multiply"]

_DSP48 = 17
"""Unsigned bits that the narrow port of a DSP48 takes."""

_ECP5 = 18
"""Unsigned bits that either port of an ECP5's MULT18X18D takes."""


def multiply(m: Module, left: Value, right: Value, spare: int, platform: object) -> tuple[Value, int]:
    """Product of two unsigned values of equal width, and the cycles from the operands to it: 1, at most ``spare`` more.

    Every multiplier ends in a register of its own: synthesis joins multipliers without one where an operand is wider
    than they are. What it returns is the sum of partial products, not yet registered. The parts are two DSP48 for up to
    26 x 34 bits; for an ECP5 three MULT18X18D and some logic for up to 24 x 24 bits.

    Parameters
    ----------
    spare
        Cycles that the product may take longer, if that makes the sum at its end shorter.
    platform
        Amaranth's platform; the ECP5's get parts for them, all others (and ``None``) those for a DSP48.
    """
    if isinstance(platform, LatticePlatform) and platform.family == "ecp5" and len(left) > _ECP5:
        return _multiply_ecp5(m, left, right, min(spare, 1))
    low = min(len(right), _DSP48)
    lower = register(m, left * right[:low], "lower")
    if len(right) == low:
        return lower, 1
    # Two partial products, each one DSP; their low bits meet nothing and need no adder.
    upper = register(m, left * right[low:], "upper")
    return Cat(lower[:low], (lower[low:] + upper)[: len(left) + len(right) - low]), 1


def _multiply_ecp5(m: Module, left: Value, right: Value, spare: int) -> tuple[Value, int]:
    width = 2 * len(left)
    high = len(left) - _ECP5
    middle = high // 2
    straight = register(m, left[:_ECP5] * right[:_ECP5], "straight")
    crossed = [
        register(m, left[:_ECP5] * right[_ECP5:], "crossed"),
        register(m, left[_ECP5:] * right[:_ECP5], "crossed"),
    ]
    corner = [
        register(m, _rows(left[_ECP5:], part), "corner") for part in (right[_ECP5:][:middle], right[_ECP5:][middle:])
    ]
    cross = crossed[0] + crossed[1]
    upper = Cat(straight[_ECP5:], (corner[0] + (corner[1] << middle))[: 2 * high])
    lower = straight[:_ECP5]
    if spare:
        cross, upper, lower = register(m, cross, "cross"), register(m, upper, "upper"), register(m, lower, "lower")
    return Cat(lower, (upper + cross)[: width - _ECP5]), 1 + spare


def _rows(left: Value, right: Value) -> Value:
    """A product without multiplication, which synthesis would give a whole multiplier."""
    return reduce(add, ((left & bit.replicate(len(left))) << k for k, bit in enumerate(right)))
