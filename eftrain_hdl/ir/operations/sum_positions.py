"""The sum of each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import need
from ..operation import Operation, Result
from ..values import Array, Value


@dataclass(frozen=True)
class SumPositions(Operation):
    """Sum of ``x`` (channels, ...) over batch and positions, one number a channel: the gradient of a bias."""

    operands: ClassVar[tuple[str, ...]] = ("x",)

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        (x,) = inputs
        need(x.batched and len(x.shape) > 0, f"x has to be (batch, channels, ...), but {x.name} is {x.size}")
        return (Result(x.shape[:1], batched=False),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        (x,) = inputs
        return (x.sum(axis=(0, *range(2, x.ndim))),)
