"""Planning of layers that nothing trains yet: every layer has its phases, and the others are planned as ever."""

from __future__ import annotations

import pytest

import eftrain_hdl as ef
from eftrain_hdl.compiler.estimate import Estimate, estimate_step
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import Layer, initial_parameters
from eftrain_hdl.graph.work import step_macs
from eftrain_hdl.planner import passes
from eftrain_hdl.planner.ports import DEFAULT_PORTS

CONFIG = ef.Config(rows=4, lanes=4)
BATCH = 2


def conv(inputs: int, outputs: int, stride: int = 1) -> ef.Conv2d:
    return ef.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def network() -> ef.Sequential:
    body = [conv(4, 8, 2), ef.BatchNorm2d(8), ef.ReLU(), conv(8, 8), ef.ReLU(), conv(8, 8), ef.BatchNorm2d(8)]
    return ef.Sequential(
        conv(3, 4), ef.BatchNorm2d(4), ef.ReLU(), ef.MaxPool2d(2),
        ef.Residual(body, [ef.Conv2d(4, 8, 1, 2, bias=False)]), ef.ReLU(),
        ef.Residual([conv(8, 8)]), ef.ReLU(),
        ef.AvgPool2d(4), ef.Flatten(), ef.Linear(8, 5), input_shape=(3, 16, 16),
    )  # fmt: skip


def plan(model: ef.Sequential, optimizer: ef.SGD | None = None) -> Estimate:
    return estimate_step(model, CONFIG, batch=BATCH, optimizer=optimizer)


def test_every_layer_has_its_phases_in_order() -> None:
    model = network()
    found = [(model.flat[phase.layer].name, phase.phase, phase.estimated) for phase in plan(model).phases]
    forward = [
        ("0", False), ("1", True), ("3", False), ("4.body.0", False), ("4.body.1", True), ("4.body.3", False),
        ("4.body.5", False), ("4.body.6", True), ("4.shortcut.0", False), ("4", True), ("6.body.0", False), ("6", True),
        ("8", True), ("10", False),
    ]  # fmt: skip
    assert found[: len(forward)] == [(name, "FP", estimated) for name, estimated in forward]
    backward = [
        ("10", "BP WU", False), ("8", "BP", True), ("7", "BP", True), ("6.body.0", "BP WU", False), ("6", "BP", True),
        ("5", "BP", True), ("4.shortcut.0", "BP WU", False), ("4.body.6", "BP WU", True), ("4.body.5", "BP WU", False),
        ("4.body.3", "BP WU", False), ("4.body.1", "BP WU", True), ("4.body.0", "BP WU", False), ("4", "BP", True),
        ("3", "BP", False), ("1", "BP WU", True), ("0", "WU", False),
    ]  # fmt: skip
    expected = [(name, phase, estimated) for name, phases, estimated in backward for phase in phases.split()]
    assert found[len(forward) :] == expected


def test_work_and_traffic_are_positive_and_complete() -> None:
    model = network()
    estimate = plan(model)
    assert all(phase.cycles > 0 and phase.bytes_read > 0 and phase.bytes_written > 0 for phase in estimate.phases)
    macs = {(phase.layer, phase.phase): phase.macs for phase in estimate.phases if phase.macs}
    assert macs == step_macs(model, BATCH)


def test_memory_is_that_of_the_maps_and_the_parameters() -> None:
    """A normalisation between two layers: its output and the gradient of it, and weight, bias, and their velocities."""

    def network(*between: Layer) -> ef.Sequential:
        return ef.Sequential(conv(4, 4), *between, conv(4, 1), ef.Flatten(), ef.Linear(256, 3), input_shape=(4, 16, 16))

    plain, normalised = (plan(network(*between)).memory_bytes for between in ((), (ef.BatchNorm2d(4),)))
    assert normalised - plain == 2 * BATCH * 4 * 16 * 16 * 4 + 2 * 3 * 4 * 4


