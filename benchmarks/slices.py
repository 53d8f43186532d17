"""The largest slices that simulate in minutes: a VGG-16 layer at full channel count on the RTL, beside the model.

The last convolutions of VGG-16 (512 to 512 channels, 3x3) on a map of 8x8, batch 4, SGD without momentum, one 128-bit
port (three for 32 rows), 250 MHz, the ZCU102's DRAM. Cycles are those of the RTL's own counters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import eftrain_hdl as ef
from eftrain_hdl.compiler.estimate import estimate_step
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.ports import port_timing
from eftrain_hdl.runtime.sim import SimDevice

__all__ = ["CONFIGS", "measure"]

CONFIGS = (
    ef.Config(rows=16, lanes=16),
    ef.Config(rows=32, lanes=16, ports=3),
)
_CHANNELS, _SIZE, _BATCH, _MEMORY, _CLOCK_MHZ = 512, 8, 4, "zcu102", 250.0
_LAYER = 1


def _network() -> ef.Sequential:
    """The layer behind another one, so that it has all three phases."""
    return ef.Sequential(
        ef.Conv2d(1, _CHANNELS, 1),
        ef.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1),
        ef.Flatten(),
        ef.Linear(_CHANNELS * _SIZE**2, 2),
        input_shape=(1, _SIZE, _SIZE),
    )


def measure(report: Callable[[str], None], configs: tuple[ef.Config, ...] = CONFIGS) -> dict[str, Any]:
    """Run a step on every configuration; returns cycles and utilisation by array and phase."""
    network, optimizer = _network(), ef.SGD(lr=0.01)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((_BATCH, *network.input_shape)).astype(np.float32)
    macs = _CHANNELS**2 * 9 * _SIZE**2 * _BATCH
    found: dict[str, Any] = {}
    report(f"{'slice':34} {'RTL cycles':>11} {'MAC use':>8} {'model':>11}")
    for config in configs:
        ports = port_timing(memory_model(_MEMORY), config, _CLOCK_MHZ)
        estimate = estimate_step(network, config, batch=_BATCH, optimizer=optimizer, ports=ports)
        planned = {phase.phase: phase.cycles for phase in estimate.phases if phase.layer == _LAYER}
        device = SimDevice(config, memory=_MEMORY, memory_bytes=1 << 28, clock_mhz=_CLOCK_MHZ, progress=report)
        trainer = ef.Trainer(
            network, loss=ef.CrossEntropyLoss(), optimizer=optimizer, batch=_BATCH, device=device, seed=0
        )
        phases = trainer.step(x, np.arange(_BATCH) % 2).phases
        device.close()
        for phase, model in planned.items():
            cycles = phases[_LAYER, phase]
            name = f"{config.rows} x {config.lanes}, {_CHANNELS} channels 3x3, {phase}"
            use = macs / cycles / config.macs
            report(f"{name:34} {cycles:11,} {use:8.1%} {model:11,.0f}")
            found[f"{config.rows}x{config.lanes}_{phase}"] = {"cycles": cycles, "utilization": use, "model": model}
    return found


if __name__ == "__main__":
    measure(lambda line: print(line, flush=True))
