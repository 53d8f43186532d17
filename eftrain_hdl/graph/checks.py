"""Argument checks that the layer classes share. ``owner`` is the class name that the messages start with."""

import math
from typing import Any

import numpy as np

from eftrain_hdl import checks
from eftrain_hdl.ir.windows import Pair

from .errors import GraphError


def integer(owner: str, name: str, value: Any, minimum: int) -> int:
    """``value`` as an int. Raises TypeError unless it is an integer (bool is not), GraphError below ``minimum``."""
    return checks.integer(f"{owner}: {name}", value, minimum, error=GraphError)


def pair(owner: str, name: str, value: Any, minimum: int) -> Pair:
    """``value`` as (height, width): an int stands for both. Raises as `integer` does."""
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise TypeError(f"{owner}: {name}={checks.shown(value)}: expected an int or a pair (height, width) of ints")
    height, width = (integer(owner, name, side, minimum) for side in value)
    return height, width


def rate(owner: str, name: str, value: Any) -> float:
    """``value`` as a float. Raises TypeError unless it is a real number, GraphError unless finite and >= 0."""
    try:
        if isinstance(value, (bool, np.bool_, str, bytes, bytearray)) or np.ndim(value):
            raise TypeError
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: {name}={checks.shown(value)}: expected a number") from None
    if not math.isfinite(number) or number < 0:
        raise GraphError(f"{owner}: {name}={checks.shown(value)}: must be finite and not negative")
    return number


def single(owner: str, name: str, value: Any) -> float:
    """`rate`, of which FP32 without subnormals is left: GraphError if it would become infinite or vanish."""
    number = rate(owner, name, value)
    with np.errstate(over="ignore"):
        held = np.float32(number)
    if not np.isfinite(held) or number and held < np.finfo(np.float32).tiny:
        given = f"{owner}: {name}={checks.shown(value)}"
        raise GraphError(f"{given}: FP32 cannot hold it: expected 0, or 1.18e-38 to 3.4e38")
    return number
