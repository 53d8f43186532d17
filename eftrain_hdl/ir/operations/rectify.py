"""The rectifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..operation import Operation, Result
from ..values import Array, Value
from .mask import Mask

if TYPE_CHECKING:
    from ..builder import GraphBuilder
    from ..graph import Node


@dataclass(frozen=True)
class Rectify(Operation):
    """max(x, 0), element by element; a NaN stays one."""

    operands: ClassVar[tuple[str, ...]] = ("x",)

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        (x,) = inputs
        return (Result(x.shape, x.batched),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        (x,) = inputs
        return (np.maximum(x, 0),)

    def gradient(self, position: int, node: Node, dy: Value, builder: GraphBuilder) -> Value:
        return builder.add(Mask(), dy, node.outputs[0])
