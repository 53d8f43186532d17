"""The structures that the C++ model of the DRAM takes and gives."""

from __future__ import annotations

import ctypes

from eftrain_hdl.planner.dram import MemoryModel

__all__ = ["Config", "PORT_STATISTICS", "PortStats", "memory_config"]

MAX_PORTS = 4
_CLASSES = 6
_SIZES = 4


_Table = (ctypes.c_double * _SIZES) * _CLASSES


class Config(ctypes.Structure):
    """``eft::Config`` of csrc/dram.h."""

    _fields_ = [
        ("dram_bytes", ctypes.c_uint64),
        *((name, ctypes.c_double) for name in (
            "clock_mhz", "read_latency_ns", "write_latency_ns", "read_spacing_ns", "write_spacing_ns", "row_miss_ns",
            "refresh_interval_ns", "refresh_ns")),
        ("read_requests", ctypes.c_double * _CLASSES),
        ("write_requests", ctypes.c_double * _CLASSES),
        *((name, _Table) for name in ("read_ceiling", "write_ceiling", "mixed_ceiling", "write_share")),
        *((name, ctypes.c_uint32) for name in ("ports", "beat_bytes", "in_flight", "split_bytes", "fifo_bytes")),
        ("hp", ctypes.c_uint32 * MAX_PORTS),
    ]


PORT_STATISTICS = ("read_bytes", "write_bytes", "read_bursts", "write_bursts", "read_requests", "write_requests",
                   "row_misses", "ar_stalls", "aw_stalls", "w_stalls", "r_stalls")


class PortStats(ctypes.Structure):
    """``eft::PortStats`` of csrc/dram.h: totals of one port since the model was created."""

    _fields_ = [(name, ctypes.c_uint64) for name in PORT_STATISTICS]


def memory_config(model: MemoryModel, *, dram_bytes: int, clock_mhz: float, ports: int, data_width: int) -> Config:
    """Build the structure that the C++ model takes.

    Raises ``ValueError`` for a size, clock, port count or width that the model does not cover.
    """
    if not 4096 <= dram_bytes <= 1 << 40:
        raise ValueError(f"dram_bytes must lie between 4096 and 2**40, not {dram_bytes!r}")
    if not clock_mhz > 0:
        raise ValueError(f"clock_mhz must be positive, not {clock_mhz!r}")
    if not 1 <= ports <= MAX_PORTS:
        raise ValueError(f"ports must lie between 1 and {MAX_PORTS}, not {ports!r}")
    if data_width not in (32, 64, 128, 256):
        raise ValueError(f"data_width must be 32, 64, 128 or 256, not {data_width!r}")
    config = Config(dram_bytes=dram_bytes, clock_mhz=clock_mhz, ports=ports, beat_bytes=data_width // 8)
    for name in ("read_latency_ns", "write_latency_ns", "read_spacing_ns", "write_spacing_ns", "row_miss_ns",
                 "refresh_interval_ns", "refresh_ns", "in_flight", "split_bytes", "fifo_bytes"):
        setattr(config, name, getattr(model, name))
    for name in ("read_requests", "write_requests", "hp"):
        getattr(config, name)[:] = getattr(model, name)
    for name in ("read_ceiling", "write_ceiling", "mixed_ceiling", "write_share"):
        for row, values in zip(getattr(config, name), getattr(model, name), strict=True):
            row[:] = values
    return config
