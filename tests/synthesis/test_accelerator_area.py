"""Area and logic depth of the gateware: as stored in ``baseline.json``, and of the array within its budget.

After a deliberate change ``python -m tests.synthesis.test_accelerator_area`` measures all designs and renews the
baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16, FP32
from eftrain_hdl.rtl.compute.mac_row import MacRow
from eftrain_hdl.rtl.top import generate_rtlil
from eftrain_hdl.synthesis import SynthesisResult, compare, load_baseline, save_baseline, synthesize

BASELINE = Path(__file__).parent / "baseline.json"
MOST_LEVELS = 8
LC_PER_MAC = {"fp32": 200, "bf16": 110}
DSP_PER_MAC = {"fp32": 2, "bf16": 1}
ROWS = {f"row-{f.name}-16": Config(rows=16, lanes=16, operand=f) for f in (FP32, BF16)}
ACCELERATORS = {"accelerator-4x4": Config(rows=4, lanes=4), "accelerator-16x16": Config(rows=16, lanes=16, ports=3)}
DESIGNS: dict[str, Callable[[], SynthesisResult]] = {
    **{name: lambda config=config: synthesize(MacRow(config)) for name, config in ROWS.items()},  # type: ignore[misc]
    **{name: lambda config=config: synthesize(generate_rtlil(config))  # type: ignore[misc]
       for name, config in ACCELERATORS.items()},
}


def check(name: str) -> SynthesisResult:
    """Synthesise, and hold area and depth against the baseline."""
    result = DESIGNS[name]()
    assert compare(load_baseline(BASELINE)[name], result.figures()) == []
    return result


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    """A row of the array: dot product, stationary registers, accumulators."""
    config = ROWS[name]
    result = check(name)
    assert result.depth <= MOST_LEVELS, [str(path) for path in result.paths[:5]]
    assert result.lc <= LC_PER_MAC[config.operand.name] * config.lanes
    assert result.dsp <= DSP_PER_MAC[config.operand.name] * config.lanes


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] if "16x16" in name else []) for name in ACCELERATORS]
)
def test_accelerator(name: str) -> None:
    """The whole accelerator: no larger and no deeper than before."""
    result = check(name)
    assert result.depth <= MOST_LEVELS, [str(path) for path in result.paths[:5]]


if __name__ == "__main__":
    save_baseline(BASELINE, {name: design().figures() for name, design in DESIGNS.items()})
