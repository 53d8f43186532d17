"""Sum of two values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..operation import Operation, Result
from ..rules import same
from ..values import Array, Value

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class Add(Operation):
    """``a`` + ``b``, which are of one shape: a residual sum, or that of two gradients."""

    operands: ClassVar[tuple[str, ...]] = ("a", "b")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        a, b = inputs
        return (same("a", a, "b", b),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        a, b = inputs
        return (a + b,)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return dy
