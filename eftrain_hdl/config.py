"""The configuration of one accelerator: sizes chosen by the user, checked, and what follows from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

from eftrain_hdl import checks
from eftrain_hdl.numerics import FP32, MAX_WINDOW, MIN_WINDOW, FloatFormat

__all__ = ["Config", "ConfigError"]

_MOST_MACS = 1 << 14


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names the parameter and its value."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True)
class Config:
    """Sizes of one accelerator.

    Parameters
    ----------
    rows : int
        Tm, outputs per cycle. A multiple or a divisor of ``lanes``, and a multiple of the vector lanes; with ``lanes``
        at most 16,384 multiply-accumulates.
    lanes : int
        Tn, products summed per row per cycle, and the channel tile of every DRAM layout. A power of two, 2 to 64.
    operand : FloatFormat
        Format of both operands of the array; DRAM, accumulators and vector unit are FP32.
    window : int or None
        Alignment window of the fused dot product in bits; ``None`` takes the format's default.
    data_width : int or None
        Bits of an AXI port: 32, 64, 128 or 256; ``None`` takes 128, or less where rows or lanes are fewer than 4.
    ports : int
        AXI managers, 1 to 4. The units share them in this order: 1: all; 2: loads and commands, stores;
        3: streaming loads, other loads and commands, stores; 4: commands apart.
    address_width : int
        Bits of a DRAM address.
    streaming_depth, stationary_depth : int
        Lane vectors held by the streaming and the stationary buffer.
    accumulator_depth : int
        Words of one accumulator bank; 0 takes 1024, times lanes / rows (up to 32768) where there are fewer rows than
        lanes: a channel tile then needs as many times the words.
    accumulator_banks : int
        Banks of each row, 2 or 4. One is summed up while others are drained; with 4, the array need not wait for the
        latency of a drain where both take equally long.
    operand_depth : int
        Beats (``data_width`` bits) in each of the vector unit's three operand memories.
    outstanding : int
        Bursts each DMA engine keeps in flight.
    axi3 : bool
        Bursts of at most 16 beats, for the AXI3 ports of the Zynq-7000.

    Raises ConfigError, which names the parameter, for values of the wrong type or size.
    """

    rows: int = 16
    lanes: int = 16
    operand: FloatFormat = FP32
    window: int | None = None
    data_width: int | None = None
    ports: int = 1
    address_width: int = 40
    streaming_depth: int = 4096
    stationary_depth: int = 4096
    accumulator_depth: int = 0
    accumulator_banks: int = 4
    operand_depth: int = 2048
    outstanding: int = 8
    axi3: bool = False

    def __post_init__(self) -> None:
        self._check_types()
        if not (_is_power_of_two(self.lanes) and 2 <= self.lanes <= 64):
            raise ConfigError(f"lanes must be a power of two from 2 to 64, not {checks.shown(self.lanes)}")
        if self.rows < 1 or (self.rows % self.lanes and self.lanes % self.rows):
            raise ConfigError(f"rows must be a multiple or a divisor of lanes ({self.lanes}), not {self.rows}")
        if self.macs > _MOST_MACS:
            raise ConfigError(
                f"rows={checks.shown(self.rows)}: with lanes={self.lanes} at most {_MOST_MACS // self.lanes}: an array "
                f"of more than {_MOST_MACS:,} multiply-accumulates has more multipliers than any FPGA"
            )
        if self.window is not None and not MIN_WINDOW <= self.window <= MAX_WINDOW:
            raise ConfigError(f"window must be {MIN_WINDOW} to {MAX_WINDOW} bits, not {self.window}")
        if self.data_width is None:
            object.__setattr__(self, "data_width", 32 * min(4, self.rows & -self.rows, self.lanes))
        if self.data_width not in (32, 64, 128, 256):
            raise ConfigError(f"data_width must be 32, 64, 128 or 256, not {self.data_width}")
        if self.lanes % self.vector_lanes or self.rows % self.vector_lanes:
            raise ConfigError(
                f"data_width {self.data_width} carries {self.vector_lanes} words a beat, "
                f"which must divide rows ({self.rows}) and lanes ({self.lanes})"
            )
        if not 1 <= self.ports <= 4:
            raise ConfigError(f"ports must be 1 to 4, not {self.ports}")
        if not 32 <= self.address_width <= 49:
            raise ConfigError(f"address_width must be 32 to 49, not {self.address_width}")
        if self.accumulator_depth == 0:
            object.__setattr__(self, "accumulator_depth", min(1 << 15, 1024 * max(1, self.lanes // self.rows)))
        for name, least, most in (
            ("streaming_depth", 64, 1 << 16),
            ("stationary_depth", 64, 1 << 16),
            ("accumulator_depth", 32, 1 << 15),
            ("operand_depth", 64, 1 << 15),
        ):
            value = getattr(self, name)
            if not (_is_power_of_two(value) and least <= value <= most):
                raise ConfigError(f"{name} must be a power of two from {least} to {most}, not {value}")
        if self.accumulator_banks not in (2, 4):
            raise ConfigError(f"accumulator_banks must be 2 or 4, not {self.accumulator_banks}")
        if not 1 <= self.outstanding <= 32:
            raise ConfigError(f"outstanding must be 1 to 32, not {self.outstanding}")

    def _check_types(self) -> None:
        """ConfigError unless every value is of its type; integers of other libraries become plain ones."""
        try:
            checks.check_kind("operand", self.operand, FloatFormat, "a FloatFormat such as FP32 or BF16")
            checks.boolean("axi3", self.axi3)
            for field in fields(self):
                value = getattr(self, field.name)
                if field.name in ("operand", "axi3") or (value is None and field.name in ("window", "data_width")):
                    continue
                least = 0 if field.name == "accumulator_depth" else 1
                object.__setattr__(self, field.name, checks.integer(field.name, value, least))
        except (TypeError, ValueError) as error:
            raise ConfigError(str(error)) from None

    @property
    def vector_lanes(self) -> int:
        """FP32 words in a beat: the lanes of the vector unit."""
        assert self.data_width is not None
        return self.data_width // 32

    @property
    def beat_bytes(self) -> int:
        """Bytes of one AXI beat."""
        return 4 * self.vector_lanes

    @property
    def vector_beats(self) -> int:
        """Beats of one lane vector in DRAM."""
        return self.lanes // self.vector_lanes

    @property
    def vector_bytes(self) -> int:
        """Bytes of one lane vector in DRAM."""
        return 4 * self.lanes

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle."""
        return self.rows * self.lanes

    def as_dict(self) -> dict[str, int | str | bool | None]:
        """Plain values, for JSON and for comparing a plan with hardware."""
        return {f.name: (self.operand.name if f.name == "operand" else getattr(self, f.name)) for f in fields(self)}

    @property
    def digest(self) -> int:
        """32-bit hash of the configuration, readable in the CONFIGURATION register."""
        text = ",".join(f"{name}={value}" for name, value in sorted(self.as_dict().items()))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
