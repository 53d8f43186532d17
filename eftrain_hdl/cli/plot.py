"""The figure of a training run: loss, and on a device with a clock where the cycles went."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eftrain_hdl.cli.arguments import output_file
from eftrain_hdl.cli.report import PHASES, Report
from eftrain_hdl.files import atomic_write

__all__ = [
    "GRID", "INK", "MUTED", "PHASE_COLORS", "STYLE", "bar_axis", "bars_height", "draw", "landscape", "legend_below",
    "plot_file", "save_figure", "whole_numbers",
]  # fmt: skip

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
_LOSS = "#0b6e99"
_SMOOTHED = 8
"""Steps from which on a mean says more than the points."""
_BELOW = 40
"""Points from an axis down to its legend: ticks and label lie between."""
_ASPECT = 0.68
"""Height over width."""
PHASE_COLORS = {"FP": "#0b6e99", "BP": "#e08e0b", "WU": "#7a9e3f"}
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "axes.axisbelow": True,
}


def plot_file(text: str) -> Path:
    """A file that a figure can be written to, as the type of an argument: known before an hour of training."""
    path = output_file()(text)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise argparse.ArgumentTypeError("needs matplotlib: pip install 'eftrain-hdl[plot]'") from error
    suffix = path.suffix.removeprefix(".").lower()
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if suffix not in known:
        raise argparse.ArgumentTypeError(f"{text}: the name must end in one of .{', .'.join(known)}")
    return path


def draw(report: Report, title: str, path: Path) -> None:
    """Write the figure; its format follows from the suffix of ``path``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    parts = report.phases()
    layers = len({part.layer for part in parts})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, bars_height(layers)) if parts else (6.4, 4.6), layout="constrained")
        axes = figure.subplots(1, 2, width_ratios=(1, 1)) if parts else [figure.subplots()]
        _loss(axes[0], report)
        if parts:
            landscape(axes[0])
            _cycles(axes[1], report)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=MUTED)
        save_figure(figure, path, dpi=160)


def bars_height(layers: int) -> float:
    """Inches of a figure with a bar for each layer."""
    return max(4.6, 2.0 + 0.26 * layers)


def whole_numbers(axis: Any, intervals: int) -> None:
    """Ticks of an axis at whole numbers, with commas, and at most so many intervals."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=intervals, integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def legend_below(axes: Any, columns: int) -> Any:
    """A legend under the axis, where nothing is drawn."""
    from matplotlib.transforms import ScaledTranslation

    below = axes.transAxes + ScaledTranslation(0, -_BELOW / 72, axes.get_figure().dpi_scale_trans)
    return axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, ncols=columns, borderaxespad=0,
    )  # fmt: skip


def landscape(axes: Any) -> None:
    """Keep the proportions of axes beside bars, however many of those there are."""
    axes.set_box_aspect(_ASPECT)
    axes.set_anchor("NW")


def bar_axis(axes: Any, names: Sequence[str], fontsize: float) -> None:
    """Names of horizontal bars, the first one on top."""
    axes.set_yticks(range(len(names)), names, fontsize=fontsize)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def save_figure(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure in the format that the suffix says; a file that is there stays whole until then."""
    with atomic_write(path) as file:
        figure.savefig(file, dpi=dpi, format=path.suffix.removeprefix(".").lower())


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of the last ``width`` values, of fewer at the start."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _loss(axes: Any, report: Report) -> None:
    losses = np.array(report.losses)
    steps = np.arange(1, len(losses) + 1)
    few = len(losses) < _SMOOTHED
    axes.plot(
        steps, losses, color=_LOSS, alpha=1 if few else 0.3, linewidth=1, label="each step", marker="o" if few else "",
        markersize=4,
    )  # fmt: skip
    if not few:
        width = max(2, len(losses) // 15)
        axes.plot(steps, _smooth(losses, width), color=_LOSS, linewidth=2, label=f"mean of {width} steps")
    axes.set_title("Training loss")
    axes.set_xlabel("step")
    axes.set_xlim(0, len(losses) + 1)
    whole_numbers(axes.xaxis, 6)
    axes.set_ylim(0, 1.05 * max(losses[np.isfinite(losses)], default=0.0) or 1.0)
    axes.grid(color=GRID)
    legend_below(axes, 2)
    after = "not tested" if report.accuracy is None else f"{report.accuracy:.1%}"
    axes.text(
        1, 1.02, f"test accuracy {after}, {report.accuracy_before:.1%} before",
        transform=axes.transAxes, ha="right", va="bottom", color=MUTED,
    )  # fmt: skip


def _cycles(axes: Any, report: Report) -> None:
    parts = report.phases()
    names = list(dict.fromkeys(part.name for part in parts))
    used = report.utilization() or {}
    left = np.zeros(len(names))
    for phase in PHASES:
        cycles = np.array([sum(p.cycles for p in parts if (p.name, p.phase) == (name, phase)) for name in names])
        if not cycles.any():
            continue
        label = f"{phase} ({used[phase]:.0%})"
        axes.barh(range(len(names)), cycles, left=left, height=0.62, color=PHASE_COLORS[phase], label=label)
        left += cycles
    bar_axis(axes, [_short(name) for name in names], 9)
    axes.set_xlim(0, left.max() * 1.05)
    axes.set_title(f"Cycles of a step: {report.mean_cycles:,.0f} (use of the array)")
    axes.set_xlabel("clock cycles")
    whole_numbers(axes.xaxis, 4)
    axes.grid(axis="x", color=GRID)
    legend_below(axes, len(PHASES))


def _short(name: str) -> str:
    """``layer 3 (Conv2d)`` as ``3 Conv2d``."""
    return name.removeprefix("layer ").replace("(", "").replace(")", "")
