"""Transfers through the ports as flows of beats, which share ports and memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Protocol

from eftrain_hdl.planner.ports import PortTiming

__all__ = ["Flow", "Memory"]

_EPSILON = 1e-6
_LINGER = 72
"""Cycles after the last write for which the memory still counts as writing (csrc/dram.cpp)."""


class Clock(Protocol):
    """What events need: the time, and a way to have something done later."""

    now: float

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``time``."""


class Flow:
    """Beats of one DMA engine, transfer after transfer."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.waiting: deque[tuple[float, float, float, float, Callable[[], None]]] = deque()
        """Earliest first beat, beats, beats a cycle at most, earliest end, and what to do then; the first one is under
        way if ``active``.
        """
        self.left = 0.0
        self.rate = 0.0
        """Beats a cycle that it gets."""
        self.most = 0.0
        """Beats a cycle that it could use."""
        self.active = False
        self.queued = 0.0
        """Beats of all transfers that wait or are under way."""
        self.blocked: Callable[[], None] | None = None
        """What waits for a transfer to end."""

    def add(
        self, first: float, beats: float, done: Callable[[], None], *, pace: float = 1.0, end: float = 0.0
    ) -> None:
        """Append a transfer, which a port of its own would pass at ``pace`` beats a cycle."""
        self.waiting.append((first, beats, pace, end, done))
        self.queued += beats
        if len(self.waiting) == 1:
            self._memory.clock.at(first, self._begin)

    def _begin(self) -> None:
        clock = self._memory.clock
        self._memory.advance()
        _, beats, pace, end, _ = self.waiting[0]
        self.active, self.left = True, beats
        self.most = min(pace, beats / (end - clock.now)) if end > clock.now else pace
        self._memory.share()

    def finish(self) -> None:
        """The transfer under way has ended."""
        clock = self._memory.clock
        self.active = False
        self.queued -= self.left  # what rounding left over
        *_, done = self.waiting.popleft()
        if self.waiting:
            clock.at(max(clock.now, self.waiting[0][0]), self._begin)
        clock.at(clock.now, done)
        if self.blocked is not None:
            clock.at(clock.now, self.blocked)
            self.blocked = None


@dataclass
class _Budget:
    """Beats of a direction that the memory grants at once; they grow while it takes less than its part."""

    most: float
    beats: float = 0.0
    gain: float = 0.0
    """Beats a cycle, less those that are taken."""

    def __post_init__(self) -> None:
        self.beats = self.most

    def take(self, wanted: float, part: float) -> float:
        """What the direction gets of the beats a cycle that it wants, if ``part`` of them are its own."""
        got = wanted if self.beats > _EPSILON else min(wanted, part)
        self.gain = part - got
        return got

    @property
    def full(self) -> bool:
        return self.beats >= self.most - _EPSILON

    def change(self) -> float:
        """Cycles until it is full or empty."""
        if self.gain < -_EPSILON and self.beats > _EPSILON:
            return -self.beats / self.gain
        if self.gain > _EPSILON and not self.full:
            return (self.most - self.beats) / self.gain
        return inf


class Memory:
    """Read ports, each with the flows that share it, a write port, and the ceilings of the memory behind them."""

    def __init__(self, clock: Clock, ports: PortTiming, reads: int) -> None:
        self.clock = clock
        self._ports = ports
        self.reads: list[list[Flow]] = [[] for _ in range(reads)]
        self.write = Flow(self)
        self._flows = [self.write]
        self._limited = min(ports.read_limit, ports.write_limit, ports.mixed_limit) < inf
        self._read_budget, self._write_budget = _Budget(ports.credit), _Budget(ports.credit)
        self._then = 0.0
        self._written = float(-_LINGER)
        self._version = 0

    def read_flow(self, port: int) -> Flow:
        """A new flow through a read port."""
        flow = Flow(self)
        self.reads[port].append(flow)
        self._flows = [*chain(*self.reads), self.write]
        return flow

    def advance(self) -> None:
        """Move beats up to now."""
        passed = self.clock.now - self._then
        if passed > 0:
            for flow in self._active():
                moved = passed * flow.rate
                flow.left -= moved
                flow.queued -= moved
            if self._limited:
                for budget in (self._read_budget, self._write_budget):
                    budget.beats = min(budget.most, max(0.0, budget.beats + passed * budget.gain))
            if self.write.active:
                self._written = self.clock.now
        self._then = self.clock.now

    def share(self) -> None:
        """Give every active flow its rate, and wait for the first change."""
        ports = self._ports
        reads = 0.0
        for flows in self.reads:
            reading = [flow for flow in flows if flow.active]
            for flow in reading:
                flow.rate = min(ports.read_rate, flow.most) / len(reading)
                reads += flow.rate
        write = self.write
        write.rate = min(ports.write_rate, write.most) if write.active else 0.0
        active = self._active()
        changes = [inf]
        if self._limited:
            granted, write.rate = self._grant(reads, write.rate)
            if granted < reads:
                for flow in active:
                    if flow is not write:
                        flow.rate *= granted / reads
            changes += [self._read_budget.change(), self._write_budget.change()]
            if self._lingers:
                changes.append(self._written + _LINGER - self.clock.now)
        changes += [flow.left / flow.rate for flow in active if flow.rate > 0]
        self._version += 1
        version = self._version
        change = min(changes)
        if change < inf:
            self.clock.at(self.clock.now + max(0.0, change), lambda: self._wake(version))

    @property
    def _lingers(self) -> bool:
        return not self.write.active and self.clock.now < self._written + _LINGER - _EPSILON

    def _grant(self, reads: float, writes: float) -> tuple[float, float]:
        """Beats a cycle that both directions get of those that they want."""
        ports, read, write = self._ports, self._read_budget, self._write_budget
        if not (reads and (writes or self._lingers)):
            return read.take(reads, ports.read_limit), write.take(writes, ports.write_limit)
        mine, other = (1 - ports.write_share) * ports.mixed_limit, ports.write_share * ports.mixed_limit
        # What one direction has no room for goes to the other.
        if write.full and writes < other:
            mine, other = mine + other - writes, writes
        elif read.full and reads < mine:
            mine, other = reads, other + mine - reads
        return read.take(reads, mine), write.take(writes, other)

    def _active(self) -> list[Flow]:
        return [flow for flow in self._flows if flow.active]

    def _wake(self, version: int) -> None:
        if version != self._version:
            return
        self.advance()
        for flow in self._active():
            if flow.left < _EPSILON:
                flow.finish()
        self.share()
