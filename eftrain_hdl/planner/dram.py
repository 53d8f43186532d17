"""What the processing system's ports and DRAM do, by board: figures for the simulator and for the timing model."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from eftrain_hdl import checks

__all__ = ["LEAST_MHZ", "MEMORY_MODELS", "MOST_MHZ", "MemoryModel", "check_clock", "memory_model", "size_column"]

LEAST_MHZ, MOST_MHZ = 1.0, 1000.0
"""Clocks that there are models for: no FPGA runs such logic faster, and nobody would run it more slowly."""

_SIZE_LIMITS = (96, 160, 224)
"""Between the columns of the tables, in bytes."""

Row = tuple[float, float, float, float]
Table = tuple[Row, Row, Row, Row, Row, Row]
PerClass = tuple[float, float, float, float, float, float]

_MOST_NS = 1e6
_MOST_RATE = 1e6
_MOST_IN_FLIGHT, _MOST_SPLIT, _MOST_FIFO = 1 << 16, 1 << 20, 1 << 24

_UNLIMITED: PerClass = (0.0,) * 6
_NO_CEILING: Table = ((0.0,) * 4,) * 6


def _uniform(value: float) -> Table:
    return ((value,) * 4,) * 6


def _capped(table: Table, ceiling: float) -> Table:
    return tuple(tuple(min(v, ceiling) if v else ceiling for v in row) for row in table)  # type: ignore[return-value]


def size_column(request_bytes: float) -> int:
    """Column of the tables for a mean request size."""
    return sum(request_bytes > limit for limit in _SIZE_LIMITS)


def _check_rates(name: str, values: Any, count: int, most: float = _MOST_RATE) -> None:
    if not isinstance(values, (tuple, list)) or len(values) != count:
        raise TypeError(f"{name}={checks.shown(values)}: expected {count} numbers")
    for value in values:
        checks.number(name, value, 0, most)


@dataclass(frozen=True)
class MemoryModel:
    """What the processing system's ports and DRAM can do; the clock and width are the accelerator's.

    Tables have a row for each set of active ports (one; two; HP1 with HP2; three; three with both HP1 and HP2; four)
    and a column for each mean request size (up to 64 bytes, 128, 192, more). A rate or ceiling of 0 is unlimited.

    Parameters
    ----------
    name
        Key in :data:`MEMORY_MODELS`.
    read_latency_ns, write_latency_ns
        From the address handshake to the first data beat, and from the last data beat to the response, of a lone burst.
    read_spacing_ns, write_spacing_ns
        Least time between two requests of one port.
    row_miss_ns
        Added to latency and spacing of a request that neither continues its port's stream nor meets an open row.
    in_flight
        Requests outstanding for each port and direction, and commands queued before them.
    split_bytes
        Bursts are cut into requests of at most this size, counted from their start.
    fifo_bytes
        Data held for each port and direction.
    read_requests, write_requests
        Million requests per second of all ports together, by set of ports.
    read_ceiling, write_ceiling
        GB/s (decimal) of all ports together while only that direction is active.
    mixed_ceiling
        GB/s of both directions together while both are active.
    write_share
        Fraction of ``mixed_ceiling`` that writes get when reads want all they can have. 0 starves writes.
    refresh_interval_ns, refresh_ns
        Every interval no request is issued for this long; 0 leaves refresh inside the ceilings.
    hp
        Which HP port each accelerator port is wired to by default.

    Raises TypeError or ValueError, which names the parameter, for anything else.
    """

    name: str
    read_latency_ns: float
    write_latency_ns: float
    read_spacing_ns: float = 0.0
    write_spacing_ns: float = 0.0
    row_miss_ns: float = 0.0
    in_flight: int = 8
    split_bytes: int = 256
    fifo_bytes: int = 2048
    read_requests: PerClass = _UNLIMITED
    write_requests: PerClass = _UNLIMITED
    read_ceiling: Table = _NO_CEILING
    write_ceiling: Table = _NO_CEILING
    mixed_ceiling: Table = _NO_CEILING
    write_share: Table = field(default_factory=lambda: _uniform(0.5))
    refresh_interval_ns: float = 0.0
    refresh_ns: float = 0.0
    hp: tuple[int, int, int, int] = (0, 1, 3, 2)

    def __post_init__(self) -> None:
        checks.check_kind("name", self.name, str, "a text")
        integers = (
            ("in_flight", 1, _MOST_IN_FLIGHT), ("split_bytes", 32, _MOST_SPLIT), ("fifo_bytes", 32, _MOST_FIFO)
        )  # fmt: skip
        for name, least, most in integers:
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), least, most))
        for name in self.__dataclass_fields__:
            if name.endswith("_ns"):
                checks.number(name, getattr(self, name), 0, _MOST_NS)
            elif name.endswith("_requests"):
                _check_rates(name, getattr(self, name), 6)
            elif name.endswith(("_ceiling", "_share")):
                rows = getattr(self, name)
                if not isinstance(rows, (tuple, list)) or len(rows) != 6:
                    raise TypeError(f"{name}={checks.shown(rows)}: expected six rows of four numbers")
                for row in rows:
                    _check_rates(name, row, 4, 1 if name == "write_share" else _MOST_RATE)
        if self.split_bytes & (self.split_bytes - 1):
            raise ValueError(f"split_bytes={self.split_bytes}: must be a power of two")
        if self.fifo_bytes < self.split_bytes:
            raise ValueError(f"fifo_bytes={self.fifo_bytes}: must hold a request of {self.split_bytes} bytes")
        if not isinstance(self.hp, (tuple, list)) or set(self.hp) != {0, 1, 2, 3} or len(self.hp) != 4:
            raise ValueError(f"hp={checks.shown(self.hp)}: must name the ports 0 to 3 once each")

    def port_set(self, ports: Collection[int]) -> int:
        """Row of the tables for some of the accelerator's ports."""
        both = {1, 2} <= {self.hp[port] for port in ports}
        return {1: 0, 2: 2 if both else 1, 3: 4 if both else 3, 4: 5}[len(ports)]

    def with_(self, **changes: object) -> "MemoryModel":
        """Return a copy with some parameters replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


# Figures: Manev, Vaishnav, Koch, FPT 2019 (10.1109/ICFPT47387.2019.00029), direct connection, 300 MHz, 128-bit ports.
# A latency follows from the rate of short requests with eight of them in flight: it was not measured by itself.
_ZCU102 = MemoryModel(
    name="zcu102",
    read_latency_ns=110, write_latency_ns=60,
    read_spacing_ns=13.7, write_spacing_ns=7.5,
    # Fitted to the reads of the non-sequential rows; tRP + tRCD of the DDR4 preset is 28 ns.
    row_miss_ns=22,
    read_requests=(0, 0, 85, 205, 112, 132),
    write_requests=(0, 260, 240, 260, 260, 250),
    read_ceiling=(
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (8.00, 7.85, 7.93, 8.13),
        (14.15, 14.15, 13.97, 7.17),
        (10.50, 10.55, 10.38, 10.05),
        (12.15, 12.15, 10.06, 8.29),
    ),
    write_ceiling=(
        (0, 0, 0, 0),
        (8.30, 9.53, 9.48, 9.59),
        (5.65, 6.15, 7.72, 7.74),
        (13.94, 14.38, 14.36, 14.15),
        # No figure for three ports with both HP1 and HP2: taken from four.
        (9.67, 10.92, 12.00, 11.94),
        (9.67, 10.92, 12.00, 11.94),
    ),
    mixed_ceiling=(
        (7.98, 9.33, 7.57, 7.18),
        (8.18, 11.58, 10.66, 10.87),
        (5.15, 6.42, 7.25, 7.82),
        (11.32, 12.43, 13.73, 7.17),
        (8.38, 11.37, 10.15, 8.32),
        (8.38, 11.37, 10.15, 8.32),
    ),
    write_share=(
        (0.60, 0.51, 0.40, 0.36),
        (0.54, 0.42, 0.14, 0.15),
        (0.38, 0.14, 0.04, 0.02),
        (0.48, 0.14, 0.02, 0.00),
        (0.10, 0.02, 0.00, 0.00),
        (0.10, 0.02, 0.00, 0.00),
    ),
)

_MODELS = (
    _ZCU102,
    MemoryModel(
        name="ultra96",
        read_latency_ns=198, write_latency_ns=123,
        read_spacing_ns=24.8, write_spacing_ns=13,
        row_miss_ns=41,
        read_requests=(0, 60, 60, 60, 60, 60),
        read_ceiling=_uniform(3.94),
        write_ceiling=_uniform(3.95),
        # One of HP1 to HP3; several ports were measured in one direction only.
        mixed_ceiling=((3.43, 3.34, 3.34, 3.34),) * 6,
        write_share=((0.70, 0.50, 0.50, 0.50),) * 6,
        hp=(1, 3, 2, 0),
    ),
    # Assumed to behave like the ZCU102, below its own DRAM's ceilings: nobody has published a measurement.
    _ZCU102.with_(
        name="kv260",
        read_ceiling=_capped(_ZCU102.read_ceiling, 14.0),
        write_ceiling=_capped(_ZCU102.write_ceiling, 14.0),
        mixed_ceiling=_capped(_ZCU102.mixed_ceiling, 13.5),
    ),
    # Latency assumed; ceilings from the efficiency table of UG585; shares assumed even. HP0 and HP1 share a port of the
    # DRAM controller, HP2 and HP3 another.
    MemoryModel(
        name="zynq7020",
        read_latency_ns=150, write_latency_ns=150,
        split_bytes=128, fifo_bytes=1024,
        read_ceiling=_uniform(1.8), write_ceiling=_uniform(1.8), mixed_ceiling=_uniform(1.7),
        hp=(0, 2, 1, 3),
    ),
    # As fast as the ports: what the accelerator could do if memory were no limit.
    MemoryModel(
        name="ideal",
        read_latency_ns=20, write_latency_ns=20,
        in_flight=64, split_bytes=4096, fifo_bytes=65536,
    ),
)

MEMORY_MODELS: dict[str, MemoryModel] = {model.name: model for model in _MODELS}
"""The models by name."""


def memory_model(name: str) -> MemoryModel:
    """Return the model called ``name``; ``ValueError`` names the choices."""
    return MEMORY_MODELS[checks.choice("memory", name, MEMORY_MODELS)]


def check_clock(clock_mhz: float) -> float:
    """``clock_mhz``: TypeError or ValueError unless it is a clock that an accelerator can have."""
    why = "no accelerator in an FPGA runs at such a clock"
    return checks.number("clock_mhz", clock_mhz, LEAST_MHZ, MOST_MHZ, why=why)
