"""The figure of a traced step: what each unit does over time, with the phases on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.cli.plot import GRID, INK, MUTED, PHASE_COLORS, STYLE, save_figure
from eftrain_hdl.runtime.activity import State
from eftrain_hdl.runtime.timeline import Lane, Phase, Timeline

__all__ = ["draw_timeline", "state_shares"]

_COLORS = {
    State.ACTIVE: "#0b6e99",
    State.SETUP: "#8ec3da",
    State.DRAIN: "#c3dbe6",
    State.RESPONSE: "#f3cf8f",
    State.MEMORY: "#d1495b",
    State.FULL: "#8c4a9e",
    State.BANK: "#c79bd2",
    State.DATA: "#cfd4da",
    State.BARRIER: "#aeb6bf",
    State.WAITING: "#e08e0b",
    State.ISSUE: "#7a9e3f",
}
"""Idle is white. The states of a column are stacked in this order, from below."""
_COLUMNS = 1200
_HEIGHT = 0.84
_LEAST_LABEL, _LEAST_FLAT = 0.018, 0.07
"""Least share of the width for a phase to be named at all, and for its name not to be turned."""


def state_shares(lane: Lane, bounds: NDArray[np.float64]) -> dict[State, NDArray[np.float64]]:
    """For each state of a lane, its share of the time between every two neighbours of ``bounds``."""
    lengths = np.diff(lane.edges)
    shares = {}
    for state in State:
        codes = [k for k, what in enumerate(lane.activities) if what.state is state]
        spent = np.append(0, np.cumsum(np.where(np.isin(lane.codes, codes), lengths, 0)))
        shares[state] = np.diff(np.interp(bounds, lane.edges, spent)) / np.diff(bounds)
    return shares


def draw_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """Write the figure; its format follows from the suffix of ``path``.

    A column stands for many cycles: where states change within it, their colours share its height.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 5.6), layout="constrained")
        top, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 7))
        _phases(top, timeline)
        used = _lanes(axes, timeline)
        for phase in timeline.phases:
            axes.axvline(phase.end, color=INK, linewidth=0.6, alpha=0.5)
        axes.set_xlim(0, timeline.cycles)
        axes.set_xlabel(f"clock cycles ({timeline.clock_mhz:g} MHz)")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _legend(figure, used)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=MUTED)
        save_figure(figure, path, dpi=100)


def _lanes(axes: Any, timeline: Timeline) -> list[State]:
    """Draw all lanes; returns the states that occur."""
    bounds = np.linspace(0, timeline.cycles, min(_COLUMNS, timeline.cycles) + 1)
    steps = np.repeat(bounds, 2)[1:-1]
    used = set()
    for place, lane in enumerate(timeline.lanes.values()):
        low = np.full(len(bounds) - 1, place + _HEIGHT / 2)
        shares = state_shares(lane, bounds)
        for state, color in _COLORS.items():
            if not shares[state].any():
                continue
            used.add(state)
            high = low - _HEIGHT * shares[state]
            axes.fill_between(steps, np.repeat(low, 2), np.repeat(high, 2), color=color, linewidth=0)
            low = high
    axes.set_yticks(range(len(timeline.lanes)), [
        f"{unit.name}\n{lane.busy() / timeline.cycles:.0%} busy" for unit, lane in timeline.lanes.items()
    ])  # fmt: skip
    axes.set_ylim(len(timeline.lanes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID)
    return [state for state in _COLORS if state in used]


def _phases(axes: Any, timeline: Timeline) -> None:
    for phase in timeline.phases:
        length = phase.end - phase.start
        axes.barh(0, length, left=phase.start, height=1, color=PHASE_COLORS[phase.phase], alpha=0.35, edgecolor="white")
        share = length / timeline.cycles
        if share >= _LEAST_LABEL:
            middle = (phase.start + phase.end) / 2
            turned = 0 if share >= _LEAST_FLAT else 90
            axes.text(middle, 0, _name(phase), ha="center", va="center", fontsize=7.5, rotation=turned, clip_on=True)
    axes.set_ylim(-0.5, 0.5)
    axes.axis("off")


def _name(phase: Phase) -> str:
    """``layer 3 (Conv2d)``, FP as ``3 Conv2d`` over ``FP``."""
    layer = phase.name.removeprefix("layer ").replace("(", "").replace(")", "")
    return f"{layer}\n{phase.phase}"


def _legend(figure: Any, used: Sequence[State]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=_COLORS[state], label=state.value) for state in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8.5)
