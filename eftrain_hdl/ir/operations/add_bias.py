"""Addition of one number a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import need
from ..operation import Operation, Result
from ..rules import per_channel
from ..values import Array, Value
from .sum_positions import SumPositions

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class AddBias(Operation):
    """``x`` (channels, ...) plus ``b`` (channels,) at every position of every sample."""

    operands: ClassVar[tuple[str, ...]] = ("x", "b")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        x, b = inputs
        need(x.batched and len(x.shape) > 0, f"x has to be (batch, channels, ...), but {x.name} is {x.size}")
        per_channel("b", b, x.shape[0])
        return (Result(x.shape),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        x, b = inputs
        return (x + b.reshape(-1, *[1] * (x.ndim - 2)),)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return dy if position == 0 else builder.add(SumPositions(), dy)
