"""Transfers through the ports as flows of beats, which share ports and memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from eftrain_hdl.planner.ports import PortTiming

__all__ = ["Flow", "Memory"]

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
        self.waiting: deque[tuple[float, float, float, Callable[[], None]]] = deque()
        """Earliest first beat, beats, earliest end, and what to do then; the first one is under way if ``active``."""
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

    def add(self, first: float, beats: float, done: Callable[[], None], *, end: float = 0.0) -> None:
        """Append a transfer."""
        self.waiting.append((first, beats, end, done))
        self.queued += beats
        if len(self.waiting) == 1:
            self._memory.clock.at(first, self._begin)

    def _begin(self) -> None:
        clock = self._memory.clock
        self._memory.advance()
        _, beats, end, _ = self.waiting[0]
        self.active, self.left = True, beats
        self.most = beats / (end - clock.now) if end > clock.now else beats
        self._memory.share()

    def finish(self) -> None:
        """The transfer under way has ended."""
        clock = self._memory.clock
        self.active = False
        self.queued -= self.left  # what rounding left over
        _, _, _, done = self.waiting.popleft()
        if self.waiting:
            clock.at(max(clock.now, self.waiting[0][0]), self._begin)
        clock.at(clock.now, done)
        if self.blocked is not None:
            clock.at(clock.now, self.blocked)
            self.blocked = None


class Memory:
    """Read ports, each with the flows that share it, a write port, and the ceilings of the memory behind them."""

    def __init__(self, clock: Clock, ports: PortTiming, reads: int) -> None:
        self.clock = clock
        self._ports = ports
        self.reads: list[list[Flow]] = [[] for _ in range(reads)]
        self.write = Flow(self)
        self._then = 0.0
        self._written = float(-_LINGER)
        self._version = 0

    def read_flow(self, port: int) -> Flow:
        """A new flow through a read port."""
        flow = Flow(self)
        self.reads[port].append(flow)
        return flow

    def advance(self) -> None:
        """Move beats up to now."""
        passed = self.clock.now - self._then
        if passed > 0:
            for flow in self._active():
                moved = passed * flow.rate
                flow.left -= moved
                flow.queued -= moved
            if self.write.active:
                self._written = self.clock.now
        self._then = self.clock.now

    def share(self) -> None:
        """Give every active flow its rate, and wait for the first one to end."""
        ports = self._ports
        wanted = 0.0
        for flows in self.reads:
            active = [flow for flow in flows if flow.active]
            for flow in active:
                flow.rate = ports.read_rate / len(active)
            wanted += ports.read_rate if active else 0.0
        write = self.write
        write.rate = min(ports.write_rate, write.most) if write.active else 0.0
        read_limit = ports.read_limit
        lingers = not write.active and self.clock.now < self._written + _LINGER
        if wanted and (write.active or lingers):
            share = ports.write_share
            write.rate = min(write.rate, max(share * ports.mixed_limit, ports.mixed_limit - wanted))
            read_limit = ports.mixed_limit - write.rate
        else:
            write.rate = min(write.rate, ports.write_limit)
        if wanted > read_limit:
            for flows in self.reads:
                for flow in flows:
                    flow.rate *= read_limit / wanted
        self._version += 1
        version = self._version
        ends = [flow.left / flow.rate for flow in self._active() if flow.rate > 0]
        if lingers and wanted > read_limit:
            ends.append(self._written + _LINGER - self.clock.now)
        if ends:
            self.clock.at(self.clock.now + max(0.0, min(ends)), lambda: self._wake(version))

    def _active(self) -> list[Flow]:
        return [flow for flows in (*self.reads, [self.write]) for flow in flows if flow.active]

    def _wake(self, version: int) -> None:
        if version != self._version:
            return
        self.advance()
        for flow in self._active():
            if flow.left < 1e-6:
                flow.finish()
        self.share()
