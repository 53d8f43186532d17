"""What optimizers are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import need
from ..operation import Operation, Result
from ..rules import same
from ..values import Array, Value


@dataclass(frozen=True)
class ScaledAdd(Operation):
    """``a`` + SCALAR[``scalar``] * ``b``, or ``a`` - SCALAR[``scalar``] * ``b`` if ``negative``; product and sum are
    rounded one after the other.

    SCALAR is the table of scalars that whoever runs a graph gives beside its inputs, so that a learning rate changes
    without a new graph.
    """

    scalar: int
    negative: bool = False
    operands: ClassVar[tuple[str, ...]] = ("a", "b")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        a, b = inputs
        need(self.scalar >= 0, f"scalar={self.scalar} has to be an index into the table of scalars")
        return (same("a", a, "b", b),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        a, b = inputs
        need(self.scalar < len(scalars), f"reads SCALAR[{self.scalar}], but the table of scalars has {len(scalars)}")
        change = scalars[self.scalar] * b
        return (a - change if self.negative else a + change,)
