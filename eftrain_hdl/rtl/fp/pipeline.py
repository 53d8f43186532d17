"""Datapath registers and the final rounding, shared by the floating-point units."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, ValueLike, signed, unsigned

from eftrain_hdl.numerics import CANONICAL_NAN

__all__ = ["Rounded", "Specials", "delay", "finish", "normalise", "pack", "register"]


class Specials(NamedTuple):
    """What overrides the arithmetic: ``nan`` over ``infinite``; ``negative`` is the sign of the infinity."""

    nan: Value
    infinite: Value
    negative: Value
    invalid: Value


class Rounded(NamedTuple):
    """A rounded magnitude: ``{exponent, fraction}`` with a signed exponent, ready for :func:`pack`."""

    number: Value
    tiny: Value


def register(m: Module, value: ValueLike, name: str | None = None) -> Signal:
    """``value`` one cycle later, in a register without reset."""
    value = Value.cast(value)
    held = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += held.eq(value)
    return held


def delay(m: Module, value: ValueLike, cycles: int, name: str | None = None) -> Value:
    """``value`` so many cycles later."""
    held = Value.cast(value)
    for _ in range(cycles):
        held = register(m, held, name)
    return held


def normalise(m: Module, value: Value, amounts: list[int]) -> tuple[Value, Value]:
    """Shift ``value`` left by every amount (descending) whose bits are all zero at the top.

    Returns the shifted value and the decisions, the largest amount in the highest bit. Combinational; each amount costs
    one level for the shift and one or two for the detection.
    """
    width = len(value)
    decisions = []
    for amount in amounts:
        empty = Signal(name=f"empty{amount}")
        m.d.comb += empty.eq(value[width - amount :] == 0)
        # Whole words, not bits: the same logic for synthesis, but simulators take a word at a time.
        shifted = Signal(width, name=f"by{amount}")
        m.d.comb += shifted.eq(Mux(empty, value << amount, value))
        decisions.append(empty)
        value = shifted
    return value, Cat(*reversed(decisions))


def _round_up(significand: Value) -> Value:
    """Whether round-to-nearest-even of a normalised value (wider than 24 bits) to its upper 24 bits goes up."""
    spare = len(significand) - 24
    if spare <= 0:
        return C(0)
    guard, odd = significand[spare - 1], significand[spare]
    sticky = significand[: spare - 1].any() if spare > 1 else C(0)
    return guard & (odd | sticky)


def pack(m: Module, rounded: Rounded, sign: Value, zero: Value, specials: Specials) -> tuple[Signal, Signal, Signal]:
    """Registered FP32 bits, overflow and invalid from one rounded magnitude; one cycle.

    ``rounded.number`` is the biased exponent (signed) above 23 fraction bits; ``rounded.tiny`` says that the exponent
    was below 1 before rounding; ``zero`` clears sign and magnitude.
    """
    exponent = rounded.number[23:]
    special = specials.nan | specials.infinite
    over = Signal()
    clear = Signal()
    # At least 255; written as logic, which is quicker than the carry chain of a comparison.
    m.d.comb += [
        over.eq(~exponent[-1] & (exponent[8:].any() | exponent[:8].all()) & ~rounded.tiny & ~zero & ~special),
        clear.eq(rounded.tiny | zero),
    ]
    o = Signal(unsigned(32), reset_less=True)
    overflow, invalid = Signal(reset_less=True), Signal(reset_less=True)
    fraction = Mux(special | over | clear, Mux(specials.nan, CANONICAL_NAN & 0x7FFFFF, 0), rounded.number[:23])
    field = Mux(special | over, 0xFF, Mux(clear, 0, exponent[:8]))
    negative = Mux(special, specials.negative & ~specials.nan, sign)
    m.d.sync += [
        o.eq(Cat(fraction, field, negative)),
        overflow.eq(over),
        invalid.eq(specials.invalid),
    ]
    return o, overflow, invalid


def finish(m: Module, exponent: Value, significand: Value) -> Rounded:
    """Round a normalised significand whose leading bit has the biased exponent ``exponent + 1`` (signed); one cycle."""
    width = len(exponent) + 1
    upper = significand[-24:] if len(significand) >= 24 else Cat(C(0, 24 - len(significand)), significand)
    # The leading bit of the significand adds the one that is missing in the exponent.
    base = Cat(C(0, 23), exponent.as_signed()).as_signed()
    number = Signal(signed(23 + width), name="rounded", reset_less=True)
    m.d.sync += number.eq(base + upper + _round_up(significand))
    return Rounded(number, register(m, exponent[-1], name="tiny"))
