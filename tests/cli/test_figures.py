"""What figures look like, whatever they show: legends beside the data, whole steps and cycles, proportions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.cli import plan_plot, plot
from eftrain_hdl.cli.learners import Step
from eftrain_hdl.cli.report import Report
from eftrain_hdl.compiler.estimate import estimate_step
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Conv2d, Flatten, Linear, ReLU, Sequential
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.ports import port_timing

CONFIG = Config(rows=8, lanes=8)


def network(layers: int) -> Sequential:
    convolutions = [layer for _ in range(layers - 1) for layer in (Conv2d(4, 4, 3, padding=1), ReLU())]
    return Sequential(*convolutions, Flatten(), Linear(256, 10), input_shape=(4, 8, 8))


def trained(layers: int, steps: int, *, clock: bool = True) -> Report:
    model = network(layers)
    made = Report(model, CONFIG, 8, 250.0 if clock else None, accuracy_before=0.1, accuracy=0.9)
    generator = np.random.default_rng(layers)
    for k in range(steps):
        phases = {
            place: int(count / CONFIG.macs * generator.uniform(1, 2)) for place, count in step_macs(model, 8).items()
        }
        made.steps.append(Step(2.3 * np.exp(-k / 80), sum(phases.values()), phases) if clock else Step(2.3))
    return made


@pytest.fixture
def drawn(monkeypatch) -> Callable[..., Any]:
    """A figure, laid out, instead of a file."""
    figures: list[Any] = []
    for module in (plot, plan_plot):
        monkeypatch.setattr(module, "save_figure", lambda figure, *_, **__: figures.append(figure))

    def draw(function: Callable[..., None], *arguments: Any) -> Any:
        function(*arguments, Path("figure.png"))
        figures[-1].draw_without_rendering()
        return figures[-1]

    return draw


def plan_figure(drawn: Callable[..., Any], layers: int) -> Any:
    model, ports = network(layers), port_timing(memory_model("zcu102"), CONFIG, 250)
    estimate = estimate_step(model, CONFIG, batch=2, optimizer=SGD(lr=0.1), ports=ports, brief=True)
    return drawn(plan_plot.draw_plan, estimate, [str(node) for node in model.flat], ports, 250, "title")


def boxes(figure: Any) -> Iterator[tuple[Any, Any, Any]]:
    for axes in figure.axes:
        yield axes, axes.get_window_extent(), axes.get_legend().get_window_extent()


def check(figure: Any) -> None:
    everything = figure.bbox
    for axes, box, legend in boxes(figure):
        assert not legend.overlaps(box)
        assert legend.x0 >= everything.x0 and legend.x1 <= everything.x1 and legend.y0 >= everything.y0
        names = [label.get_window_extent() for label in (*axes.get_xticklabels(), axes.xaxis.label)]
        assert not any(legend.overlaps(name) for name in names)
    first = figure.axes[0].get_window_extent()
    assert 0.5 < first.height / first.width < 0.8


def check_whole(axis: Any) -> None:
    low, high = sorted(axis.get_view_interval())
    ticks = [place for place in axis.get_majorticklocs() if low <= place <= high]
    assert len(ticks) >= 2 and all(place == int(place) for place in ticks)


@pytest.mark.parametrize("layers", [1, 2, 30])
@pytest.mark.parametrize("steps", [1, 2, 9, 1000])
def test_training(drawn, layers, steps):
    figure = drawn(plot.draw, trained(layers, steps), "title")
    check(figure)
    for axes in figure.axes:
        check_whole(axes.xaxis)
    assert len(figure.axes[1].get_yticklabels()) == layers


def test_an_interrupted_training_says_that_it_was_not_tested(drawn):
    made = trained(2, 3)
    made.accuracy = None
    figure = drawn(plot.draw, made, "title")
    check(figure)
    assert "test accuracy not tested, 10.0% before" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("steps", [1, 12])
def test_training_without_a_clock(drawn, steps):
    figure = drawn(plot.draw, trained(2, steps, clock=False), "title")
    check(figure)
    check_whole(figure.axes[0].xaxis)


@pytest.mark.parametrize("losses", [[2.3, 2.3], [2.302, 2.326], [2.3] * 40, [0.0], [2.0, float("inf")], [float("nan")]])
def test_no_loss_lies_on_the_edge(drawn, losses):
    """Half of a marker, or of a line, would be cut off."""
    made = trained(1, 1, clock=False)
    made.steps = [Step(loss) for loss in losses]
    axes = drawn(plot.draw, made, "title").axes[0]
    bottom, top = axes.get_ylim()
    assert bottom == 0 < top < float("inf")
    assert all(loss <= top / 1.04 for loss in losses if np.isfinite(loss))


@pytest.mark.parametrize("layers", [1, 2, 30])
def test_plan(drawn, layers):
    figure = plan_figure(drawn, layers)
    check(figure)
    check_whole(figure.axes[1].xaxis)
    peak = figure.axes[0].lines[0].get_ydata()
    assert peak[-1] == peak[-2] == max(peak)  # the roof, not only what leads up to it
