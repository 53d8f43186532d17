"""The whole accelerator in cocotb: training steps by ``sim/accelerator/bench_golden_step.py``, in two simulators."""

from __future__ import annotations

import pytest

from eftrain_hdl.runtime.sim import cached_verilog
from sim.accelerator.golden import CONFIGS, NETWORKS, TOP
from sim.runner import run_verilog
from sim.simulators import ICARUS, MISSING_ICARUS, VERILATOR, Simulator

full = pytest.mark.full


def golden_steps(config: str, simulator: Simulator, testcase: str) -> int:
    """Run the tests of the bench whose names match; how many there were."""
    environment = {"EFTRAIN_CONFIG": config}
    text = cached_verilog(CONFIGS[config])
    bench = "sim.accelerator.bench_golden_step"
    return run_verilog(text, TOP, bench, testcase=testcase, environment=environment, simulator=simulator)


@pytest.mark.parametrize("config, testcase, tests", [
    ("fp32", "(linear|planar|stride|pooling)/batch=1", 4),
    pytest.param("fp32", ".*", 2 * len(NETWORKS), marks=full),
    pytest.param("bf16", ".*", 2 * len(NETWORKS), marks=full),
])  # fmt: skip
def test_verilator(config: str, testcase: str, tests: int) -> None:
    assert golden_steps(config, VERILATOR, testcase) == tests


@pytest.mark.skipif(not ICARUS["2012"].present, reason=MISSING_ICARUS)
@pytest.mark.parametrize("config, standard, testcase, tests", [
    ("least", "2012", "least/batch=1", 1),
    ("least", "2005", "least/batch=3", 1),
    *(pytest.param(config, standard, ".*", 2 * len(NETWORKS), marks=full)
      for config in ("fp32", "bf16") for standard in ICARUS),
])  # fmt: skip
def test_icarus(config: str, standard: str, testcase: str, tests: int) -> None:
    assert golden_steps(config, ICARUS[standard], testcase) == tests
