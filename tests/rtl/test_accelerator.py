# amaranth: UnusedElaboratable=no
"""The whole accelerator but the arithmetic on Verilator, tested by ``sim/accelerator/bench_accelerator.py``."""

from sim.accelerator.common import CONFIGS
from sim.accelerator.standins import AcceleratorWithStandIns
from sim.runner import run_bench


def test_bench() -> None:
    component = AcceleratorWithStandIns(CONFIGS[1])
    ran = run_bench(component, "sim.accelerator.bench_accelerator", environment={"EFTRAIN_PORTS": "1"})
    assert ran == 1 + 2 + 1 + 1 + 13 + 8 + 1
