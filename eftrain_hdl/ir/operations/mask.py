"""Gradient of the rectifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..operation import Operation, Result
from ..rules import same
from ..values import Array, Value


@dataclass(frozen=True)
class Mask(Operation):
    """``dy`` where ``y`` > 0, else 0: where ``y`` is 0 or NaN no gradient passes, as on the accelerator.

    PyTorch lets the gradient of a NaN pass.
    """

    operands: ClassVar[tuple[str, ...]] = ("dy", "y")

    def results(self, inputs: tuple[Value, ...]) -> tuple[Result, ...]:
        dy, y = inputs
        return (same("dy", dy, "y", y),)

    def evaluate(self, inputs: tuple[Array, ...], scalars: Array) -> tuple[Array, ...]:
        dy, y = inputs
        return (np.where(y > 0, dy, dy.dtype.type(0)),)
