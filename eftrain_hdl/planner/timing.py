"""When everything in a program happens: an event model of the units, their queues, the ports and the array.

Units take their instructions in order. A load is a flow of beats through a read port, which concurrent flows share; a
COMPUTE occupies the array for its vectors; a VECTOR for its elements, or for as long as its port needs to write what
comes out. What an instruction waits for is what it says itself. See ``docs/model.md``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil, prod

from eftrain_hdl.config import Config
from eftrain_hdl.isa import AFTER, FORMATS, VECTOR_LEVELS, Instruction, Opcode, Unit, lengths, queue_words
from eftrain_hdl.planner.flows import Memory
from eftrain_hdl.planner.ports import DEFAULT_PORTS, PortTiming

__all__ = ["Timeline", "array_latency", "demand", "simulate_timing", "transfer_beats"]

_ROOM = {
    layout.unit: queue_words(opcode) - 2 for opcode, layout in FORMATS.items() if layout.unit is not Unit.COMMAND
}
"""Words that a queue holds, besides the instruction being assembled, and still takes another instruction."""
_LOADS = 8
"""Transfers a load unit hands to its DMA ahead."""
_EXTRA = 2
"""Words that a queue holds for each instruction besides those of the program."""
_ASSEMBLE = 4
_DISPATCH = 4
_GRANT = 1
_GIVE = 2
_BARRIER = 10
_FETCH = 24
"""From the start of a program, or from a BARRIER, to the first words, beyond the memory's latency."""
_REQUEST = 12
"""From a load instruction to its first address, and from its last beat to its completion."""
_PREPARE = 8
"""From a COMPUTE to its first vector, beyond rows or lanes."""
_STORE_BUFFER = 1024
_VECTOR_START, _VECTOR_END = 10, 28
_BURST_CYCLES = 2

_UNITS = {opcode: layout.unit for opcode, layout in FORMATS.items()}
_TRANSFERS = frozenset({Opcode.LOAD_X, Opcode.LOAD_A, Opcode.STORE_0, Opcode.STORE_1})
_BLOCK_COUNTS = tuple(f"b{k}_count" for k in range(4))
_STREAM_COUNTS = tuple(f"s{k}_count" for k in range(4))
_VECTOR_COUNTS = tuple(f"n{k}_count" for k in range(VECTOR_LEVELS))


@dataclass
class Timeline:
    """What happened when.

    Attributes
    ----------
    phases : list of float
        Cycles between stamps: of stamped stores, of BARRIERs and of END.
    spans : list of (unit, index of the instruction, start, end)
        When each instruction was executed.
    """

    phases: list[float] = field(default_factory=list)
    spans: list[tuple[Unit, int, float, float]] = field(default_factory=list)


