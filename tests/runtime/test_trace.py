"""A traced step on the RTL: nothing but the recording is different, and what it says is what the RTL counts."""

from __future__ import annotations

import numpy as np
import pytest

from eftrain_hdl.isa import Unit
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.runtime.activity import State
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.sim import SimDevice
from eftrain_hdl.runtime.timeline import Timeline
from eftrain_hdl.runtime.trace import TracedSimDevice, trace_step
from eftrain_hdl.runtime.trainer import StepResult, Trainer
from eftrain_hdl.zoo import models
from tests.system.machines import MEMORY_BYTES, WIDE, samples, trainer

MODEL = models["shallow"]()
BATCH = 4
UNITS = [unit for unit in Unit if unit is not Unit.COMMAND]


def device(kind: type[SimDevice], memory: str) -> SimDevice:
    return kind(WIDE, memory=memory, memory_bytes=MEMORY_BYTES, watchdog=20_000)


@pytest.fixture(scope="module", params=["zcu102", "zynq7020", "ideal"])
def traced(request: pytest.FixtureRequest) -> tuple[str, Trainer, StepResult, Timeline]:
    """The second step: the recordings of the first one are forgotten."""
    ours = trainer(device(TracedSimDevice, request.param), MODEL, BATCH)
    trace_step(ours, *samples(MODEL, BATCH, 0))
    return request.param, ours, *trace_step(ours, *samples(MODEL, BATCH, 1))


def test_the_step_is_that_of_the_device_without_probes(traced) -> None:
    memory, ours, result, _ = traced
    plain = trainer(device(SimDevice, memory), MODEL, BATCH)
    plain.step(*samples(MODEL, BATCH, 0))
    assert plain.step(*samples(MODEL, BATCH, 1)) == result  # loss, cycles, every counter, every phase
    theirs, mine = (t.device.read(0, MEMORY_BYTES) for t in (plain, ours))
    np.testing.assert_array_equal(mine, theirs)


def test_cycles_are_those_of_the_counters(traced) -> None:
    _, _, result, timeline = traced
    counters = timeline.counters
    assert counters == result.counters
    assert timeline.cycles == result.cycles == counters["CYCLES"] == timeline.lanes[Unit.COMMAND].busy()
    for unit in UNITS:
        lane = timeline.lanes[unit]
        assert lane.busy() == counters[f"{unit.name}_BUSY"], unit
        assert lane.states()[State.WAITING] == counters[f"{unit.name}_WAIT"], unit
    assert timeline.lanes[Unit.COMPUTE].states()[State.ACTIVE] == counters["MAC_CYCLES"]
    for unit in (Unit.LOAD_X, Unit.LOAD_A, Unit.STORE_0, Unit.STORE_1):
        assert timeline.lanes[unit].states()[State.ACTIVE] == counters[f"{unit.name}_BEATS"], unit


def test_spans_follow_each_other_over_the_whole_step(traced) -> None:
    timeline = traced[-1]
    assert set(timeline.lanes) == set(Unit)
    for lane in timeline.lanes.values():
        spans = list(lane.spans())
        assert spans[0].start == 0 and spans[-1].end == timeline.cycles
        assert all(span.start < span.end for span in spans)
        assert all(a.end == b.start and a.activity != b.activity for a, b in zip(spans, spans[1:], strict=False))


def test_phases_are_those_of_the_trainer(traced) -> None:
    _, ours, result, timeline = traced
    assert [program.name for program in timeline.programs] == ["forward", "backward_update"]
    labels = [label for program in timeline.programs for label in ours.plan.labels[program.name]]
    assert [(phase.layer, phase.phase) for phase in timeline.phases] == labels
    for phase in timeline.phases:
        # The stamp counts cycles from the first on, which is cycle 0 of the program.
        first = any(phase.start == program.start for program in timeline.programs)
        assert phase.end - phase.start == result.phases[phase.layer, phase.phase] + first
    last = timeline.phases[-1]
    # STORE_0 acknowledges the end of every phase but the last of a program: its lane changes there.
    assert last.end <= timeline.cycles
    inner = [phase.end for phase in timeline.phases if not any(0 <= p.end - phase.end < 30 for p in timeline.programs)]
    edges = timeline.lanes[Unit.STORE_0].edges
    assert inner and all(np.abs(edges - end).min() <= 2 for end in inner)


def test_what_a_unit_waits_for_is_named(traced) -> None:
    timeline = traced[-1]
    waits = [label for label in timeline.totals(Unit.COMPUTE) if label.startswith("waiting: ")]
    assert "waiting: LOAD_A" in waits
    names = {name for label in waits for name in label.removeprefix("waiting: ").split(", ")}
    assert names <= {"LOAD_X", "LOAD_A", "VECTOR"}


def test_a_later_memory_shows_as_memory() -> None:
    """With data that come later, loads spend longer in MEMORY and just as long in ACTIVE."""
    timelines = []
    for latency in (100.0, 800.0):
        memory = memory_model("ideal").with_(read_latency_ns=latency)
        ours = trainer(TracedSimDevice(WIDE, memory=memory, memory_bytes=MEMORY_BYTES, watchdog=20_000), MODEL, BATCH)
        timelines.append(trace_step(ours, *samples(MODEL, BATCH, 0))[1])
    for unit in (Unit.LOAD_X, Unit.LOAD_A):
        soon, late = (timeline.lanes[unit].states() for timeline in timelines)
        assert late[State.MEMORY] > soon[State.MEMORY] + 175, unit  # a transfer at the least: 700 ns at 250 MHz
        assert late[State.ACTIVE] == soon[State.ACTIVE]


def test_only_a_traced_device_can_be_traced() -> None:
    plain = trainer(EmulatorDevice(WIDE, MEMORY_BYTES), MODEL, BATCH)
    with pytest.raises(TypeError, match="must be a TracedSimDevice, not EmulatorDevice"):
        trace_step(plain, *samples(MODEL, BATCH, 0))
