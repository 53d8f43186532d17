"""Array utilisation by the RTL's own cycle counters, beside EF-Train's model of the same layers.

16 x 16 FP32, one 128-bit port, 250 MHz, the ZCU102's DRAM, batch 4, SGD with momentum and weight decay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import eftrain_hdl as ef
from benchmarks.eftrain_model import NET_1X, Conv, bp_cycles, fp_cycles, wu_cycles
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.runtime.sim import SimDevice

__all__ = ["CONFIG", "measure"]

CONFIG = ef.Config(rows=16, lanes=16)
_BATCH = 4
_EFTRAIN: dict[str, Callable[[Conv, int], int]] = {"FP": fp_cycles, "BP": bp_cycles, "WU": wu_cycles}


def _between(conv: ef.Conv2d, channels: int, size: int) -> ef.Sequential:
    """A network with ``conv`` as its second layer, so that it has all three phases; the first and last only feed it."""
    return ef.Sequential(
        ef.Conv2d(1, conv.in_channels, 1),
        conv,
        ef.Flatten(),
        ef.Linear(channels * size * size, 2),
        input_shape=(1, size, size),
    )


_LAYERS = {
    "conv3x3_64_28": (_between(ef.Conv2d(64, 64, 3, padding=1), 64, 28), Conv(64, 64, 28, 28, 3)),
    "conv1x1_128_14": (_between(ef.Conv2d(128, 64, 1), 64, 14), Conv(64, 128, 14, 14, 1)),
}


def _step(model: ef.Sequential, device: SimDevice) -> ef.StepResult:
    trainer = ef.Trainer(
        model,
        loss=ef.CrossEntropyLoss(),
        optimizer=ef.SGD(lr=0.01, momentum=0.9, weight_decay=1e-4),
        batch=_BATCH,
        device=device,
    )
    rng = np.random.default_rng(0)
    return trainer.step(rng.standard_normal((_BATCH, *model.input_shape)).astype(np.float32), np.arange(_BATCH) % 2)


def _roofline(layer: Conv, phase: str) -> int:
    """The larger of array, read and write cycles: every operand crosses the port once."""
    words = CONFIG.vector_lanes
    x, y = (_BATCH * c * layer.r * layer.c // words for c in (layer.n, layer.m))
    weights = layer.m * layer.n * layer.k**2 // words
    reads, writes = {"FP": (x + weights, y), "BP": (y + weights, x), "WU": (x + y + 2 * weights, 2 * weights)}[phase]
    return max(layer.macs(_BATCH) // CONFIG.macs, reads, writes)


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """Run every case; returns the figures by name."""
    device = SimDevice(CONFIG, progress=report)
    found: dict[str, Any] = {}
    report(f"{'case':22} {'cycles':>9} {'MAC util':>9} {'roofline':>9} {'EF-Train model':>15}")
    for name, (model, layer) in _LAYERS.items():
        phases = _step(model, device).phases
        for phase, model_cycles in _EFTRAIN.items():
            cycles = phases[1, phase]
            utilization = layer.macs(_BATCH) / CONFIG.macs / cycles
            bound = _roofline(layer, phase) / cycles
            theirs = layer.macs(_BATCH) / 256 / model_cycles(layer, _BATCH)
            key = f"{name}_{phase.lower()}"
            found[key] = utilization
            found[f"{key}_of_roofline"] = bound
            found[f"{key}_eftrain_model"] = theirs
            report(f"{key:22} {cycles:9,} {utilization:9.1%} {bound:9.1%} {theirs:15.1%}")
    model = ef.models["1x"]((3, 32, 32), 10)
    result = _step(model, device)
    assert result.cycles is not None
    macs = sum(step_macs(model, _BATCH).values())
    theirs_total = sum(fp_cycles(c, _BATCH) + wu_cycles(c, _BATCH) for c in NET_1X) + sum(
        bp_cycles(c, _BATCH) for c in NET_1X[1:]
    )
    found["net_1x_b4"] = macs / CONFIG.macs / result.cycles
    found["net_1x_b4_eftrain_model"] = macs / 256 / theirs_total
    report(
        f"{'net_1x_b4':22} {result.cycles:9,} {found['net_1x_b4']:9.1%} {'':9} {found['net_1x_b4_eftrain_model']:15.1%}"
    )
    device.close()
    return found
