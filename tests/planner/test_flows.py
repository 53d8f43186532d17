"""Flows through ports: shares, ceilings, and what reads and writes take from each other."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from eftrain_hdl.planner.flows import Flow, Memory
from eftrain_hdl.planner.ports import PortTiming


class Events:
    """A clock that notes when transfers end."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends: dict[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._serial), action))

    def transfer(self, flow: Flow, name: str, first: float, beats: float, end: float = 0.0) -> None:
        flow.add(first, beats, lambda: self.ends.update({name: self.now}), end=end)

    def run(self) -> dict[str, float]:
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()
        return self.ends


def test_flows_of_a_port_share_it_and_ports_do_not() -> None:
    events = Events()
    memory = Memory(events, PortTiming(), 2)
    x, a, other = memory.read_flow(0), memory.read_flow(0), memory.read_flow(1)
    events.transfer(x, "x", 0, 100)
    events.transfer(a, "a", 0, 50)
    events.transfer(other, "other", 10, 100)
    assert events.run() == pytest.approx({"a": 100, "x": 150, "other": 110})


def test_transfers_of_a_flow_follow_each_other() -> None:
    events = Events()
    flow = Memory(events, PortTiming(read_rate=0.5), 1).read_flow(0)
    events.transfer(flow, "first", 5, 10)
    events.transfer(flow, "second", 5, 10)
    events.transfer(flow, "late", 100, 10)
    assert events.run() == pytest.approx({"first": 25, "second": 45, "late": 120})


def test_ceiling_of_reads_holds_for_all_ports() -> None:
    events = Events()
    memory = Memory(events, PortTiming(read_limit=1.2), 2)
    for port in range(2):
        events.transfer(memory.read_flow(port), str(port), 0, 60)
    assert events.run() == pytest.approx({"0": 100, "1": 100})


@pytest.mark.parametrize(("share", "read", "write"), [(0.5, 200, 200), (0.0, 100, 200), (0.25, 400 / 3, 200)])
def test_reads_and_writes_share_the_mixed_ceiling(share: float, read: float, write: float) -> None:
    """What one side leaves goes to the other; with no share, writes wait for reads."""
    events = Events()
    ports = PortTiming(mixed_limit=1.0, write_share=share)
    memory = Memory(events, ports, 1)
    events.transfer(memory.read_flow(0), "read", 0, 100)
    events.transfer(memory.write, "write", 0, 100)
    assert events.run() == pytest.approx({"read": read, "write": write})


def test_the_mixed_ceiling_outlasts_the_writes_a_little() -> None:
    events = Events()
    ports = PortTiming(mixed_limit=0.5, write_share=0.5, read_limit=1.0)
    memory = Memory(events, ports, 1)
    events.transfer(memory.write, "write", 0, 10)
    events.transfer(memory.read_flow(0), "read", 20, 100)
    ends = events.run()
    assert ends["write"] == pytest.approx(10)
    # Half speed until 72 cycles after the last write, at 82; full speed for the 69 beats that are left then.
    assert ends["read"] == pytest.approx(82 + 69)


def test_writes_come_no_faster_than_they_are_made() -> None:
    events = Events()
    memory = Memory(events, PortTiming(), 1)
    events.transfer(memory.write, "slow", 0, 10, end=100)
    events.transfer(memory.write, "late", 0, 10, end=50)
    assert events.run() == pytest.approx({"slow": 100, "late": 110})


def test_no_ceiling_no_coupling() -> None:
    def ends(ports: PortTiming) -> dict[str, float]:
        events = Events()
        memory = Memory(events, ports, 1)
        events.transfer(memory.read_flow(0), "read", 0, 100)
        events.transfer(memory.write, "write", 0, 100)
        return events.run()

    assert ends(PortTiming()) == pytest.approx({"read": 100, "write": 100})
    assert ends(replace(PortTiming(), mixed_limit=2.0)) == pytest.approx({"read": 100, "write": 100})
