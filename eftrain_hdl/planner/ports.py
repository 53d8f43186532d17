"""What the ports of an accelerator and the memory behind them do, in its own cycles."""

from __future__ import annotations

from dataclasses import dataclass

from eftrain_hdl.config import Config
from eftrain_hdl.planner.dram import MemoryModel

__all__ = ["DEFAULT_PORTS", "PortTiming", "port_timing"]

_SIZES = (64, 128, 192)
"""Upper limits, in bytes, of the columns of the memory's tables but for the last."""


@dataclass(frozen=True)
class PortTiming:
    """Rates and latencies of the ports.

    Attributes
    ----------
    read_latency, write_latency : float
        Cycles from an address to its first beat, and from the last beat to its response.
    read_rate, write_rate : float
        Beats per cycle of one port.
    read_total, write_total, mixed_total : float
        Beats per cycle of all ports together: reads, writes, and both while both are active.
    burst_beats : int
        Longest burst.
    """

    read_latency: float = 34
    write_latency: float = 24
    read_rate: float = 1.0
    write_rate: float = 1.0
    read_total: float = 4.0
    write_total: float = 4.0
    mixed_total: float = 8.0
    burst_beats: int = 8


DEFAULT_PORTS = PortTiming()
"""Ports that deliver a beat a cycle: what the compiler plans for, whatever memory the program meets."""


def port_timing(memory: MemoryModel, config: Config, clock_mhz: float, burst_bytes: int = 128) -> PortTiming:
    """The ports of a configuration before a memory, from the memory's latencies, request spacing and ceilings."""
    cycle_ns = 1000 / clock_mhz
    size = min(burst_bytes, memory.split_bytes)
    column = sum(size > limit for limit in _SIZES)
    beats_gb = config.beat_bytes * clock_mhz / 1000
    readers = min(3, config.ports) - (config.ports > 1)
    writers = 1

    def ports(table: tuple[tuple[float, ...], ...], count: int, unlimited: float) -> float:
        row = _row(memory, count)
        ceiling = table[row][column]
        return ceiling / beats_gb if ceiling else unlimited

    def rate(spacing: float) -> float:
        requests = size / config.beat_bytes / max(spacing, 1e-9) * cycle_ns
        return min(1.0, requests)

    in_flight = min(config.outstanding, memory.in_flight) * size / config.beat_bytes
    read_latency = memory.read_latency_ns / cycle_ns
    return PortTiming(
        read_latency=read_latency,
        write_latency=memory.write_latency_ns / cycle_ns,
        read_rate=min(rate(memory.read_spacing_ns), in_flight / (read_latency + _TURNAROUND)),
        write_rate=rate(memory.write_spacing_ns),
        read_total=ports(memory.read_ceiling, readers, 4.0),
        write_total=ports(memory.write_ceiling, writers, 4.0),
        mixed_total=ports(memory.mixed_ceiling, max(config.ports, 1), 8.0),
        burst_beats=max(1, burst_bytes // config.beat_bytes),
    )


_TURNAROUND = 8
"""Cycles that a burst takes through arbiter and DMA besides the memory's latency."""


def _row(memory: MemoryModel, count: int) -> int:
    """Row of the tables for the first ``count`` ports."""
    used = set(memory.hp[:count])
    both = {1, 2} <= used
    return {1: 0, 2: 2 if both else 1, 3: 4 if both else 3, 4: 5}[count]