def array_latency(config: Config) -> tuple[int, int]:
    """Cycles from the issue of a vector until its sums can be read, and between two that add into the same word."""
    levels = (config.lanes - 1).bit_length()
    stages = -(-levels // 2)
    return 27 + levels + 3 * stages + config.rows, 10


class _Model:
    """One program on its way through the units."""

    def __init__(self, program: Sequence[Instruction], config: Config, ports: PortTiming) -> None:
        self.program, self.config, self.ports = program, config, ports
        self.latency, self.recurrence = array_latency(config)
        self._shapes = [
            (_UNITS[instruction.opcode], length)
            for instruction, length in zip(program, lengths(program), strict=True)
        ]
        """Unit and words of each instruction."""
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self.timeline = Timeline()
        self._next = 0
        self._queued: dict[Unit, deque[int]] = {unit: deque() for unit in Unit}
        self._held: dict[Unit, int] = dict.fromkeys(Unit, 0)
        """Words that wait in each queue."""
        self._ready: dict[Unit, float] = dict.fromkeys(Unit, 0.0)
        self._asked: dict[Unit, bool] = dict.fromkeys(Unit, False)
        self._blocked = False
        self._counts = dict.fromkeys(Unit, 0)
        """Instructions of each unit that are dispatched, and ..."""
        self._completed = dict.fromkeys(Unit, 0)
        """... complete, as others see it."""
        self._wanted: dict[int, list[tuple[Unit, int]]] = {}
        """By instruction: units, and how many of their instructions it waits for."""
        self._open = 0
        self._phase_start = 0.0
        last = 1 if config.ports > 2 else 0
        self._memory = Memory(self, ports, last + 1)
        self._flows = {Unit.LOAD_X: self._memory.read_flow(0), Unit.LOAD_A: self._memory.read_flow(last)}
        self._fetched = 0.0
        self._stream_end = 0.0
        self._block_start = 0.0
        self._vector_end = 0.0
        self._vector_next: tuple[int, float] | None = None
        """The VECTOR that waits for the one before it to end, and since when."""
        self._vector_busy = False
        self._stores: dict[Unit, deque[int]] = {Unit.STORE_0: deque(), Unit.STORE_1: deque()}
        self._drained: dict[Unit, deque[tuple[float, float]]] = {Unit.STORE_0: deque(), Unit.STORE_1: deque()}
        """Starts and ends of what the vector unit sent to a store."""

    def at(self, time: float, action: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._events, (time, self._serial, action))

    def run(self) -> Timeline:
        self.at(_FETCH + self.ports.read_latency, self._dispatch)
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()
        if self._next < len(self.program):
            raise AssertionError(f"instruction {self._next} of {len(self.program)} is never reached")
        return self.timeline

    # Command processor and queues.

    def _dispatch(self) -> None:
        self._blocked = False
        if self._next == len(self.program):
            return
        unit, words = self._shapes[self._next]
        if unit is Unit.COMMAND:
            if self._open:
                self._blocked = True
                return
            end = self.now + _BARRIER
            self._stamp(end)
            self._next += 1
            self.at(end, self._dispatch)
            return
        queue = self._queued[unit]
        if self._held[unit] >= _ROOM[unit]:
            self._blocked = True
            return
        if queue:
            self._held[unit] += words + _EXTRA
        queue.append(self._next)
        values = self.program[self._next].values
        self._wanted[self._next] = [
            (other, self._counts[other] - values[name] + 1) for other, name in AFTER.items() if values.get(name)
        ]
        self._counts[unit] += 1
        self._open += 1
        self._next += 1
        self._fetched += words / self.config.vector_lanes
        if len(queue) == 1:
            self._ready[unit] = max(self.now + words + _ASSEMBLE, self._ready[unit])
            self.at(self._ready[unit], lambda: self._ask(unit))
        self.at(self.now + words + _DISPATCH, self._dispatch)

    def _ask(self, unit: Unit) -> None:
        """The oldest instruction of a unit is complete: it starts once others have done what it waits for."""
        self._asked[unit] = True
        self._try(unit)

    def _try(self, unit: Unit) -> None:
        number = self._queued[unit][0]
        for other, count in self._wanted[number]:
            if self._completed[other] < count:
                return
        del self._wanted[number]
        self._asked[unit] = False
        self.at(self.now + _GRANT, lambda: self._start[unit](self, number))

    def _accepted(self, unit: Unit) -> None:
        """The unit has taken its oldest instruction: the next one is assembled."""
        queue = self._queued[unit]
        queue.popleft()
        if queue:
            words = self._shapes[queue[0]][1]
            self._held[unit] -= words + _EXTRA
            self._ready[unit] = self.now + words + _ASSEMBLE
            self.at(self._ready[unit], lambda: self._ask(unit))
        else:
            self._ready[unit] = self.now + _ASSEMBLE
        if self._blocked:
            self._dispatch()

    def _stamp(self, time: float) -> None:
        self.timeline.phases.append(time - self._phase_start)
        self._phase_start = time

    def _posted(self, number: int, started: float) -> None:
        instruction = self.program[number]
        unit = self._shapes[number][0]
        if unit is Unit.STORE_0 and instruction["stamp"]:
            self._stamp(self.now)
        self.timeline.spans.append((unit, number, started, self.now))
        self._open -= 1
        self.at(self.now + _GIVE, lambda: self._count(unit))
        if self._blocked and not self._open:
            self._dispatch()

    def _count(self, unit: Unit) -> None:
        self._completed[unit] += 1
        for other, asked in self._asked.items():
            if asked:
                self._try(other)

    # Units.

    def _load(self, number: int) -> None:
        instruction, unit = self.program[number], self._shapes[number][0]
        flow = self._flows[unit]
        if len(flow.waiting) >= _LOADS:
            flow.blocked = lambda: self._load(number)
            return
        # What the command processor reads meanwhile goes through the port of LOAD_A.
        extra = 0.0
        if self.config.ports < 4 and (unit is Unit.LOAD_A or self.config.ports < 3):
            extra, self._fetched = self._fetched, 0.0
        begun = self.now
        first = begun + _REQUEST + self.ports.read_latency
        beats = transfer_beats(instruction) + extra
        pace = beats / (_transfer_cycles(instruction, self.ports) + extra)
        flow.add(first, beats, lambda: self._posted(number, begun), pace=pace)
        self._accepted(unit)

    def _compute(self, number: int) -> None:
        instruction, config = self.program[number], self.config
        blocks, period, vectors = _array_cycles(instruction, config)
        # The sequencer takes an instruction when the last block of the one before has begun.
        taken = max(self.now, self._block_start)
        prepared = taken + _PREPARE + max(config.rows, config.lanes)
        gap = 1 if instruction["chained"] else self.recurrence + 3
        start = max(prepared, self._stream_end + gap)
        self._block_start = start + (blocks - 1) * period
        end = self._block_start + vectors
        self._stream_end = end
        self.at(taken, lambda: self._accepted(Unit.COMPUTE))
        self.at(end + self.latency, lambda: self._posted(number, start))

    def _vector(self, number: int) -> None:
        self._vector_next = number, self.now
        if not self._vector_busy:
            self._vector_begin()

    def _vector_begin(self) -> None:
        assert self._vector_next is not None
        number, granted = self._vector_next
        self._vector_next, self._vector_busy = None, True
        instruction = self.program[number]
        elements = prod(map(instruction.__getitem__, _VECTOR_COUNTS))
        stores = [unit for flag, unit in (("emit_0", Unit.STORE_0), ("emit_1", Unit.STORE_1)) if instruction[flag]]
        emitted = elements * len(stores)
        if instruction["reduce"]:
            emitted //= instruction["n0_count"] * instruction["n1_count"]
        start = max(granted + _VECTOR_START, self._vector_end)

        def stored() -> None:
            for unit in stores:
                self._drained[unit].append((start, self.now + self.ports.write_latency + 10))
                self._match(unit)

        if stores:
            self._memory.write.add(start + _VECTOR_END, emitted, stored, end=start + elements + _VECTOR_END)
        self.at(start, lambda: self._accepted(Unit.VECTOR))
        buffer = _STORE_BUFFER * max(1, len(stores))
        self.at(start + elements, lambda: self._vector_over(number, start, buffer))

    def _vector_over(self, number: int, start: float, buffer: int) -> None:
        """All elements have been worked on; the last ones leave when the stores' buffers have room for them."""
        write = self._memory.write
        self._memory.advance()
        excess = write.queued - buffer
        if excess >= 1:
            self.at(
                self.now + excess / (write.rate or self.ports.write_rate),
                lambda: self._vector_over(number, start, buffer),
            )
            return
        self._vector_end, self._vector_busy = self.now, False
        self.at(self.now + _VECTOR_END, lambda: self._posted(number, start))
        if self._vector_next is not None:
            self._vector_begin()

    def _store(self, number: int) -> None:
        unit = self._shapes[number][0]
        self._stores[unit].append(number)
        self._accepted(unit)
        self._match(unit)

    def _match(self, unit: Unit) -> None:
        """Stores and the VECTOR instructions that feed them, one to one and in order."""
        numbers = self._stores[unit]
        while numbers and self._drained[unit]:
            number, (start, end) = numbers.popleft(), self._drained[unit].popleft()
            self.at(max(self.now, end), partial(self._posted, number, start))

    _start: dict[Unit, Callable[[_Model, int], None]] = {
        Unit.LOAD_X: _load, Unit.LOAD_A: _load, Unit.COMPUTE: _compute, Unit.VECTOR: _vector, Unit.STORE_0: _store,
        Unit.STORE_1: _store,
    }  # fmt: skip


def transfer_beats(instruction: Instruction) -> int:
    """Beats of a load or store; 0 for other instructions."""
    if instruction.opcode not in _TRANSFERS:
        return 0
    return instruction["run"] * instruction["count1"] * instruction["count2"] * instruction["count3"]


def _transfer_cycles(instruction: Instruction, ports: PortTiming) -> float:
    """Cycles of a port at full rate that a transfer takes: its beats, or more if its runs are short."""
    beats, run = transfer_beats(instruction), instruction["run"]
    return max(beats, beats // run * ceil(run / ports.burst_beats) * _BURST_CYCLES)


def _array_cycles(instruction: Instruction, config: Config) -> tuple[int, int, int]:
    """Blocks, cycles from block to block, and vectors of a block."""
    vectors = prod(map(instruction.__getitem__, _STREAM_COUNTS)) + instruction["ones"]
    blocks = prod(map(instruction.__getitem__, _BLOCK_COUNTS))
    least = max(config.rows, config.lanes + 4 if instruction["lanes_per_block"] else 0, array_latency(config)[1])
    return blocks, max(vectors, least), vectors


def demand(instruction: Instruction, config: Config, ports: PortTiming = DEFAULT_PORTS) -> float:
    """Cycles for which an instruction needs its unit, if nothing holds it up."""
    match instruction.opcode:
        case Opcode.COMPUTE:
            blocks, period, _ = _array_cycles(instruction, config)
            return blocks * period
        case Opcode.VECTOR:
            return prod(map(instruction.__getitem__, _VECTOR_COUNTS))
        case Opcode.LOAD_X | Opcode.LOAD_A | Opcode.STORE_0 | Opcode.STORE_1:
            return _transfer_cycles(instruction, ports)
    return 0


def simulate_timing(program: Sequence[Instruction], config: Config, ports: PortTiming = DEFAULT_PORTS) -> Timeline:
    """Execute a program in time only."""
    return _Model(program, config, ports).run()
