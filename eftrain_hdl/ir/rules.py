"""Rules about operands that several operations share. They raise GraphError with what is broken."""

from __future__ import annotations

from math import prod

from .errors import need
from .operation import Result
from .values import Shape, Value
from .windows import Pair


def map_shape(operand: str, value: Value) -> tuple[int, int, int]:
    """Channels, rows and columns of what has to be a batch of maps."""
    is_map = value.batched and len(value.shape) == 3
    need(is_map, f"{operand} has to be (batch, channels, rows, columns), but {value.name} is {value.size}")
    channels, rows, columns = value.shape
    return channels, rows, columns


def same(first: str, a: Value, second: str, b: Value) -> Result:
    """What has the shape of both."""
    need(
        (a.shape, a.batched) == (b.shape, b.batched),
        f"{first} and {second} have to be of one shape, but {a.name} is {a.size} and {b.name} is {b.size}",
    )
    return Result(a.shape, a.batched)


def per_channel(operand: str, value: Value, channels: int) -> None:
    """``value`` has to have one number for each of ``channels``."""
    fits = not value.batched and value.shape == (channels,)
    need(fits, f"{operand} has to be ({channels},), one for each channel, but {value.name} is {value.size}")


def weight_channels(shape: Shape, kernel: Pair) -> int:
    """Input channels of weights (outputs, ...) that are read as (outputs, channels, kernel height, kernel width)."""
    channels, rest = divmod(prod(shape[1:]), prod(kernel))
    is_weight = len(shape) > 1 and channels > 0 and rest == 0
    need(is_weight, f"w has to be (outputs, ...), channels of {kernel[0]}x{kernel[1]}, but is {shape}")
    return channels


def unbatched(operand: str, value: Value) -> None:
    """``value`` has to be one for all samples."""
    need(not value.batched, f"{operand} has to be one for all samples, but {value.name} is {value.size}")
