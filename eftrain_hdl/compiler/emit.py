"""From a list of instructions with the memory they touch to a program in which they wait for each other.

Every instruction says which regions of which memories it reads and writes. Instructions of one unit run in order; where
two units meet in a region, the later instruction has to wait for the earlier one. A wait that other waits already imply
is left out. Phases are not separated otherwise: the units that have finished with
one go on with the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.isa import (
    AFTER,
    FORMATS,
    INSTRUCTION_ALIGNMENT,
    MOST_DISTANCE,
    Instruction,
    Opcode,
    Unit,
    assemble,
    frames,
    steps,
)

from .limits import MOST_RUN, DoesNotFit, Reach, check_fields, wrap

__all__ = ["Level", "Marks", "Nest", "ProgramBuilder", "Region", "TooManyLevels", "nest", "transfer"]

Level = tuple[int, Mapping[str, int]]
"""A loop: its count, and what each quantity gains per iteration."""
_Gain = tuple[tuple[str, int], ...]


Marks = dict[Unit, int]
"""A place in a program: how many instructions of each unit lie before it."""


_MOST_COUNT = (1 << 16) - 1


class TooManyLevels(DoesNotFit):
    """A nest or a transfer has more levels than an instruction."""


class Nest(NamedTuple):
    """Fields of a nest, and what its loops add to each quantity."""

    values: Mapping[str, int]
    reach: Reach


class Region(NamedTuple):
    """Addresses ``start`` to ``stop - 1`` of a memory or a tensor called ``space``."""

    space: str
    start: int
    stop: int


_STORES = (Unit.STORE_0, Unit.STORE_1)
_CHIP = {"stream", "station", *(f"operand_{name}" for name in "abc"), *(f"bank{k}" for k in range(4))}
"""Regions of memories on the chip; all others are tensors."""
_COARSE = 8
"""Regions of a tensor that are told apart after the phase that used them."""

_NONE = (-1,) * len(Unit)


@dataclass
class _Op:
    opcode: Opcode
    values: dict[str, int]
    unit: Unit
    number: int
    """Position among the instructions of its unit."""
    started: list[int]
    """Per unit, the last instruction that is complete when this one starts."""
    completed: list[int]
    """And when this one is complete."""


class ProgramBuilder:
    """Collects instructions in program order."""

    def __init__(self) -> None:
        self._ops: list[_Op] = []
        self.labels: list[tuple[int, str]] = []
        """(index of the layer, phase) that ends at each stamp, and at END."""
        self._by_unit: dict[Unit, list[_Op]] = {unit: [] for unit in Unit}
        self._accesses: defaultdict[str, defaultdict[tuple[Unit, bool], dict[tuple[int, int], int]]]
        self._accesses = defaultdict(lambda: defaultdict(dict))
        self._phase_start = 0
        self.ends: list[Marks] = []
        """Where each phase ends."""

    def emit(
        self, opcode: Opcode, values: Mapping[str, int], reads: Sequence[Region] = (), writes: Sequence[Region] = ()
    ) -> None:
        """Append an instruction; ``values`` has all fields but what it waits for. Raises DoesNotFit."""
        check_fields(opcode, values)
        unit = FORMATS[opcode].unit
        mine = self._by_unit[unit]
        started, completed = ([*mine[-1].started], [*mine[-1].completed]) if mine else ([*_NONE], [*_NONE])
        op = _Op(opcode, dict(values), unit, len(mine), started, completed)
        needs = self._needs(unit, op.number, reads, writes)
        vector = self._by_unit[Unit.VECTOR][-1] if unit in _STORES else None
        if vector is not None:  # data reach a store no sooner than the vector unit starts, nor the last before it ends
            self._merge(op.started, vector.started)
            self._merge(op.completed, vector.completed)
        for producer, number in sorted(needs.items(), key=lambda item: -item[1]):
            if number <= op.started[producer]:
                continue
            before = self._by_unit[producer]
            # What is further back cannot be said; the hardware has it complete, or nearly so.
            distance = min(len(before) - number, MOST_DISTANCE)
            op.values[AFTER[producer]] = distance
            self._merge(op.started, before[-distance].completed)
            self._merge(op.completed, before[-distance].completed)
        op.completed[unit] = op.number
        mine.append(op)
        self._ops.append(op)

    @staticmethod
    def _merge(into: list[int], other: Sequence[int]) -> None:
        into[:] = map(max, into, other)

    def _needs(self, unit: Unit, number: int, reads: Sequence[Region], writes: Sequence[Region]) -> dict[Unit, int]:
        """The last instruction of each other unit that has to be complete first; notes what this one accesses."""
        needs: dict[Unit, int] = {}
        for regions, writing in ((reads, False), (writes, True)):
            for space, first, end in regions:
                for (who, wrote), seen in self._accesses[space].items():
                    if who is unit or not (writing or wrote):
                        continue
                    met = [key for key in seen if key[1] > first and key[0] < end]
                    if not met:
                        continue
                    needs[who] = max(needs.get(who, -1), *[seen[key] for key in met])
                    if writing:
                        for key in met:
                            if key[0] >= first and key[1] <= end:
                                del seen[key]
        for regions, writing in ((reads, False), (writes, True)):
            for space, first, end in regions:
                self._accesses[space][unit, writing][first, end] = number
        return needs

    def count(self) -> int:
        """Instructions emitted so far."""
        return len(self._ops)

    def marks(self) -> Marks:
        """Instructions emitted so far, by unit."""
        return {unit: len(ops) for unit, ops in self._by_unit.items()}

    def latest(self, opcode: Opcode) -> Mapping[str, int] | None:
        """Fields of the latest instruction of a kind."""
        mine = self._by_unit[FORMATS[opcode].unit]
        return mine[-1].values if mine else None

    def end_phase(self, layer: int, phase: str) -> None:
        """Ends a phase, if anything belongs to it: its last STORE_0 is stamped."""
        if len(self._ops) == self._phase_start:
            return
        self._by_unit[Unit.STORE_0][-1].values["stamp"] = 1
        self.labels.append((layer, phase))
        self.ends.append(self.marks())
        self._phase_start = len(self._ops)
        for space, accesses in self._accesses.items():
            if space not in _CHIP:
                for who, seen in accesses.items():
                    accesses[who] = _coarse(seen)

    def finish(self) -> list[Instruction]:
        """The program with END, which makes the last time stamp."""
        if len(self._ops) > self._phase_start:
            raise AssertionError("the last phase has no end")
        if self._ops:
            del self._by_unit[Unit.STORE_0][-1].values["stamp"]
        ops = [*self._ops, _Op(Opcode.END, {}, Unit.COMMAND, 0, [], [])]
        return [Instruction(op.opcode, {"tag": k & 0xFFFF, **op.values}) for k, op in enumerate(ops)]


def _coarse(seen: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """A few regions that cover all, each with its last access."""
    if len(seen) <= _COARSE:
        return seen
    order = sorted(seen.items(), key=lambda item: item[1])
    size = -(-len(order) // _COARSE)
    parts = [order[k : k + size] for k in range(0, len(order), size)]
    return {
        (min(start for (start, _), _ in part), max(stop for (_, stop), _ in part)): part[-1][1] for part in parts
    }


def assemble_aligned(program: Sequence[Instruction]) -> np.ndarray:
    """The words of a program, filled up to the alignment of instructions."""
    words = assemble(program)
    unit = INSTRUCTION_ALIGNMENT // 4
    return np.pad(words, (0, -len(words) % unit))


def move_program(words: np.ndarray, shift: int) -> np.ndarray:
    """The program with every DRAM address ``shift`` bytes further on. ValueError if it cannot be decoded."""
    out = words.copy()
    for at, layout, _ in frames(words, 0):
        if layout.gives_address(int(words[at])):
            low, high = (at + layout.places[name][0] for name in ("address_low", "address_high"))
            address = (int(words[low]) | int(words[high]) << 32) + shift
            out[low], out[high] = address & 0xFFFF_FFFF, address >> 32
    return out


def _merge_levels(levels: Sequence[Level], keep: int, most_first: int = _MOST_COUNT) -> list[Level]:
    """Drop loops of one iteration and join loops that go on where the inner one ends; ``keep`` loops stay as they are.

    A loop that is joined has no more iterations than a count can say, the first one ``most_first``.
    """
    out: list[Level] = [(count, dict(gain)) for count, gain in levels[:keep]]
    for count, gain in levels[keep:]:
        gain = {name: value for name, value in gain.items() if value}
        if count == 1:
            continue
        if len(out) > keep:
            inner, inner_gain = out[-1]
            follows = gain == {name: value * inner for name, value in inner_gain.items()}
            if follows and inner * count <= (most_first if len(out) == 1 else _MOST_COUNT):
                out[-1] = (inner * count, inner_gain)
                continue
        out.append((count, gain))
    return out


def nest(
    prefix: str, limit: int, quantities: Sequence[tuple[str, int]], levels: Sequence[Level], keep: int = 0
) -> Nest:
    """A nest from its loops, innermost first. Raises TooManyLevels.

    The first ``keep`` loops become levels of their own whatever their count.
    """
    key = tuple((count, tuple(gain.items())) for count, gain in levels)
    return _nest(prefix, limit, tuple(quantities), key, keep)


@lru_cache(maxsize=4096)
def _nest(
    prefix: str, limit: int, quantities: Sequence[tuple[str, int]], key: Sequence[tuple[int, _Gain]], keep: int
) -> Nest:
    """`nest` of what can be looked up: a phase has few different nests and many instructions."""
    merged = _merge_levels([(count, dict(gain)) for count, gain in key], keep)
    if (most := max((count for count, _ in merged), default=1)) > _MOST_COUNT:
        raise DoesNotFit(f"a loop of {most} iterations: at most {_MOST_COUNT}")
    if len(merged) > limit:
        raise TooManyLevels(f"{len(merged)} nested loops, where an instruction has {limit}")
    merged += [(1, {})] * (limit - len(merged))
    counts = [count for count, _ in merged]
    values = {f"{prefix}{k}_count": count for k, count in enumerate(counts)}
    reach = {}
    used = {name for _, gain in merged for name in gain}
    for name, bits in quantities:
        if name in used:
            stride = [gain.get(name, 0) for _, gain in merged]
            for k, step in enumerate(steps(counts, stride)):
                values[f"{prefix}{k}_{name}"] = wrap(step, bits)
            ends = [(count - 1) * gain for count, gain in zip(counts, stride, strict=True)]
            reach[name] = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    return Nest(values, reach)


def transfer(config: Config, address: int, levels: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Fields of a transfer of beats from its loops (count, bytes), innermost first. Raises TooManyLevels."""
    return {
        "address_low": address & 0xFFFF_FFFF, "address_high": address >> 32,
        **_transfer(config.beat_bytes, tuple(levels)),
    }  # fmt: skip


@lru_cache(maxsize=4096)
def _transfer(beat_bytes: int, levels: Sequence[tuple[int, int]]) -> Mapping[str, int]:
    """`transfer` without its address."""
    beats = [(count, stride) for count, stride in levels if count > 1]
    contiguous = bool(beats) and beats[0][1] == beat_bytes
    named: list[Level] = [(count, {"at": stride}) for count, stride in beats]
    merged = _merge_levels(named, 0, MOST_RUN if contiguous else _MOST_COUNT)
    run = merged.pop(0)[0] if contiguous else 1
    if run > MOST_RUN:
        raise DoesNotFit(f"one run of {run} beats: at most {MOST_RUN}")
    if len(merged) > 3:
        raise TooManyLevels(f"{len(merged)} nested loops of runs, where a transfer has 3")
    values = {"run": run}
    for k in range(3):
        count, gain = merged[k] if k < len(merged) else (1, {})
        values[f"count{k + 1}"], values[f"stride{k + 1}"] = count, gain.get("at", 0)
    return values
