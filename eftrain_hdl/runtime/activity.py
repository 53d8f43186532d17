"""What a unit does in a cycle, from the word that its probe shows (``rtl/probes.py``). Definitions: docs/trace.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from eftrain_hdl.isa import Unit
from eftrain_hdl.rtl.probes import PROBES

__all__ = ["BUSY", "Activity", "State", "activity"]

Fields = Mapping[str, int]


class State(Enum):
    """States of units; which of them a unit has, and what its signals say then, is in docs/trace.md."""

    ACTIVE = "active"
    SETUP = "setup"
    DRAIN = "drain"
    MEMORY = "memory"
    RESPONSE = "response"
    DATA = "no data"
    FULL = "full"
    BANK = "bank in use"
    BARRIER = "barrier"
    WAITING = "waiting"
    ISSUE = "issue"
    IDLE = "idle"


BUSY = frozenset(State) - {State.WAITING, State.ISSUE, State.IDLE}
"""States in which a unit executes an instruction: what the BUSY counters count."""


@dataclass(frozen=True)
class Activity:
    """A state and what it is due to.

    Attributes
    ----------
    state : State
    units : tuple of Unit
        WAITING: the units that have not completed what this one waits for; DRAIN: those that the instruction after the
        one that drains waits for; FULL of COMMAND: those whose queues are full.
    """

    state: State
    units: tuple[Unit, ...] = ()


def activity(unit: Unit, word: int) -> Activity:
    """What ``unit`` does when its probe shows ``word``."""
    layout = PROBES[unit]
    fields = {
        name: word >> layout[name].offset & ((1 << layout[name].width) - 1) for name in layout.members
    }
    if unit is Unit.COMMAND:
        return _command(fields)
    missing = _units(fields["missing"])
    if fields["busy"]:
        state = _BUSY_STATE[unit](fields)
        return Activity(state, missing if state is State.DRAIN else ())
    if fields["waiting"]:
        return Activity(State.WAITING, missing)
    return Activity(State.ISSUE if fields["queued"] else State.IDLE)


def _command(fields: Fields) -> Activity:
    if not fields["running"]:
        return Activity(State.IDLE)
    if fields["barrier"]:
        return Activity(State.BARRIER)
    if fields["full"]:
        return Activity(State.FULL, _units(fields["full"]))
    return Activity(State.ACTIVE if fields["word"] else State.MEMORY)


def _units(mask: int) -> tuple[Unit, ...]:
    """Units of a mask, whose lowest bit is LOAD_X."""
    return tuple(unit for unit in Unit if unit and mask >> (unit - 1) & 1)


def _load(fields: Fields) -> State:
    if not fields["receiving"]:
        return State.SETUP
    if fields["beat"]:
        return State.ACTIVE
    return State.MEMORY if fields["flight"] else State.SETUP


def _compute(fields: Fields) -> State:
    if fields["active"]:
        return State.ACTIVE
    return State.SETUP if fields["preparing"] else State.DRAIN


def _vector(fields: Fields) -> State:
    if fields["issuing"]:
        return State.ACTIVE
    if fields["held"]:
        return State.BANK
    if fields["full"]:
        return State.FULL
    if fields["entering"]:
        return State.SETUP
    return State.MEMORY if fields["unsent"] else State.DRAIN


def _store(fields: Fields) -> State:
    if fields["sent"]:
        return State.ACTIVE
    if fields["offered"]:
        return State.MEMORY
    return State.RESPONSE if fields["flight"] else State.DATA


_BUSY_STATE: dict[Unit, Callable[[Fields], State]] = {
    Unit.LOAD_X: _load, Unit.LOAD_A: _load, Unit.COMPUTE: _compute, Unit.VECTOR: _vector, Unit.STORE_0: _store,
    Unit.STORE_1: _store,
}  # fmt: skip
