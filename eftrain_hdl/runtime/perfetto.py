"""Timelines as Chrome trace events, which Perfetto and chrome://tracing open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eftrain_hdl.files import write_text
from eftrain_hdl.isa import Unit

from .activity import State
from .timeline import Timeline

__all__ = ["trace_events", "write_trace"]

_PROCESS = 1
_PHASES = 1
_UNITS = 2
"""Threads: the one with programs and phases, and the first of the units."""


def trace_events(timeline: Timeline) -> dict[str, Any]:
    """The object of the trace: ``traceEvents``, and in ``otherData`` the clock, the unit of time and all totals.

    Times are microseconds at the timeline's clock, rounded to nanoseconds, since viewers count in these; ``args`` of an
    event have its cycles, which are exact. A unit that is idle has no event.
    """
    return {
        "traceEvents": [*_names(timeline), *_phases(timeline), *_units(timeline), *_counters(timeline)],
        "displayTimeUnit": "ns",
        "otherData": {
            "clock_mhz": timeline.clock_mhz,
            "ts": "microseconds at clock_mhz; args.cycle and args.cycles are clock cycles",
            "cycles": timeline.cycles,
            "totals": {unit.name: dict(timeline.totals(unit)) for unit in Unit},
            "counters": dict(timeline.counters),
        },
    }


def write_trace(timeline: Timeline, path: Path) -> None:
    """Write :func:`trace_events` to a file, whose folder is made if it does not exist; an interruption leaves none."""
    write_text(path, json.dumps(trace_events(timeline), separators=(",", ":")))


def _time(timeline: Timeline, cycle: int) -> float:
    return round(timeline.microseconds(cycle) * 1000) / 1000


def _slice(
    timeline: Timeline, thread: int, name: str, category: str, start: int, end: int, **args: Any
) -> dict[str, Any]:
    # Both ends are rounded and not the duration, so that neighbours meet.
    begin = _time(timeline, start)
    return {
        "ph": "X", "pid": _PROCESS, "tid": thread, "name": name, "cat": category, "ts": begin,
        "dur": round(_time(timeline, end) - begin, 3), "args": {"cycle": start, "cycles": end - start, **args},
    }  # fmt: skip


def _names(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Names of the tracks, which come in the order of the units."""
    yield {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": "eftrain accelerator"}}
    for thread, name in [(_PHASES, "layer and phase"), *((_UNITS + unit, unit.name) for unit in timeline.lanes)]:
        about = {"ph": "M", "pid": _PROCESS, "tid": thread}
        yield {**about, "name": "thread_name", "args": {"name": name}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": thread}}


def _phases(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for program in timeline.programs:
        yield _slice(timeline, _PHASES, program.name, "program", program.start, program.end)
    for phase in timeline.phases:
        name = f"{phase.name} {phase.phase}"
        yield _slice(timeline, _PHASES, name, "phase", phase.start, phase.end, layer=phase.layer, phase=phase.phase)


def _units(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for unit, lane in timeline.lanes.items():
        for span in lane.spans():
            state = span.activity.state
            if state is State.IDLE:
                continue
            label = timeline.label(span.activity)
            yield _slice(timeline, _UNITS + unit, label, state.value, span.start, span.end)


def _counters(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Busy cycles so far at the end of every phase, and the share of its cycles in which the array takes vectors."""
    compute = timeline.lanes[Unit.COMPUTE]
    units = [unit for unit in timeline.lanes if unit is not Unit.COMMAND]
    for cycle in (0, *(phase.end for phase in timeline.phases)):
        busy = {unit.name: timeline.lanes[unit].busy(0, cycle) for unit in units}
        yield _counter(timeline, "busy cycles so far", cycle, busy)
    for phase in timeline.phases:
        active = compute.states(phase.start, phase.end)[State.ACTIVE]
        yield _counter(timeline, "array active %", phase.start, {"share": 100 * active / (phase.end - phase.start)})
    yield _counter(timeline, "array active %", timeline.cycles, {"share": 0})


def _counter(timeline: Timeline, name: str, cycle: int, values: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "C", "pid": _PROCESS, "name": name, "ts": _time(timeline, cycle), "args": values}
