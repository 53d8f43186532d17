"""Runs VECTOR programs on the compiled unit, and makes random ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cache
from random import Random

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.isa import (
    AFTER,
    NO_INDEX,
    VECTOR_LEVELS,
    VECTOR_QUANTITIES,
    Instruction,
    Opcode,
    Target,
    steps,
)
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.layouts import DrainRead
from eftrain_hdl.rtl.vector import VectorUnit

from .compiled import Compiled
from .model import Model

LIMIT = 30_000


@cache
def config_of(lanes: int) -> Config:
    """Small memories; three groups of rows where the number of lanes allows a group count that is no power of two."""
    width = max(lanes, 2)
    return Config(rows=3 * width, lanes=width, data_width=32 * lanes, operand_depth=64, accumulator_depth=32)


@cache
def unit_of(lanes: int, queue_depth: int) -> Compiled:
    return Compiled(VectorUnit(config_of(lanes), queue_depth=queue_depth))


@dataclass
class Seen:
    """What the unit did, with the cycle of each event."""

    out: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    out_cycles: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    drain_cycles: list[int] = field(default_factory=list)
    post_cycles: list[int] = field(default_factory=list)
    overflow: bool = False
    invalid: bool = False
    error: tuple[ErrorCode, int] | None = None


@dataclass(frozen=True)
class Traffic:
    """Chances, cycle by cycle: an output is ready, an accumulator bank is busy, an instruction is held back.

    ``pause`` is a span of cycles in which neither output is ready.
    """

    ready_0: float = 1.0
    ready_1: float = 1.0
    busy: float = 0.0
    late: float = 0.0
    pause: tuple[int, int] = (0, 0)


class Bench:
    """One unit after reset, with its surroundings."""

    def __init__(self, model: Model, rng: Random, *, queue_depth: int = 128):
        lanes = model.config.vector_lanes
        self.model, self.rng, self.unit = model, rng, unit_of(lanes, queue_depth)
        self.unit.reset()
        for name in ("learning_rate", "weight_decay", "momentum"):
            self.unit[name] = getattr(model, name)

    def load(self) -> None:
        """Fill the operand memories through the write port, with writes to other memories in between."""
        unit, operands = self.unit, self.model.operands
        work = [(Target.OPERAND_A + k, beat, operands[k, beat]) for k in range(3) for beat in range(operands.shape[1])]
        for target, beat, words in work:
            if self.rng.random() < 0.2:
                other = self.rng.choice([Target.STREAMING, Target.STATIONARY])
                self._write(1, other, beat, np.full_like(words, 0xDEADBEEF))
            if self.rng.random() < 0.2:
                self._write(0, target, self.rng.randrange(operands.shape[1]), np.full_like(words, 0xDEADBEEF))
            self._write(1, target, beat, words)
        unit["write__en"] = 0

    def _write(self, en: int, target: int, address: int, words: np.ndarray) -> None:
        unit = self.unit
        unit["write__en"], unit["write__target"], unit["write__address"] = en, target, address
        unit["write__data"] = int.from_bytes(words.astype("<u4").tobytes(), "little")
        unit.step()

    def run(self, program: list[Instruction], traffic: Traffic, *, halt_at: int | None = None, extra: int = 0) -> Seen:
        """Execute ``program``; ends when all is posted and taken, or some time after an error or the halt."""
        unit, rng, model, seen = self.unit, self.rng, self.model, Seen()
        lanes = model.config.vector_lanes
        groups = model.config.rows // lanes
        drained: deque[int] = deque([0] * (DrainRead.LATENCY - 1))
        queue = deque(program)
        offered, gone = False, 0
        held: list[int | None] = [None, None]
        end = None
        data = busy = 0
        for cycle in range(LIMIT):
            if queue and not offered and rng.random() >= traffic.late:
                offered = True
                unit["control__instruction__payload"] = payload(queue[0])
            unit["control__instruction__valid"] = offered
            paused = traffic.pause[0] <= cycle < traffic.pause[1]
            ready = [not paused and rng.random() < chance for chance in (traffic.ready_0, traffic.ready_1)]
            unit["o_0__ready"], unit["o_1__ready"] = ready
            before = busy
            busy = sum((rng.random() < traffic.busy) << k for k in range(model.config.accumulator_banks))
            unit["drain__bank_busy"] = busy
            unit["drain__data"] = data
            halted = halt_at is not None and cycle >= halt_at
            unit["control__halt"] = halted
            unit.step()

            if offered and unit["control__instruction__ready"]:
                queue.popleft()
                offered = False
                gone += 1
            word = rng.getrandbits(32 * lanes)  # what no read asked for must not matter
            if unit["drain__en"]:
                bank, acc, group = unit["drain__bank"], unit["drain__address"], unit["drain__group"]
                assert not before >> bank & 1, "read of a busy bank"
                assert not halted, "read while halted"
                assert acc < model.config.accumulator_depth and group < groups, "read outside the accumulators"
                row = model.accumulators[bank, acc, group * lanes:(group + 1) * lanes]
                word = int.from_bytes(row.astype("<u4").tobytes(), "little")
                seen.drain_cycles.append(cycle)
            drained.append(word)
            data = drained.popleft()
            for k in range(2):
                beat = unit[f"o_{k}__payload"] if unit[f"o_{k}__valid"] else None
                assert held[k] is None or beat == held[k], f"o_{k} changed before it was taken"
                held[k] = beat
                if beat is not None and ready[k]:
                    seen.out[k].append(beat.to_bytes(4 * lanes, "little"))
                    seen.out_cycles[k].append(cycle)
                    held[k] = None
            if unit["control__posted"]:
                seen.post_cycles.append(cycle)
            seen.overflow |= bool(unit["overflow"])
            seen.invalid |= bool(unit["invalid"])
            if unit["control__error"]:
                assert seen.error is None, "two errors"
                seen.error = ErrorCode(unit["control__error_code"]), unit["control__error_address"]
            # Two cycles: one for `busy` of what has just been taken, and flags come a few later than results.
            idle = not unit["control__busy"] and not queue
            if end is None and (idle or seen.error or halted):
                end = cycle + (3000 if seen.error else 300 if halted else 8) + extra
            elif end is not None and not (idle or seen.error or halted):
                end = None
            if end is not None and cycle >= end:
                return seen
        raise AssertionError(f"not finished after {LIMIT} cycles; {gone} of {len(program)} instructions taken")


def payload(instruction: Instruction) -> int:
    """The fields side by side, as the unit takes them."""
    value = at = 0
    words = instruction.encode()
    for item in instruction.format.fields:
        if item.name in AFTER.values():
            continue
        word, bit = instruction.format.places[item.name]
        value |= (words[word] >> bit & ((1 << item.bits) - 1)) << at
        at += item.bits
    return value


def vector(counts: list[int], strides: dict[str, list[int]], **fields: int) -> Instruction:
    """A VECTOR instruction from counts and strides of the inner levels; limits default to no limit."""
    counts = counts + [1] * (VECTOR_LEVELS - len(counts))
    values = {"row_limit": 0x7FFF, "col_limit": 0x7FFF, "y_limit": 0x7FFF, "x_limit": 0x7FFF, **fields}
    for k, count in enumerate(counts):
        values[f"n{k}_count"] = count
    for name, width in VECTOR_QUANTITIES:
        stride = strides.get(name, [])
        half = 1 << (width - 1)
        for k, step in enumerate(steps(counts, stride + [0] * (VECTOR_LEVELS - len(stride)))):
            values[f"n{k}_{name}"] = (step + half) % (2 * half) - half
    return Instruction(Opcode.VECTOR, values)


def random_words(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """FP32 bits: numbers of similar size, some extreme ones, specials, and small integers for the pooling index."""
    words = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
    near = (words & np.uint32(0x81FF_FFFF)) | np.uint32(0x3E00_0000)
    coarse = words & np.uint32(0xC1C0_0000) | np.uint32(0x3E00_0000)
    special = np.array([
        0, 0x8000_0000, 1, 0x8000_0001, 0x7F_FFFF, 0x0080_0000, 0x8080_0000, 0x7F7F_FFFF, 0xFF7F_FFFF, 0x7F80_0000,
        0xFF80_0000, 0x7FC0_0000, 0xFFC0_0001, 0x7F80_0001, NO_INDEX, 0x3F80_0000,
    ], np.uint32)
    kind = rng.integers(0, 20, shape)
    choices = [words, special[words % len(special)], words % np.uint32(6)]
    return np.select([kind == 0, kind == 1, kind < 5, kind < 10], [*choices, coarse], near).astype(np.uint32)


def random_model(lanes: int, rng: Random) -> Model:
    """All memories and registers random."""
    model = Model(config_of(lanes))
    draw = np.random.default_rng(rng.getrandbits(64))
    model.accumulators[:] = random_words(draw, model.accumulators.shape)
    model.operands[:] = random_words(draw, model.operands.shape)
    for name in ("learning_rate", "weight_decay", "momentum"):
        setattr(model, name, rng.choice([0x3DCC_CCCD, 0x3A83_126F, 0, 0x3F66_6666, 0x7F00_0000, rng.getrandbits(32)]))
    return model


def _walk(rng: Random, counts: list[int], low: int, high: int) -> tuple[list[int], int]:
    """Strides and a base that keep a quantity between ``low`` and ``high``."""
    room = high - low
    strides = []
    for count in counts:
        most = min(room // max(1, count - 1), 9)
        stride = rng.randint(-most, most) if rng.random() < 0.85 else 0
        room -= abs(stride) * (count - 1)
        strides.append(stride)
    base = low + rng.randint(0, room) + sum(-s * (c - 1) for s, c in zip(strides, counts, strict=True) if s < 0)
    return strides, base


def random_instruction(rng: Random, config: Config, *, elements: int = 150, wild: float = 0.0) -> Instruction:
    """Any legal instruction of at most so many elements; ``wild`` is the chance of addresses outside a memory."""
    counts = [1] * VECTOR_LEVELS
    for k in rng.sample(range(VECTOR_LEVELS), VECTOR_LEVELS):
        counts[k] = rng.randint(1, max(1, min(9, elements // int(np.prod(counts)))))
    flags = {name: rng.getrandbits(1) for name in (
        "source", "mask_a", "match_a", "add_a", "scale_a", "add_b", "scale_b", "relu", "reduce", "gate",
    )}
    flags["bank"] = rng.randrange(config.accumulator_banks)
    flags["sgd"] = 0 if flags["reduce"] else rng.getrandbits(1)
    for name in ("emit_0", "emit_1"):
        flags[name] = int(rng.random() < 0.8)
    spans = {
        "acc": (0, config.accumulator_depth - 1), "group": (0, config.rows // config.vector_lanes - 1),
        **{name: (0, config.operand_depth - 1) for name in "abc"},
        **{name: (-3, 12) for name in ("row", "col", "y", "x")}, "index": (0, 8),
    }
    strides, bases = {}, {}
    for name, (low, high) in spans.items():
        out = rng.random() < wild
        strides[name], bases[f"{name}_base"] = _walk(rng, counts, low - 2 * out, high + 2 * out)
    if rng.random() < 0.1:
        strides["index"] = [rng.randint(-4000, 4000) for _ in counts]
    limits = {f"{name}_limit": rng.choice([13, 13, rng.randint(4, 13), 0xFFFF]) for name in ("row", "col", "y", "x")}
    return vector(counts, strides, **flags, **bases, **limits)
