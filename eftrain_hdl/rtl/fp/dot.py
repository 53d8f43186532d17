"""The fused dot product: exact products, one alignment, one sum, one rounding."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eftrain_hdl.numerics import FP32, FloatFormat, check_lanes, check_window

from .operand import OperandDecoder, check_format, decoded_layout
from .pipeline import Specials, delay, finish, normalise, pack, register
from .product import multiply

__all__ = ["DecodedDot", "FusedDot"]

_PER_STAGE = 2
"""Levels of the tree of maxima between two registers."""


class _Term(NamedTuple):
    """An aligned partial sum and the sign that is still to be applied to it."""

    value: Value
    negative: Value


def _latency(lanes: int) -> int:
    """Cycles from decoded operands to the result."""
    levels = ceil_log2(lanes)
    # Products; maxima; distances; two shifts; the tree of sums; magnitude; three to normalise; round; pack.
    return 1 + -(-levels // _PER_STAGE) + 1 + 2 + levels + 1 + 3 + 1 + 1


class DecodedDot(wiring.Component):
    """:class:`FusedDot` for operands that were decoded before (:class:`~.operand.OperandDecoder`); one cycle shorter.

    Parameters ``lanes``, ``operand`` and ``window``, members ``a``, ``b``, ``o``, ``overflow`` and ``invalid``, and
    errors as there, except that ``a`` and ``b`` are arrays of :func:`~.operand.decoded_layout`.
    """

    def __init__(self, lanes: int, operand: FloatFormat = FP32, window: int | None = None) -> None:
        check_lanes(lanes)
        check_format(operand)
        self.lanes = lanes
        self.operand = operand
        self.window = check_window(window, operand)
        vector = data.ArrayLayout(decoded_layout(operand), lanes)
        super().__init__({"a": In(vector), "b": In(vector), "o": Out(32), "overflow": Out(1), "invalid": Out(1)})

        self._levels = ceil_log2(lanes)
        self._compare_stages = -(-self._levels // _PER_STAGE)

    @property
    def latency(self) -> int:
        """Cycles from ``a`` and ``b`` to ``o``."""
        return _latency(self.lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        exponents = [self._exponent(m, lane) for lane in range(self.lanes)]
        largest = self._largest(m, exponents)
        products = [self._product(m, lane, platform) for lane in range(self.lanes)]
        terms = [
            _Term(
                self._align(m, products[lane], largest, delay(m, exponents[lane], self._compare_stages)),
                delay(m, register(m, self.a[lane].sign ^ self.b[lane].sign), self._compare_stages + 3),
            )
            for lane in range(self.lanes)
        ]
        total = self._sum(m, terms)

        below = total.value[-1]
        magnitude = register(m, Mux(below, ~total.value, total.value)[:-1] + below, "magnitude")[: len(total.value) - 1]
        sign = register(m, below ^ total.negative, "sign")
        width = len(magnitude)
        amounts = [1 << i for i in reversed(range(ceil_log2(width)))]
        shifts = []
        for first, last in self._split(len(amounts)):
            shifted, shift = normalise(m, magnitude, amounts[first:last])
            magnitude = register(m, shifted, "normalised")
            shifts = [register(m, s) for s in [shift, *shifts]]
        # The leading bit stands for 2**(E + levels + 1); one less makes room for the hidden bit that finish() adds.
        offset = 127 - 2 * self.operand.bias + self._levels + 1 - 1
        largest = delay(m, largest, 3 + self._levels + 1 + 3)
        exponent = Signal(signed(11))
        m.d.comb += exponent.eq(largest + offset - Cat(*shifts))
        rounded = finish(m, exponent, magnitude)
        specials = self._specials(m, self.latency - 1)
        filled = magnitude[-1]
        sign = register(m, delay(m, sign, 3) & filled)
        o, overflow, invalid = pack(m, rounded, sign, register(m, ~filled, "zero"), specials)
        m.d.comb += [self.o.eq(o), self.overflow.eq(overflow), self.invalid.eq(invalid)]
        return m

    @staticmethod
    def _split(count: int) -> list[tuple[int, int]]:
        """Three runs of the normaliser's shifts, one a stage."""
        return [(0, max(count - 4, 0)), (max(count - 4, 0), max(count - 2, 0)), (max(count - 2, 0), count)]

    def _exponent(self, m: Module, lane: int) -> Signal:
        """Sum of the exponent fields, 0 for a zero product (any other is at least 2); after 1 cycle."""
        a, b = self.a[lane], self.b[lane]
        total = Signal(self.operand.exponent + 1, name=f"exponent{lane}", reset_less=True)
        m.d.sync += total.eq(a.exponent + b.exponent)
        with m.If(a.zero | b.zero):
            m.d.sync += total.eq(0)
        return total

    def _largest(self, m: Module, exponents: list[Signal]) -> Value:
        """Largest exponent sum, ``_compare_stages`` cycles later."""
        row: list[Value] = list(exponents)
        for level in range(self._levels):
            pairs = zip(row[::2], row[1::2], strict=True)
            row = [Mux(left > right, left, right) for left, right in pairs]
            if level % _PER_STAGE == _PER_STAGE - 1 or level == self._levels - 1:
                row = [register(m, value, f"largest{level}") for value in row]
        return row[0]

    def _product(self, m: Module, lane: int, platform: object) -> Value:
        """The upper ``window`` bits of the exact product, 0 if an operand is zero; in time for :meth:`_align`."""
        a, b = self.a[lane], self.b[lane]
        bits = self.operand.significand
        left, right = Cat(a.fraction, C(1, 1)), Cat(b.fraction, C(1, 1))
        # The product waits for the largest exponent anyway.
        exact, cycles = multiply(m, left, right, self._compare_stages, platform)
        product = Signal(2 * bits, name=f"product{lane}", reset_less=True)
        m.d.sync += product.eq(exact)
        with m.If(delay(m, a.zero | b.zero, cycles)):
            m.d.sync += product.eq(0)
        kept = Cat(C(0, max(self.window - 2 * bits, 0)), product[max(2 * bits - self.window, 0) :])
        return delay(m, kept, self._compare_stages + 1 - cycles, f"held{lane}")

    def _align(self, m: Module, product: Value, largest: Value, exponent: Value) -> Value:
        """The product moved down by its distance from the largest; 3 cycles after ``largest``, 2 after ``product``."""
        width = self.window
        bits = ceil_log2(width)
        distance = register(m, (largest - exponent)[: len(largest)], "distance")
        coarse = Signal(width, name="coarse", reset_less=True)
        m.d.sync += coarse.eq(product >> distance[:2])
        with m.If(distance[bits:].any()):
            m.d.sync += coarse.eq(0)
        rest = Signal(bits - 2, reset_less=True)
        m.d.sync += rest.eq(distance[2:bits])
        fine = coarse >> (rest[:2] << 2)
        for i in range(2, bits - 2):
            fine = Mux(rest[i], fine >> (4 << i), fine)
        return register(m, fine[:width], "aligned")

    def _sum(self, m: Module, terms: list[_Term]) -> _Term:
        """Signed total of all terms; ``_levels`` cycles later.

        A pair is added or subtracted and keeps the sign of its first member, so no operand is ever negated.
        """
        row = [_Term(Cat(term.value, C(0, 1)).as_signed(), term.negative) for term in terms]
        for level in range(self._levels):
            following = []
            for first, second in zip(row[::2], row[1::2], strict=True):
                width = len(first.value) + 1
                subtract = first.negative ^ second.negative
                left, right = Signal(signed(width)), Signal(signed(width))
                m.d.comb += [left.eq(first.value), right.eq(second.value)]
                # The extra lowest bit is the carry in, so that the pair is one carry chain.
                chain = Cat(C(1, 1), left) + Cat(subtract, right ^ subtract.replicate(width))
                value = register(m, chain[1 : width + 1].as_signed(), f"sum{level}")
                following.append(_Term(value, register(m, first.negative)))
            row = following
        return row[0]

    def _specials(self, m: Module, cycles: int) -> Specials:
        """What Inf and NaN operands make of the result, so many cycles later."""
        nan, invalid, plus, minus = [], [], [], []
        for a, b in zip(self.a, self.b, strict=True):
            infinite = (a.infinite | b.infinite) & ~a.nan & ~b.nan
            nan.append(register(m, a.nan | b.nan))
            invalid.append(register(m, a.infinite & b.zero | a.zero & b.infinite))
            plus.append(register(m, infinite & (a.sign == b.sign)))
            minus.append(register(m, infinite & (a.sign != b.sign)))
        positive, negative = register(m, Cat(*plus).any()), register(m, Cat(*minus).any())
        undefined = register(m, register(m, Cat(*invalid).any()) | positive & negative)
        number = register(m, register(m, Cat(*nan).any()))
        return Specials(
            nan=delay(m, number | undefined, cycles - 3),
            infinite=delay(m, register(m, positive | negative), cycles - 3),
            negative=delay(m, register(m, negative), cycles - 3),
            invalid=delay(m, undefined, cycles - 3),
        )


