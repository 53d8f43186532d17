"""What the ports of an accelerator and the memory behind them do, in its own cycles."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from eftrain_hdl.checks import check_kind, integer
from eftrain_hdl.config import Config
from eftrain_hdl.planner.dram import MemoryModel, check_clock, size_column

__all__ = ["DEFAULT_PORTS", "PortTiming", "port_timing"]

_PORTS = {1: ({0}, {0}), 2: ({0}, {1}), 3: ({0, 1}, {2}), 4: ({0, 1}, {2})}
"""Ports for loads and for stores; the fourth one only reads programs."""

_TURNAROUND = 8
"""Cycles that a burst takes through arbiter and DMA besides the memory's latency."""


@dataclass(frozen=True)
class PortTiming:
    """Rates and latencies of the ports.

    Attributes
    ----------
    read_latency, write_latency : float
        Cycles from an address to its first beat, and from the last beat to its response.
    read_rate, write_rate : float
        Beats per cycle of one port.
    burst_beats : int
        Longest burst.
    read_limit, write_limit : float
        Beats per cycle of all ports together while the memory only reads or only writes.
    mixed_limit, write_share : float
        Beats per cycle of both directions together while the memory does both, and the fraction of them that writes get
        at least if they want it.
    credit : float
        Beats that the memory grants a direction at once after a pause, whatever the ceilings.
    """

    read_latency: float = 34
    write_latency: float = 24
    read_rate: float = 1.0
    write_rate: float = 1.0
    burst_beats: int = 8
    read_limit: float = inf
    write_limit: float = inf
    mixed_limit: float = inf
    write_share: float = 0.5
    credit: float = 0.0


DEFAULT_PORTS = PortTiming()
"""Ports that deliver a beat a cycle: what the compiler plans for, whatever memory the program meets."""


def port_timing(memory: MemoryModel, config: Config, clock_mhz: float, burst_bytes: int = 128) -> PortTiming:
    """The ports of a configuration before a memory: latencies, request spacing, and the memory's ceilings for the ports
    that the configuration reads and writes through.
    """
    check_kind("memory", memory, MemoryModel, "a MemoryModel such as memory_model('zcu102') returns")
    check_kind("config", config, Config, "a Config(rows=..., lanes=...)")
    burst_bytes = integer("burst_bytes", burst_bytes, 1, 4096)
    cycle_ns = 1000 / check_clock(clock_mhz)
    size = min(burst_bytes, memory.split_bytes)

    def rate(spacing: float) -> float:
        requests = size / config.beat_bytes / max(spacing, 1e-9) * cycle_ns
        return min(1.0, requests)

    def limit(ceiling: float) -> float:
        return ceiling * cycle_ns / config.beat_bytes if ceiling else inf

    reading, writing = _PORTS[config.ports]
    column = size_column(size)
    read_set, write_set, both = (memory.port_set(used) for used in (reading, writing, reading | writing))
    in_flight = min(config.outstanding, memory.in_flight) * size / config.beat_bytes
    read_latency = memory.read_latency_ns / cycle_ns
    return PortTiming(
        read_latency=read_latency,
        write_latency=memory.write_latency_ns / cycle_ns,
        read_rate=min(rate(memory.read_spacing_ns), in_flight / (read_latency + _TURNAROUND)),
        write_rate=rate(memory.write_spacing_ns),
        burst_beats=max(1, burst_bytes // config.beat_bytes),
        read_limit=limit(memory.read_ceiling[read_set][column]),
        write_limit=limit(memory.write_ceiling[write_set][column]),
        mixed_limit=limit(memory.mixed_ceiling[both][column]),
        write_share=memory.write_share[both][column],
        credit=2 * memory.split_bytes / config.beat_bytes,
    )
