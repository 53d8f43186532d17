"""The figure of a plan: a roofline with every phase of every layer, and where the cycles go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eftrain_hdl.cli.plot import (
    GRID,
    INK,
    MUTED,
    PHASE_COLORS,
    STYLE,
    bar_axis,
    bars_height,
    landscape,
    legend_below,
    save_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from eftrain_hdl.compiler.estimate import Estimate
    from eftrain_hdl.planner.ports import PortTiming

__all__ = ["draw_plan"]


def draw_plan(
    estimate: Estimate, names: Sequence[str], ports: PortTiming, clock: float, title: str, path: Path
) -> None:
    """Write the figure; its format follows from the suffix of ``path``. ``names`` are those of the layers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    used = sorted({phase.layer for phase in estimate.phases})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, bars_height(len(used))), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _roofline(left, estimate, ports, clock)
        landscape(left)
        _bars(right, estimate, used, names)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=MUTED)
        save_figure(figure, path, dpi=150)


def _roofline(axes: Axes, estimate: Estimate, ports: PortTiming, clock: float) -> None:
    """GFLOPS over floating-point operations for each byte of DRAM traffic."""
    config = estimate.config
    peak = 2 * config.macs * clock / 1000
    bandwidth = min(ports.mixed_limit, ports.read_rate * (2 if config.ports > 2 else 1) + ports.write_rate)
    per_second = bandwidth * config.beat_bytes * clock / 1000
    points = [
        (2 * phase.macs / (phase.bytes_read + phase.bytes_written), 2 * phase.macs / phase.cycles * clock / 1000, phase)
        for phase in estimate.phases if phase.macs
    ]  # fmt: skip
    places = [point[0] for point in points]
    x = np.geomspace(min(0.1, min(places) / 2), 2 * max(peak / per_second, *places), 200)
    axes.plot(x, np.minimum(peak, x * per_second), color=INK, linewidth=1.2)
    whole = sum(phase.cycles for phase in estimate.phases)
    for label, color in PHASE_COLORS.items():
        mine = [point for point in points if point[2].phase == label]
        sizes = [12 + 600 * phase.cycles / whole for _, _, phase in mine]
        axes.scatter([p[0] for p in mine], [p[1] for p in mine], s=sizes, color=color, alpha=0.7, label=label, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="FLOP for each byte of DRAM traffic; areas are cycles", ylabel="GFLOPS")
    axes.set_title(f"Roofline: {peak:.4g} GFLOPS, {per_second:.3g} GB/s")
    axes.grid(color=GRID)
    legend = legend_below(axes, len(PHASE_COLORS))
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_sizes([40])  # type: ignore[attr-defined]


def _bars(axes: Axes, estimate: Estimate, used: Sequence[int], names: Sequence[str]) -> None:
    """Cycles of each layer by phase, with the use of the array behind each bar."""
    ends = dict.fromkeys(used, 0.0)
    for label, color in PHASE_COLORS.items():
        cycles = {phase.layer: phase.cycles for phase in estimate.phases if phase.phase == label}
        widths = [cycles.get(layer, 0.0) for layer in used]
        axes.barh(range(len(used)), widths, left=[ends[layer] for layer in used], color=color, label=label, height=0.72)
        for layer, width in zip(used, widths, strict=True):
            ends[layer] += width
    macs = {layer: sum(phase.macs for phase in estimate.phases if phase.layer == layer) for layer in used}
    for place, layer in enumerate(used):
        if not macs[layer]:
            continue
        share = macs[layer] / ends[layer] / estimate.config.macs
        axes.text(ends[layer], place, f" {share:.0%}", va="center", fontsize=8, color=MUTED)
    bar_axis(axes, [names[layer] for layer in used], 8)
    axes.margins(x=0.08)
    axes.set(xlabel="cycles a step")
    axes.set_title("Cycles by layer, and use of the array")
    axes.grid(axis="x", color=GRID)
    whole_numbers(axes.xaxis, 4)
    legend_below(axes, len(PHASE_COLORS))
