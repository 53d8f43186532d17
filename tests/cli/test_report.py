"""Figures of a run, from steps whose cycles are known."""

import pytest

from eftrain_hdl.cli.learners import Step
from eftrain_hdl.cli.plot import draw
from eftrain_hdl.cli.report import Report
from eftrain_hdl.config import Config
from eftrain_hdl.zoo import shallow

CONVOLUTION, LINEAR = 16 * 9 * 64, 16 * 16 * 10  # multiply-accumulates of a sample and phase


def report(*steps: Step) -> Report:
    config = Config(rows=4, lanes=4)
    made = Report(shallow(), config, batch=8, clock_mhz=100.0, accuracy_before=0.1, test_loss_before=2.3)
    made.steps = list(steps)
    return made


@pytest.fixture
def measured() -> Report:
    first = {(0, "FP"): 6000, (0, "WU"): 8000, (4, "FP"): 2000, (4, "BP"): 1500, (4, "WU"): 2500}
    second = {place: cycles + 100 for place, cycles in first.items()}
    return report(Step(2.0, 20_500, first), Step(1.0, 21_000, second))


def test_utilization_is_useful_work_over_cycles_and_array(measured):
    used = measured.utilization()
    assert used["overall"] == pytest.approx(8 * (2 * CONVOLUTION + 3 * LINEAR) / (20_750 * 16))
    assert used["FP"] == pytest.approx(8 * (CONVOLUTION + LINEAR) / (8100 * 16))
    assert used["BP"] == pytest.approx(8 * LINEAR / (1550 * 16))
    assert used["WU"] == pytest.approx(8 * (CONVOLUTION + LINEAR) / (10_600 * 16))


def test_cycles_become_time(measured):
    assert measured.mean_cycles == 20_750
    assert measured.seconds == pytest.approx(41_500 / 100e6)


def test_phases_are_in_the_order_of_the_layers(measured):
    assert [(part.layer, part.phase) for part in measured.phases()] == [
        (0, "FP"), (0, "WU"), (4, "FP"), (4, "BP"), (4, "WU")
    ]  # fmt: skip
    assert measured.phases()[0].cycles == 6050


def test_table_has_every_layer_and_no_input_gradient_of_the_first(measured):
    lines = measured.lines()
    first = next(line for line in lines if line.startswith("layer 0"))
    assert "6,050" in first and " - " in first
    assert next(line for line in lines if line.startswith("layer 4")).count("%") == 4


def test_without_a_clock_there_are_no_cycles():
    made = report(Step(2.0), Step(1.0))
    assert made.utilization() is None and made.mean_cycles is None and made.phases() == []
    assert not any("cycles" in line for line in made.lines())


def test_figure_with_cycles(measured, tmp_path):
    """Matplotlib keeps each text of an SVG in a comment in front of its glyphs."""
    draw(measured, "title", tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "clock cycles" in text and "0 Conv2d" in text and "4 Linear" in text
