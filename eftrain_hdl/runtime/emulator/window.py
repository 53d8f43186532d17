"""Where a transfer leaves the window, without looking at every run of it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BURST_BYTES", "burst_outside", "first_outside"]

BURST_BYTES = 128
"""Longest burst of devices that are opened as usual."""
_PAGE = 4096


def first_outside(start: int, counts: Sequence[int], strides: Sequence[int], low: int, high: int) -> int | None:
    """The first of the starts ``start + sum(i * stride)`` that does not lie in ``low`` to ``high``; level 0 innermost.

    None if all do.
    """
    for level in reversed(range(len(counts))):
        inner = [(count - 1) * stride for count, stride in zip(counts[:level], strides[:level], strict=True)]
        down, up = sum(min(0, end) for end in inner), sum(max(0, end) for end in inner)
        stride = strides[level]
        if start + down < low or start + up > high:
            index = 0
        elif stride > 0:
            index = (high - up - start) // stride + 1
        elif stride < 0:
            index = (start + down - low) // -stride + 1
        else:
            return None
        if index >= counts[level]:
            return None
        start += index * stride
    return start


def burst_outside(start: int, base: int, limit: int, longest: int = BURST_BYTES) -> int:
    """Address of the first burst of a run, of which some lies outside of ``base`` to ``limit - 1``.

    Bursts end at multiples of 4096 and have at most ``longest`` bytes.
    """
    if start < base or start >= limit:
        return start
    first = max(start, limit // _PAGE * _PAGE)
    return first + (limit - first) // longest * longest