def test_a_convolution_in_a_block_is_the_same_work_as_in_a_chain() -> None:
    """Apart from where the programs begin and end."""
    tail = [ef.Flatten(), ef.Linear(8 * 64, 3)]
    chain = plan(ef.Sequential(conv(4, 8), conv(8, 8), conv(8, 8), *tail, input_shape=(4, 8, 8)))
    block = plan(ef.Sequential(conv(4, 8), ef.Residual([conv(8, 8)]), conv(8, 8), *tail, input_shape=(4, 8, 8)))
    inside = {phase.phase: phase for phase in block.phases if phase.layer == 1}
    for phase in (phase for phase in chain.phases if phase.layer == 1):
        other = inside[phase.phase]
        assert (phase.macs, phase.bytes_read, phase.bytes_written) == (
            other.macs, other.bytes_read, other.bytes_written,
        )  # fmt: skip
        assert other.cycles == pytest.approx(phase.cycles, rel=0.1)


def test_estimates_are_the_closed_formulas() -> None:
    found = {(phase.layer, phase.phase): phase for phase in plan(network(), ef.SGD(0.1)).phases}
    beats = passes.map_beats(CONFIG, BATCH, (4, 16, 16))
    for phase, work in (
        ("FP", passes.batch_norm_forward(beats)),
        ("BP", passes.batch_norm_backward(beats, input_gradient=True)),
        ("WU", passes.batch_norm_update(1, momentum=False)),
    ):
        assert found[1, phase].cycles == sum(one.cycles(CONFIG, DEFAULT_PORTS) for one in work)
        assert found[1, phase].bytes_read == 16 * sum(one.reads for one in work)
        assert found[1, phase].bytes_written == 16 * sum(one.writes for one in work)


def test_nothing_is_planned_behind_the_first_layer_that_trains() -> None:
    """No gradient goes to the image: not through a mean, not out of a block, not through a normalisation."""
    tail = [ef.Flatten(), ef.Linear(4 * 16, 3)]
    block = ef.Sequential(ef.AvgPool2d(2), ef.Residual([conv(4, 4)]), ef.ReLU(), *tail, input_shape=(4, 8, 8))
    phases = [(block.flat[phase.layer].name, phase.phase) for phase in plan(block).phases]
    assert phases[-4:] == [("4", "BP"), ("4", "WU"), ("2", "BP"), ("1.body.0", "WU")]
    normal = ef.Sequential(ef.BatchNorm2d(4), conv(4, 1), ef.Flatten(), ef.Linear(64, 3), input_shape=(4, 8, 8))
    found = {(phase.layer, phase.phase): phase for phase in plan(normal).phases}
    (sums,) = passes.batch_norm_backward(passes.map_beats(CONFIG, BATCH, (4, 8, 8)), input_gradient=False)
    assert found[0, "BP"].cycles == sums.cycles(CONFIG, DEFAULT_PORTS)
    assert (1, "BP") in found


def test_planning_refuses_what_compiling_refuses() -> None:
    with pytest.raises(ef.CompileError, match="batch=0: must be at least 1"):
        estimate_step(network(), CONFIG, batch=0)
    with pytest.raises(ef.CompileError, match="the network has nothing to train"):
        plan(ef.Sequential(ef.AvgPool2d(2), ef.Flatten(), input_shape=(1, 2, 2)))
    with pytest.raises(ef.GraphError, match="CrossEntropyLoss needs a feature vector"):
        plan(ef.Sequential(ef.BatchNorm2d(2), input_shape=(2, 2, 2)))


def test_what_trains_refuses_before_anything_changes() -> None:
    class Untouched(ef.EmulatorDevice):
        def write(self, address: int, data: object) -> None:
            raise AssertionError("the device was written")

    model, loss, optimizer = network(), ef.CrossEntropyLoss(), ef.SGD(0.1)
    message = r"^layer 1 \(BatchNorm2d\): this layer can be planned but not trained yet$"
    with pytest.raises(ef.GraphError, match=message):
        ef.compile_model(model, CONFIG, batch=BATCH, loss=loss, optimizer=optimizer)
    with pytest.raises(ef.GraphError, match=message):
        ef.Trainer(model, loss=loss, optimizer=optimizer, batch=BATCH, device=Untouched(CONFIG, 1 << 20))
    with pytest.raises(ef.GraphError, match=message):
        GoldenStep(model, loss, optimizer, initial_parameters(model, 0))
