"""Speed of the simulated 16 x 16 accelerator, of its model without memory, and of the emulator; elaboration time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import eftrain_hdl as ef
from benchmarks.utilization import CONFIG
from eftrain_hdl.rtl.top import generate_rtlil
from eftrain_hdl.runtime.sim import SimDevice

__all__ = ["measure"]

_BATCH = 4
_BARE_CYCLES = 300_000


def _seconds_per_step(device: ef.Device, steps: int) -> tuple[float, int | None]:
    """The best of several 1X steps, the first left out, and the cycles of one."""
    model = ef.models["1x"]((3, 32, 32), 10)
    trainer = ef.Trainer(
        model, loss=ef.CrossEntropyLoss(), optimizer=ef.SGD(lr=0.01, momentum=0.9), batch=_BATCH, device=device
    )
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((_BATCH, *model.input_shape)).astype(np.float32), np.arange(_BATCH)
    result = trainer.step(x, y)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        trainer.step(x, y)
        times.append(time.perf_counter() - start)
    return min(times), result.cycles


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """Time each path in turn; cycles per second, and ratios."""
    device = SimDevice(CONFIG, progress=report)
    simulated, cycles = _seconds_per_step(device, 2)
    assert cycles is not None
    start = time.perf_counter()
    device.model.bench_bare(_BARE_CYCLES)
    bare = _BARE_CYCLES / (time.perf_counter() - start)
    device.close()
    emulated, _ = _seconds_per_step(ef.EmulatorDevice(CONFIG), 3)
    start = time.perf_counter()
    generate_rtlil(CONFIG)
    found = {
        "elaboration_seconds": time.perf_counter() - start,
        "device_cycles_per_second": cycles / simulated,
        "bare_cycles_per_second": bare,
        "device_to_bare": cycles / simulated / bare,
        "simulated_step_seconds": simulated,
        "emulated_step_seconds": emulated,
        "emulated_to_simulated": emulated / simulated,
    }
    for name, value in found.items():
        report(f"{name:28} {value:12,.3f}")
    return found
