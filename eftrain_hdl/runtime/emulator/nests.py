"""Loop nests as arrays, and the fields they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import Instruction, strides
from eftrain_hdl.registers import ErrorCode

from .state import MOST_WORK, Fault, wrap

__all__ = ["at_least_one", "nest_counts", "nest_values"]


def at_least_one(instruction: Instruction, names: Sequence[str]) -> list[int]:
    """Values of count fields; ``Fault`` if one is zero."""
    values = [instruction[name] for name in names]
    for name, value in zip(names, values, strict=True):
        if value == 0:
            raise Fault(ErrorCode.BAD_FIELD, f"{name} is zero")
    return values


def nest_counts(instruction: Instruction, prefix: str, levels: int) -> list[int]:
    """Counts of a nest, level 0 first."""
    return at_least_one(instruction, [f"{prefix}{k}_count" for k in range(levels)])


def nest_values(
    instruction: Instruction, prefix: str, counts: Sequence[int], quantity: str, base: int, bits: int
) -> NDArray[np.int64]:
    """Value of a quantity for every index of a nest, level 0 fastest; of a very long one only for the first."""
    stride = strides(counts, [instruction[f"{prefix}{k}_{quantity}"] for k in range(len(counts))])
    values = np.array([base], np.int64)
    for count, step in zip(counts, stride, strict=True):
        count = min(count, -(-MOST_WORK // len(values)))
        step %= 1 << bits  # products of huge counts do not fit an int64
        values = (np.arange(count, dtype=np.int64)[:, None] * step + values[None]).ravel()[:MOST_WORK]
    return wrap(values, bits)
