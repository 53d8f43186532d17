"""VECTOR: elementwise work between the accumulators, the operand memories and the store queues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.isa import NO_INDEX, VECTOR_LEVELS, VECTOR_QUANTITIES, Instruction
from eftrain_hdl.numerics import Flags, float_add, float_mul, greater
from eftrain_hdl.registers import ErrorCode

from .nests import nest_counts, nest_values
from .state import MOST_WORK, Endless, Fault, State, check_bank

__all__ = ["VectorPlan", "plan_vector", "vector"]

_MIN_NORMAL = np.float32(2.0**-126)
"""What is not less is "above zero": a subnormal is not."""

Places = NDArray[np.int32]
Values = NDArray[np.float32]


@dataclass(frozen=True)
class VectorPlan:
    """One VECTOR instruction as places in memories, one per element of its nest.

    Attributes
    ----------
    instruction : its flags
    primary : beat of the accumulator bank or of operand C
    a, b : beats of operands A and B, ``None`` where unused
    present : elements that exist, ``None`` if all do
    index : pooling index
    sent : elements (with ``reduce``: groups) that reach the queues, ``None`` for all
    window : elements in a group of ``reduce``
    """

    instruction: Instruction
    primary: Places
    a: Places | None
    b: Places | None
    present: NDArray[np.bool_] | None
    index: NDArray[np.uint32]
    sent: NDArray[np.bool_] | None
    window: int

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""
        return 18 * len(self.primary)


class _Places:
    """Addresses of the elements in the memories: collects which are used but do not exist."""

    def __init__(self) -> None:
        self._wrong: list[tuple[int, int, str, int]] = []

    def add(self, values: NDArray[np.int64], used: NDArray[np.bool_], size: int, what: str, bits: int = 16) -> Places:
        """``values``, with 0 for those that do not exist."""
        values = values & ((1 << bits) - 1)
        bad = values >= size
        if not bad.any():
            return values.astype(np.int32)
        wrong = np.flatnonzero(bad & used)
        if wrong.size:
            value = int(values[wrong[0]])
            self._wrong.append((int(wrong[0]), len(self._wrong), f"{what} {value}", value))
        return np.where(bad, 0, values).astype(np.int32)

    def check(self) -> None:
        """``Fault`` for the first element with a wrong place, and there for the one that was added first."""
        if self._wrong:
            element, _, what, address = min(self._wrong)
            raise Fault(ErrorCode.CHIP_ADDRESS, f"element {element} uses {what}, which does not exist", address)


def plan_vector(state: State, instruction: Instruction) -> VectorPlan:
    """Check a VECTOR instruction and work out its places. ``Fault`` where hardware would stop or a rule is broken."""
    config = state.config
    counts = nest_counts(instruction, "n", VECTOR_LEVELS)
    value = {
        name: nest_values(instruction, "n", counts, name, instruction[f"{name}_base"], bits)
        for name, bits in VECTOR_QUANTITIES
    }
    reduce = instruction["reduce"]
    if reduce and instruction["sgd"]:
        raise Fault(ErrorCode.BAD_FIELD, "sgd and reduce exclude each other")
    check_bank(config, instruction["bank"])
    present = _inside(value["row"], instruction["row_limit"]) & _inside(value["col"], instruction["col_limit"])
    emitted = _inside(value["y"], instruction["y_limit"]) & _inside(value["x"], instruction["x_limit"])
    places = _Places()
    if instruction["source"]:
        primary = places.add(value["c"], present, config.operand_depth, "operand C beat")
    else:
        groups = config.rows // config.vector_lanes
        primary = places.add(value["acc"], present, config.accumulator_depth, "accumulator word") * np.int32(groups)
        primary += places.add(value["group"], present, groups, "row group", 8)
    # With reduce, absent elements do nothing at all; otherwise they only miss the primary source.
    active = present if reduce else np.ones_like(present)
    a = b = None
    if any(instruction[name] for name in ("mask_a", "match_a", "add_a", "sgd")):
        a = places.add(value["a"], active, config.operand_depth, "operand A beat")
    if instruction["add_b"]:
        b = places.add(value["b"], active, config.operand_depth, "operand B beat")
    places.check()
    if (work := prod(counts)) > MOST_WORK:
        raise Endless(work, "elements")
    window = counts[0] * counts[1] if reduce else 1
    sent = emitted[window - 1::window]
    return VectorPlan(
        instruction,
        primary,
        a,
        b,
        None if present.all() else present,
        (value["index"] & 0xFFFF).astype(np.uint32),
        None if sent.all() else sent,
        window,
    )


def _inside(values: NDArray[np.int64], limit: int) -> NDArray[np.bool_]:
    return (values >= 0) & (values < limit)


def vector(state: State, plan: VectorPlan) -> None:
    """Execute a planned VECTOR instruction: its beats go to ``state.queues``."""
    instruction = plan.instruction
    if instruction["reduce"]:
        outputs = _maximum(plan, _values(state, plan)[1])
    else:
        a, u = _values(state, plan)
        outputs = u.view(np.uint32), u.view(np.uint32)
        if instruction["sgd"]:
            step, flags = float_mul(u, -state.scalars[0])
            updated, more = float_add(a, step)
            state.flags |= flags | more
            outputs = updated.view(np.uint32), outputs[1]
    for queue, output in enumerate(outputs):
        if instruction[f"emit_{queue}"]:
            beats = output if plan.sent is None else output[plan.sent]
            if len(beats):
                state.queues[queue].append(beats)


def _values(state: State, plan: VectorPlan) -> tuple[Values, Values]:
    """Operand A (zeros if it is not used) and u of every element; with ``reduce`` of every one that is present."""
    instruction, lanes = plan.instruction, state.config.vector_lanes
    elements = plan.present if plan.present is not None and instruction["reduce"] else slice(None)

    def fetch(memory: NDArray[np.uint32], places: Places) -> Values:
        return memory.take(places[elements], axis=0).view(np.float32)

    def arithmetic(operation: Callable[..., tuple[Values, Flags]], x: Values, y: Values | np.float32) -> Values:
        result, flags = operation(x, y)
        state.flags |= flags
        return result

    if instruction["source"]:
        u = fetch(state.operands[2], plan.primary)
    else:
        u = fetch(state.accumulators[instruction["bank"]].reshape(-1, lanes).view(np.uint32), plan.primary)
    a = np.zeros_like(u) if plan.a is None else fetch(state.operands[0], plan.a)
    if plan.present is not None and not instruction["reduce"]:
        u[~plan.present] = 0.0
    if instruction["mask_a"]:
        u[~(a >= _MIN_NORMAL)] = 0.0
    if instruction["match_a"]:
        u[a.view(np.uint32) != plan.index[elements][:, None]] = 0.0
    if instruction["add_a"]:
        u = arithmetic(float_add, u, arithmetic(float_mul, a, state.scalars[1]) if instruction["scale_a"] else a)
    if plan.b is not None:
        b = fetch(state.operands[1], plan.b)
        u = arithmetic(float_add, u, arithmetic(float_mul, b, state.scalars[2]) if instruction["scale_b"] else b)
    if instruction["relu"]:
        u[u < _MIN_NORMAL] = 0.0  # NaN stays
    return a, u


def _maximum(plan: VectorPlan, u: Values) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Value and position ``[windows, lanes]`` of the maximum of every window, from the values of present elements."""
    windows = len(plan.index) // plan.window
    present = np.ones(len(plan.index), np.bool_) if plan.present is None else plan.present
    everywhere = np.zeros((len(plan.index), u.shape[1]), np.float32)
    everywhere[present] = u
    candidates = everywhere.reshape(windows, plan.window, -1)
    index, present = plan.index.reshape(windows, plan.window), present.reshape(windows, plan.window)
    value = np.full((windows, u.shape[1]), -np.inf, np.float32)
    position = np.full(value.shape, NO_INDEX, np.uint32)
    started = np.zeros((windows, 1), np.bool_)
    for k in range(plan.window):
        competes = present[:, k, None]
        wins = competes & (~started | greater(value, candidates[:, k]))
        value = np.where(wins, candidates[:, k], value)
        position = np.where(wins, index[:, k, None], position)
        started |= competes
    if plan.instruction["gate"]:
        position[~(value >= _MIN_NORMAL)] = NO_INDEX
    return value.view(np.uint32), position