class FusedDot(wiring.Component):
    """Dot product of two vectors a cycle, rounded once: ``o = sum(a[i] * b[i])`` by the rules of ``docs/numerics.md``.

    Parameters
    ----------
    lanes: products summed, a power of two from 2 to 64.
    operand: format of ``a`` and ``b``; the result is FP32.
    window: bits kept of a product below the largest exponent; the format's default for ``None``.

    Members
    -------
    ``a``, ``b`` (in, ``ArrayLayout(unsigned(operand.width), lanes)``); ``o`` (out, 32, FP32 bits); ``overflow``,
    ``invalid`` (out, 1, belong to the same result). No handshake: every cycle takes a pair and gives a result,
    :attr:`latency` cycles later (17 for 16 lanes, in every format).

    Raises
    ------
    TypeError, ValueError: for lanes, format or window out of range.
    """

    def __init__(self, lanes: int, operand: FloatFormat = FP32, window: int | None = None) -> None:
        check_lanes(lanes)
        check_format(operand)
        self.lanes = lanes
        self.operand = operand
        self.window = check_window(window, operand)
        vector = data.ArrayLayout(unsigned(operand.width), lanes)
        super().__init__({"a": In(vector), "b": In(vector), "o": Out(32), "overflow": Out(1), "invalid": Out(1)})

    @property
    def latency(self) -> int:
        """Cycles from ``a`` and ``b`` to ``o``."""
        return OperandDecoder.latency + _latency(self.lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = DecodedDot(self.lanes, self.operand, self.window)
        for name in ("a", "b"):
            m.submodules[f"decode_{name}"] = decoder = OperandDecoder(self.lanes, self.operand)
            m.d.comb += [decoder.i.eq(getattr(self, name)), getattr(core, name).eq(decoder.o)]
        m.d.comb += [self.o.eq(core.o), self.overflow.eq(core.overflow), self.invalid.eq(core.invalid)]
        return m
