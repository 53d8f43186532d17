"""From probe words to states, lanes and trace events, without the RTL."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.probes import PROBES
from eftrain_hdl.runtime.activity import BUSY, Activity, State, activity
from eftrain_hdl.runtime.perfetto import trace_events, write_trace
from eftrain_hdl.runtime.timeline import Phase, Program, Timeline, joined, running_lanes
from eftrain_hdl.runtime.verilator import Changes

S = State


def word(unit: Unit, **fields: int) -> int:
    layout = PROBES[unit]
    assert set(fields) <= set(layout.members)
    return sum(value << layout[name].offset for name, value in fields.items())


def changes(*pairs: tuple[int, int]) -> Changes:
    return Changes(np.array([c for c, _ in pairs], np.uint64), np.array([w for _, w in pairs], np.uint32))


@pytest.mark.parametrize(
    ("unit", "fields", "state"),
    [
        (Unit.COMMAND, {}, S.IDLE),
        (Unit.COMMAND, {"word": 1}, S.IDLE),
        (Unit.COMMAND, {"running": 1}, S.MEMORY),
        (Unit.COMMAND, {"running": 1, "word": 1}, S.ACTIVE),
        (Unit.COMMAND, {"running": 1, "barrier": 1, "word": 1}, S.BARRIER),
        (Unit.LOAD_X, {"queued": 1}, S.ISSUE),
        (Unit.LOAD_X, {"queued": 1, "waiting": 1, "busy": 1}, S.SETUP),
        (Unit.LOAD_X, {"busy": 1, "receiving": 1, "beat": 1, "flight": 1}, S.ACTIVE),
        (Unit.LOAD_A, {"busy": 1, "receiving": 1, "flight": 1}, S.MEMORY),
        (Unit.LOAD_A, {"busy": 1, "receiving": 1}, S.SETUP),
        (Unit.LOAD_A, {"busy": 1, "beat": 1, "flight": 1}, S.SETUP),
        (Unit.COMPUTE, {"busy": 1, "active": 1, "preparing": 1}, S.ACTIVE),
        (Unit.COMPUTE, {"busy": 1, "preparing": 1}, S.SETUP),
        (Unit.COMPUTE, {"busy": 1}, S.DRAIN),
        (Unit.VECTOR, {"busy": 1, "issuing": 1, "unsent": 1}, S.ACTIVE),
        (Unit.VECTOR, {"busy": 1, "held": 1, "unsent": 1}, S.BANK),
        (Unit.VECTOR, {"busy": 1, "full": 1, "unsent": 1}, S.FULL),
        (Unit.VECTOR, {"busy": 1, "entering": 1, "unsent": 1}, S.SETUP),
        (Unit.VECTOR, {"busy": 1, "unsent": 1}, S.MEMORY),
        (Unit.VECTOR, {"busy": 1}, S.DRAIN),
        (Unit.STORE_0, {"busy": 1, "flight": 1, "offered": 1, "sent": 1}, S.ACTIVE),
        (Unit.STORE_0, {"busy": 1, "flight": 1, "offered": 1}, S.MEMORY),
        (Unit.STORE_1, {"busy": 1, "flight": 1}, S.RESPONSE),
        (Unit.STORE_1, {"busy": 1}, S.DATA),
        (Unit.STORE_1, {}, S.IDLE),
    ],
)
def test_states(unit: Unit, fields: dict[str, int], state: State) -> None:
    assert activity(unit, word(unit, **fields)) == Activity(state)


def test_causes() -> None:
    waiting = {"queued": 1, "waiting": 1, "missing": 0b101}
    units = Unit.LOAD_X, Unit.COMPUTE
    assert activity(Unit.COMPUTE, word(Unit.COMPUTE, **waiting)) == Activity(S.WAITING, units)
    assert activity(Unit.COMPUTE, word(Unit.COMPUTE, **waiting, busy=1)) == Activity(S.DRAIN, units)
    # What the next instruction waits for is not why an instruction in hand is where it is.
    assert activity(Unit.COMPUTE, word(Unit.COMPUTE, **waiting, busy=1, active=1)) == Activity(S.ACTIVE)
    full = word(Unit.COMMAND, running=1, word=1, full=0b100)
    assert activity(Unit.COMMAND, full) == Activity(S.FULL, (Unit.COMPUTE,))


def test_words_fit_in_what_is_recorded() -> None:
    assert set(PROBES) == set(Unit)
    assert all(layout.size <= 32 for layout in PROBES.values())
    assert BUSY.isdisjoint({S.WAITING, S.ISSUE, S.IDLE})


RUNNING = word(Unit.COMMAND, running=1, word=1)
FETCHING = word(Unit.COMMAND, running=1)
BEAT = word(Unit.LOAD_X, busy=1, receiving=1, beat=1, flight=1)
LAST_BEAT = word(Unit.LOAD_X, busy=1, receiving=1, beat=1)
WAITS = word(Unit.LOAD_X, waiting=1, queued=1, missing=1 << Unit.COMPUTE - 1)


def recording() -> dict[Unit, Changes]:
    """A run from cycle 110 to 149; LOAD_X is busy from 120 to 129 and waits from 140 on."""
    command = changes((100, 0), (110, FETCHING), (115, RUNNING), (150, 0))
    load = changes((100, 0), (120, BEAT), (125, LAST_BEAT), (130, 0), (140, WAITS))
    return {unit: {Unit.COMMAND: command, Unit.LOAD_X: load}.get(unit, changes((100, 0))) for unit in Unit}


def test_lanes_are_cut_to_the_run_and_equal_neighbours_are_one() -> None:
    lanes = running_lanes(recording())
    spans = [(span.start, span.end, span.activity) for span in lanes[Unit.LOAD_X].spans()]
    assert spans == [
        (0, 10, Activity(S.IDLE)), (10, 20, Activity(S.ACTIVE)), (20, 30, Activity(S.IDLE)),
        (30, 40, Activity(S.WAITING, (Unit.COMPUTE,))),
    ]  # fmt: skip
    assert [(s.start, s.end) for s in lanes[Unit.COMMAND].spans()] == [(0, 5), (5, 40)]
    assert [(s.start, s.end, s.activity.state) for s in lanes[Unit.VECTOR].spans()] == [(0, 40, S.IDLE)]
    assert lanes[Unit.LOAD_X].busy() == 10
    assert lanes[Unit.LOAD_X].states(15, 35) == {S.ACTIVE: 5, S.IDLE: 10, S.WAITING: 5}


def test_a_recording_without_a_whole_run_is_refused() -> None:
    twice, endless = changes((0, RUNNING), (5, 0), (9, RUNNING), (12, 0)), changes((0, 0), (5, FETCHING), (9, RUNNING))
    for command in (changes((100, 0)), twice, endless):
        with pytest.raises(ValueError, match="one run of a program"):
            running_lanes({**recording(), Unit.COMMAND: command})


def two_runs(clock_mhz: float) -> Timeline:
    lanes = running_lanes(recording())
    programs = [Program("forward", 0, 40), Program("backward_update", 40, 80)]
    phases = [Phase(0, "layer 0 (Linear)", "FP", 0, 38), Phase(0, "layer 0 (Linear)", "WU", 40, 79)]
    twice = {unit: joined(unit, [lane, lane]) for unit, lane in lanes.items()}
    return Timeline(clock_mhz, programs, phases, twice, {"CYCLES": 80})


def test_runs_are_joined_and_labels_name_units() -> None:
    timeline = two_runs(250.0)
    lane = timeline.lanes[Unit.LOAD_X]
    assert timeline.cycles == 80 and lane.edges.tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 80]
    assert timeline.totals(Unit.LOAD_X) == {"idle": 40, "active": 20, "waiting: COMPUTE": 20}
    assert timeline.label(Activity(S.DRAIN, (Unit.LOAD_X, Unit.VECTOR))) == "drain, next waits: LOAD_X, VECTOR"


@pytest.mark.parametrize("clock_mhz", [250.0, 300.0, 333.33])
def test_trace_events_are_what_viewers_need(tmp_path, clock_mhz: float) -> None:
    timeline = two_runs(clock_mhz)
    path = tmp_path / "new" / "trace.json"
    write_trace(timeline, path)
    trace = json.loads(path.read_text())
    assert trace == json.loads(json.dumps(trace_events(timeline)))
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert all({"name", "pid", "args"} <= set(event) for event in events)
    assert all({"ts", "dur", "tid", "cat"} <= set(event) for event in events if event["ph"] == "X")
    threads = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert list(threads.values()) == ["layer and phase", *(unit.name for unit in Unit)]
    for tid, name in threads.items():
        slices = [e for e in events if e["ph"] == "X" and e["tid"] == tid and e["cat"] != "program"]
        for before, after in zip(slices, slices[1:], strict=False):
            # In nanoseconds, in which viewers count: none begins before the one before has ended.
            assert round(before["ts"] * 1000) + round(before["dur"] * 1000) <= round(after["ts"] * 1000), name
    beats = next(e for e in events if e["ph"] == "X" and threads[e["tid"]] == "LOAD_X")
    assert (beats["name"], beats["args"]) == ("active", {"cycle": 10, "cycles": 10})
    assert beats["ts"] == pytest.approx(10 / clock_mhz, abs=5e-4)
    assert trace["otherData"]["clock_mhz"] == clock_mhz
    (last,) = [e for e in events if e["name"] == "busy cycles so far"][-1:]
    assert last["args"]["LOAD_X"] == 20
