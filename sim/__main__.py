"""``python -m sim``: the benches of the whole accelerator on the simulator that ``SIM`` names (Verilator if unset)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from eftrain_hdl.runtime.sim import cached_verilog
from sim.accelerator import golden
from sim.accelerator.common import CONFIGS
from sim.accelerator.standins import AcceleratorWithStandIns
from sim.runner import run_bench, run_verilog
from sim.simulators import MISSING_ICARUS, chosen_simulator


def _runs() -> Iterator[tuple[str, int]]:
    """What is run, and how many tests that was. AssertionError where one fails."""
    simulator = chosen_simulator()
    environment = {"EFTRAIN_PORTS": "1"}
    bench = "sim.accelerator.bench_accelerator"
    component = AcceleratorWithStandIns(CONFIGS[1])
    yield "registers, transfers, errors", run_bench(component, bench, environment=environment, simulator=simulator)
    bench = "sim.accelerator.bench_golden_step"
    for name, config in golden.CONFIGS.items():
        text, environment = cached_verilog(config), {"EFTRAIN_CONFIG": name}
        ran = run_verilog(text, golden.TOP, bench, environment=environment, simulator=simulator)
        yield f"golden step, {config.rows} x {config.lanes} {config.operand.name}", ran


def main() -> int:
    """Run all; 1 if something failed."""
    if not chosen_simulator().present:
        print(MISSING_ICARUS, file=sys.stderr)
        return 1
    started = time.monotonic()
    try:
        for what, ran in _runs():
            print(f"{what}: {ran} tests passed, {time.monotonic() - started:.0f} s", flush=True)
            started = time.monotonic()
    except (AssertionError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
