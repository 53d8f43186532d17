"""The model of resources against what Yosys makes of configurations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.resource_model import errors
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16, FP32, FloatFormat
from eftrain_hdl.planner.resources import Resources, estimate_resources, load_figures

BASELINE = Path(__file__).parents[1] / "synthesis" / "baseline.json"


def test_errors_are_as_stated() -> None:
    """docs/model.md states them; each figure is left out of the fit that estimates it."""
    found = [error for _, error in errors()]
    for name, mean, worst in (("lut", 0.03, 0.13), ("ff", 0.03, 0.14), ("dsp", 0.0, 0.0), ("bram36", 0.0, 0.0)):
        values = np.abs([error[name] for error in found])
        assert values.mean() <= mean and values.max() <= worst, name


def test_figures_are_those_of_the_baseline() -> None:
    """Stored figures go out of date when the gateware changes: tests/synthesis holds the baseline to it."""
    baseline = json.loads(BASELINE.read_text())["accelerator-4x4"]
    figures = {(config.rows, config.lanes): used for config, used in load_figures()[1]}
    used = figures[4, 4]
    lut = baseline["lc"] + baseline["lutram"] + baseline["srl"]
    assert used.lut == pytest.approx(lut, rel=0.1) and used.ff == pytest.approx(baseline["ff"], rel=0.1)
    assert (used.dsp, used.bram36) == (baseline["dsp"], baseline["bram36"])


@pytest.mark.parametrize("operand", [FP32, BF16])
def test_more_of_anything_takes_more(operand: FloatFormat) -> None:
    small = estimate_resources(Config(rows=8, lanes=8, operand=operand))
    for change in ({"rows": 16}, {"lanes": 16, "rows": 16}, {"streaming_depth": 16384}, {"accumulator_depth": 4096}):
        larger = estimate_resources(Config(**({"rows": 8, "lanes": 8, "operand": operand} | change)))
        assert all(getattr(larger, name) >= value for name, value in vars(small).items())
        assert larger != small


def test_a_format_without_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="no figures of rows with operands of fp8; there are .*fp32"):
        estimate_resources(Config(operand=FloatFormat(4, 3, "fp8")))


def test_fractions() -> None:
    used = Resources(10, 20, 30, 40).fractions(Resources(100, 100, 100, 100))
    assert used == {"lut": 0.1, "ff": 0.2, "dsp": 0.3, "bram36": 0.4}
