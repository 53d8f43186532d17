"""Training throughput by the timing model: on EF-Train's terms beside their model, and on whole boards.

Their terms: 256 multiply-accumulates, 100 MHz, four 128-bit ports of a beat a cycle, SGD without momentum. Their model
has convolutions, and the linear layer of "1X"; ours has ReLU, pooling, loss and update as well, in the same programs.
Boards: chosen configurations, at an assumed 250 MHz, at most 80 % of LUT, DSP and BRAM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eftrain_hdl as ef
from benchmarks.eftrain_model import (
    ALEXNET,
    ALEXNET_MACHINE,
    NET_1X,
    RELEASED,
    VGG16,
    network_cycles,
    network_macs,
)
from eftrain_hdl import boards
from eftrain_hdl.compiler.estimate import Estimate, estimate_step
from eftrain_hdl.graph import Conv2d
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.ports import DEFAULT_PORTS, PortTiming, port_timing
from eftrain_hdl.planner.resources import Resources, estimate_resources

__all__ = ["measure"]

_THEIRS = {"vgg16": (VGG16, RELEASED), "1x": (NET_1X, RELEASED), "alexnet": (ALEXNET, ALEXNET_MACHINE)}
_TERMS = (("vgg16", 16), ("1x", 1), ("1x", 16), ("alexnet", 16))
_SAME = ef.Config(rows=16, lanes=16, ports=4)
_CLOCK_MHZ = 250.0
BOARDS = {
    "zcu102": (
        ef.Config(rows=48, lanes=16, ports=3, streaming_depth=8192, stationary_depth=8192, accumulator_depth=2048),
        ef.Config(rows=32, lanes=16, ports=3, streaming_depth=8192, stationary_depth=8192, accumulator_depth=2048),
        ef.Config(rows=96, lanes=16, operand=ef.BF16, ports=3),
    ),
    "ultra96v2": (
        ef.Config(rows=8, lanes=16, streaming_depth=2048, stationary_depth=2048, accumulator_depth=2048),
        ef.Config(rows=16, lanes=16, operand=ef.BF16),
    ),
}
"""Configurations by board."""
_BATCHES = {("vgg16", "ultra96v2"): 8}
"""Where 16 samples do not fit the DRAM."""


def _estimate(network: str, batch: int, config: ef.Config, ports: PortTiming) -> Estimate:
    model = ef.models[network]()  # type: ignore[call-arg]
    return estimate_step(model, config, batch=batch, optimizer=ef.SGD(lr=0.01), ports=ports)


def _convolutions(network: str, estimate: Estimate) -> float:
    """GFLOPS of the convolutions alone, at 100 MHz."""
    model = ef.models[network]()  # type: ignore[call-arg]
    phases = [phase for phase in estimate.phases if isinstance(model.flat[phase.layer].layer, Conv2d)]
    return sum(phase.macs for phase in phases) / sum(phase.cycles for phase in phases) / 5


def _on_their_terms(report: Callable[[str], None]) -> dict[str, Any]:
    report(f"{'16 x 16 FP32, 100 MHz, 4 ports':32} {'EF-Train model':>14} {'convolutions':>13} {'whole step':>11}")
    found = {}
    for network, batch in _TERMS:
        layers, machine = _THEIRS[network]
        theirs = network_macs(layers, batch) / sum(network_cycles(layers, batch, machine)) / 5
        estimate = _estimate(network, batch, _SAME, DEFAULT_PORTS)
        ours = {"eftrain": theirs, "convolutions": _convolutions(network, estimate), "step": estimate.gflops(100)}
        report(f"{f'{network}, batch {batch}':32} {theirs:14.2f} {ours['convolutions']:13.2f} {ours['step']:11.2f}")
        found[f"{network}_b{batch}"] = ours
    return found


def _on_boards(report: Callable[[str], None]) -> dict[str, Any]:
    report(f"{'board, array':32} {'network':>16} {'GFLOPS':>8} {'images/s':>9} {'MAC use':>8}  LUT / DSP / BRAM")
    found = {}
    for name, configs in BOARDS.items():
        board = boards.get(name)
        has = Resources(board.lut, board.ff, board.dsp, board.bram36)
        for config in configs:
            ports = port_timing(memory_model(board.memory), config, _CLOCK_MHZ)
            used = estimate_resources(config).fractions(has)
            area = " / ".join(f"{used[key]:.0%}" for key in ("lut", "dsp", "bram36"))
            array = f"{name}, {config.rows} x {config.lanes} {config.operand.name}"
            for network in ("vgg16", "1x", "alexnet"):
                batch = _BATCHES.get((network, name), 16)
                estimate = _estimate(network, batch, config, ports)
                gflops = estimate.gflops(_CLOCK_MHZ)
                images = batch * _CLOCK_MHZ * 1e6 / estimate.cycles
                case = f"{network}, batch {batch}"
                report(f"{array:32} {case:>16} {gflops:8.1f} {images:9.1f} {estimate.utilization:8.1%}  {area}")
                found[f"{name}_{config.rows}x{config.lanes}_{config.operand.name}_{network}_b{batch}"] = {
                    "gflops": gflops, "images_per_second": images, "utilization": estimate.utilization, "area": used,
                }  # fmt: skip
    return found


def measure(report: Callable[[str], None]) -> dict[str, Any]:
    """Estimate every case; returns the figures by name."""
    return {"same_terms": _on_their_terms(report), "boards": _on_boards(report)}


if __name__ == "__main__":
    measure(lambda line: print(line, flush=True))
