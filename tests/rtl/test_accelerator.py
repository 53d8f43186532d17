# amaranth: UnusedElaboratable=no
"""The whole accelerator but the arithmetic, tested by ``sim/accelerator/bench_accelerator.py`` in two simulators."""

from __future__ import annotations

import pytest

from sim.accelerator.common import CONFIGS
from sim.accelerator.standins import AcceleratorWithStandIns
from sim.runner import run_bench
from sim.simulators import ICARUS, MISSING_ICARUS, VERILATOR, Simulator

ALL = 1 + 2 + 1 + 1 + 12 + 8 + 1


def run(simulator: Simulator, testcase: str | None = None) -> int:
    component, environment = AcceleratorWithStandIns(CONFIGS[1]), {"EFTRAIN_PORTS": "1"}
    bench = "sim.accelerator.bench_accelerator"
    return run_bench(component, bench, testcase=testcase, environment=environment, simulator=simulator)


def test_bench() -> None:
    assert run(VERILATOR) == ALL


@pytest.mark.skipif(not ICARUS["2012"].present, reason=MISSING_ICARUS)
@pytest.mark.parametrize("standard, testcase, tests", [
    ("2012", "identity|interrupt_and_timestamps|copy/stall=0.4", 3),
    *(pytest.param(standard, None, ALL, marks=pytest.mark.full) for standard in ICARUS),
])  # fmt: skip
def test_icarus(standard: str, testcase: str | None, tests: int) -> None:
    """Read as Verilog and as SystemVerilog, which initialise registers at other moments."""
    assert run(ICARUS[standard], testcase) == tests
