"""Synthesise rows and accelerators with Yosys, and renew the figures that the model of resources is fitted to.

``python -m benchmarks.resource_model`` reports the error of the stored figures, each left out of the fit that estimates
it; with ``--renew`` it synthesises them first, which takes about an hour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import eftrain_hdl as ef
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import FP16, TF32
from eftrain_hdl.planner import resources
from eftrain_hdl.planner.resources import Resources, estimate_resources, fit, load_figures

__all__ = ["errors", "measure", "renew"]

_ROWS = [
    *(Config(rows=lanes, lanes=lanes, operand=operand) for lanes in (4, 8, 16, 32) for operand in (ef.FP32, ef.BF16)),
    *(Config(rows=16, lanes=16, operand=operand) for operand in (FP16, TF32)),
]
_ACCELERATORS = [
    Config(rows=4, lanes=4),
    Config(rows=8, lanes=8, operand=ef.BF16),
    Config(rows=8, lanes=8, ports=3),
    Config(rows=16, lanes=16, ports=3),
    Config(rows=16, lanes=16, operand=ef.BF16, ports=3),
    Config(rows=16, lanes=8, operand=ef.BF16, ports=3),
    Config(rows=8, lanes=16, ports=2),
    Config(rows=32, lanes=16, ports=3),
    Config(rows=8, lanes=8, data_width=64),
]


def errors() -> Iterator[tuple[Config, dict[str, float]]]:
    """Relative errors of each accelerator's estimate by a fit to the others."""
    single, whole = load_figures()
    for k, (config, used) in enumerate(whole):
        estimate = estimate_resources(config, fit(single, whole[:k] + whole[k + 1 :]))
        yield config, {name: getattr(estimate, name) / getattr(used, name) - 1 for name in vars(used)}


def renew(report: Callable[[str], None]) -> None:
    """Synthesise everything and store the figures."""
    from eftrain_hdl.rtl.compute.mac_row import MacRow
    from eftrain_hdl.rtl.top import generate_rtlil
    from eftrain_hdl.synthesis import synthesize

    def entry(config: Config, design: Any) -> dict[str, Any]:
        result = synthesize(design, "xcup", paths=1)
        used = Resources(result.luts, result.ff, result.dsp, result.bram36)
        report(f"{config.rows} x {config.lanes} {config.operand.name}, {config.ports} ports: {used}")
        return {"config": config.as_dict(), "used": vars(used)}

    figures = {
        "rows": [entry(config, MacRow(config)) for config in _ROWS],
        "accelerators": [entry(config, generate_rtlil(config)) for config in _ACCELERATORS],
    }
    Path(resources.__file__).with_name("resources.json").write_text(json.dumps(figures, indent=1) + "\n")


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """Report all errors; returns the mean and the worst of each resource."""
    names = ("lut", "ff", "dsp", "bram36")
    report(f"{'left out of the fit':34} {'LUT':>7} {'FF':>7} {'DSP':>7} {'BRAM':>7}")
    found = []
    for config, error in errors():
        name = f"{config.rows} x {config.lanes} {config.operand.name}, {config.ports} ports"
        report(f"{name:34} {'  '.join(f'{error[key]:6.1%}' for key in names)}")
        found.append([abs(error[key]) for key in names])
    mean, worst = np.mean(found, axis=0), np.max(found, axis=0)
    return {key: {"mean": float(mean[k]), "worst": float(worst[k])} for k, key in enumerate(names)}


if __name__ == "__main__":
    if "--renew" in sys.argv[1:]:
        renew(print)
    print(measure(print))
