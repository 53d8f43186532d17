"""What a configuration takes of an FPGA, by a model fitted to what Yosys makes of some."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from eftrain_hdl.checks import check_kind
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16, FP16, FP32, TF32

_FORMATS = (FP32, BF16, FP16, TF32)

__all__ = ["Resources", "estimate_resources", "fit", "load_figures", "operand_formats"]


@dataclass(frozen=True)
class Resources:
    """LUTs (as logic, memory and shift registers), flip-flops, DSP blocks, RAM blocks of 36 Kb."""

    lut: float
    ff: float
    dsp: float
    bram36: float

    def fractions(self, board: Resources) -> dict[str, float]:
        """Share of what a board has, by name."""
        return {field.name: getattr(self, field.name) / getattr(board, field.name) for field in fields(self)}


@dataclass(frozen=True)
class _Measured:
    """What Yosys made of some configurations."""

    rows: Mapping[str, Mapping[int, Resources]]
    """One row of the array, by operand format and lanes."""
    rest: Mapping[str, Sequence[float]]
    """LUTs and flip-flops of everything but the rows: coefficients of `_features`."""


def load_figures() -> tuple[list[tuple[Config, Resources]], list[tuple[Config, Resources]]]:
    """What was synthesised: single rows of the array, and whole accelerators (``benchmarks/resource_model.py``)."""
    text = resources.files(__package__).joinpath("resources.json").read_text()
    rows, whole = (
        [(_config(entry["config"]), Resources(**entry["used"])) for entry in entries]
        for entries in (json.loads(text)[name] for name in ("rows", "accelerators"))
    )
    return rows, whole


def _config(values: Mapping[str, Any]) -> Config:
    return Config(**{**values, "operand": next(one for one in _FORMATS if one.name == values["operand"])})


def operand_formats() -> list[str]:
    """Names of the operand formats that there are figures for."""
    return list(_measured().rows)


@lru_cache
def _measured() -> _Measured:
    single, whole = load_figures()
    return fit(single, whole)


def fit(single: Sequence[tuple[Config, Resources]], whole: Sequence[tuple[Config, Resources]]) -> _Measured:
    """The model of figures as `load_figures` gives them; the rest by least squares."""
    rows: dict[str, dict[int, Resources]] = {}
    for config, used in single:
        rows.setdefault(config.operand.name, {})[config.lanes] = used
    matrix = np.array([_features(config) for config, _ in whole])
    rest = {
        name: np.linalg.lstsq(
            matrix,
            np.array([
                getattr(used, name) - config.rows * getattr(_row(rows[config.operand.name], config.lanes), name)
                for config, used in whole
            ]),
        )[0].tolist()
        for name in ("lut", "ff")
    }  # fmt: skip
    return _Measured(rows, rest)


def _features(config: Config) -> tuple[float, ...]:
    """What LUTs and flip-flops of everything but the rows grow with: the drain of the rows, banks of the buffers and
    the rotation between them, ports, words of a beat.
    """
    return 1, config.rows, config.lanes * config.operand.width / 32, config.ports, config.vector_lanes


def estimate_resources(config: Config, measured: _Measured | None = None) -> Resources:
    """Estimate what a configuration takes on UltraScale+ before place and route.

    Raises ValueError for an operand format that has not been synthesised.
    """
    check_kind("config", config, Config, "a Config(rows=..., lanes=...)")
    measured = measured or _measured()
    if config.operand.name not in measured.rows:
        raise ValueError(
            f"no figures of rows with operands of {config.operand.name}; there are {', '.join(measured.rows)}"
        )
    row = _row(measured.rows[config.operand.name], config.lanes)
    lut, ff = (
        config.rows * getattr(row, name) + float(np.dot(measured.rest[name], _features(config)))
        for name in ("lut", "ff")
    )
    return Resources(lut, ff, _dsp(config), _bram36(config))


def _row(measured: Mapping[int, Resources], lanes: int) -> Resources:
    """By lanes: as measured, or in proportion to the nearest that was."""
    nearest = min(measured, key=lambda other: abs(other - lanes))
    scale = lanes / nearest
    return Resources(*(getattr(measured[nearest], field.name) * scale for field in fields(Resources)))


def _dsp(config: Config) -> float:
    """Two for a product of 24-bit significands, one for smaller ones; the vector unit's multipliers and addresses."""
    product = 2 if config.operand.significand > 18 else 1
    return product * config.macs + 2 + 6 * config.vector_lanes

_BLOCKS = (
    (512, 36, 0.5), (1024, 18, 0.5), (2048, 9, 0.5), (4096, 4, 0.5), (8192, 2, 0.5), (16384, 1, 0.5),
    (1024, 36, 1), (2048, 18, 1), (4096, 9, 1), (8192, 4, 1), (16384, 2, 1), (32768, 1, 1),
)  # fmt: skip
"""Words, bits and size of the shapes that a RAM block can have."""


def _memory(depth: int, width: int) -> float:
    """RAM blocks of a memory."""
    return min(-(-depth // words) * -(-width // bits) * size for words, bits, size in _BLOCKS)


def _bram36(config: Config) -> float:
    width = config.operand.width
    banks = config.rows * config.accumulator_banks * _memory(config.accumulator_depth, 32)
    buffers = sum(_memory(depth, width) for depth in (config.streaming_depth, config.stationary_depth))
    operands = 3 * _memory(config.operand_depth, 32 * config.vector_lanes)
    queues = 3.5 + 3 * config.vector_lanes
    return banks + config.lanes * buffers + operands + queues
