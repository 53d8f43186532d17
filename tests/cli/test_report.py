"""Figures of a run, from steps whose cycles are known."""

import numpy as np
import pytest

from eftrain_hdl.cli.learners import Step
from eftrain_hdl.cli.plot import draw
from eftrain_hdl.cli.report import Report, divide
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


def test_no_phase_has_more_work_than_the_array_can_do():
    """The WU of the convolution began while the one of the linear layer stored its results."""
    phases = {(0, "FP"): 7000, (4, "FP"): 3000, (4, "BP"): 3000, (4, "WU"): 3000, (0, "WU"): 4000}
    made = report(Step(2.0, 20_000, phases))
    whole = 8 * CONVOLUTION / 16
    assert whole > 4000
    cycles = {(part.layer, part.phase): part.cycles for part in made.phases()}
    assert cycles == {
        (0, "FP"): 7000, (4, "FP"): 3000, (4, "BP"): 3000, (4, "WU"): 7000 - whole, (0, "WU"): whole
    }  # fmt: skip
    (last,) = (part for part in made.as_dict()["layers"] if (part["layer"], part["phase"]) == (0, "WU"))
    assert last["utilization"] == pytest.approx(1)
    assert "Phases overlap" in "\n".join(made.lines())


def test_the_table_says_what_a_phase_without_work_is(measured):
    """Without a BP of the first layer, as here, there is nothing to explain."""
    assert "multiplies nothing" not in "\n".join(measured.lines())
    phases = {(0, "FP"): 7000, (4, "FP"): 3000, (4, "BP"): 3000, (4, "WU"): 3000, (0, "BP"): 2000, (0, "WU"): 8000}
    lines = report(Step(2.0, 26_000, phases)).lines()
    (row,) = (line for line in lines if line.startswith("layer 0"))
    assert "2,000 (  0%)" in row
    assert any(line.startswith("A phase of 0% multiplies nothing: it is ReLU and pooling alone") for line in lines)


@pytest.mark.parametrize(
    ("cycles", "needs", "divided"),
    [
        ([10.0, 10.0, 10.0], [1, 2, 3], [10, 10, 10]),
        ([10.0, 10.0, 10.0], [1, 2, 12], [10, 8, 12]),
        ([10.0, 10.0, 10.0], [1, 9, 12], [9, 9, 12]),  # what the last one takes, the one before it lacks
        ([10.0, 10.0, 10.0], [10, 10, 10], [10, 10, 10]),
        ([10.0, 0.0, 5.0], [4, 3, 8], [4, 3, 8]),
        ([7.0], [7], [7]),
        ([], [], []),
    ],
)
def test_overlapping_cycles_are_divided(cycles, needs, divided):
    assert divide(cycles, needs) == divided


def test_divided_cycles_keep_their_sum_and_hold_the_work():
    for seed in range(200):
        generator = np.random.default_rng(seed)
        needs = generator.integers(0, 50, generator.integers(1, 12))
        # Work done by the end of each phase is at least that of the phases so far.
        ends = np.maximum.accumulate(np.cumsum(needs) + generator.integers(0, 30, len(needs)))
        cycles = np.diff(ends, prepend=0)
        divided = divide([float(one) for one in cycles], [float(one) for one in needs])
        assert sum(divided) == pytest.approx(sum(cycles)), seed
        assert all(one >= need for one, need in zip(divided, needs, strict=True)), seed


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
