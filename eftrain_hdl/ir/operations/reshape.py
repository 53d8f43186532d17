"""Other axes for the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from ..errors import need
from ..operation import Operation, Result
from ..values import Array, Shape, Value

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class Reshape(Operation):
    """Every sample of ``x`` with the axes ``shape``; the numbers keep their order, the last axis is the fastest."""

    shape: Shape
    operands: ClassVar[tuple[str, ...]] = ("x",)

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        (x,) = inputs
        need(x.batched, f"x has to be a batch, but {x.name} is {x.size}")
        need(prod(x.shape) == prod(self.shape), f"{x.name} {x.size} has not as many elements as shape={self.shape}")
        return (Result(self.shape),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        (x,) = inputs
        return (x.reshape(-1, *self.shape),)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return builder.add(Reshape(node.inputs[0].shape), dy)
