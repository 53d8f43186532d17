"""VECTOR: elementwise work between the accumulators, the operand memories and the store queues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.config import Config
from eftrain_hdl.isa import NO_INDEX, VECTOR_LEVELS, VECTOR_QUANTITIES, Instruction
from eftrain_hdl.numerics import Flags, float_add, float_mul, greater
from eftrain_hdl.registers import ErrorCode

from .nests import nest_counts, nest_values
from .state import Fault, State

__all__ = ["VectorPlan", "plan_vector", "vector"]

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
    absent : elements that do not exist, ``None`` if there are none
    index : pooling index
    sent : elements (with ``reduce``: groups) that reach the queues, ``None`` for all
    window : elements in a group of ``reduce``
    """

    instruction: Instruction
    primary: Places
    a: Places | None
    b: Places | None
    absent: NDArray[np.bool_] | None
    index: Places
    sent: NDArray[np.bool_] | None
    window: int

    @property
    def nbytes(self) -> int:
        """Bytes that keeping the plan costs."""
        return 18 * len(self.primary)


def _checked(places: NDArray[np.int64], used: NDArray[np.bool_] | None, size: int, what: str) -> Places:
    """Places that exist; ``Fault`` if a used one does not, 0 for an unused one."""
    bad = (places < 0) | (places >= size)
    if bad.any():
        wrong = np.flatnonzero(bad if used is None else bad & used)
        if wrong.size:
            place = int(places[wrong[0]])
            raise Fault(ErrorCode.CHIP_ADDRESS, f"element {wrong[0]} uses {what} {place}, which does not exist",
                        place % (1 << 16))
        places = np.where(bad, 0, places)
    return places.astype(np.int32)


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
    present = _inside(value["row"], instruction["row_limit"]) & _inside(value["col"], instruction["col_limit"])
    emitted = _inside(value["y"], instruction["y_limit"]) & _inside(value["x"], instruction["x_limit"])
    used = None if present.all() else present
    if instruction["source"]:
        primary = _checked(value["c"], used, config.operand_depth, "operand C beat")
    else:
        primary = _accumulator_places(config, value["acc"], value["group"], used)
    read_a = any(instruction[name] for name in ("mask_a", "match_a", "add_a", "sgd"))
    needed = used if reduce else None
    window = counts[0] * counts[1] if reduce else 1
    sent = emitted[window - 1::window]
    return VectorPlan(
        instruction,
        primary,
        _checked(value["a"], needed, config.operand_depth, "operand A beat") if read_a else None,
        _checked(value["b"], needed, config.operand_depth, "operand B beat") if instruction["add_b"] else None,
        None if used is None else ~present,
        value["index"].astype(np.int32),
        None if sent.all() else sent,
        window,
    )


def _inside(values: NDArray[np.int64], limit: int) -> NDArray[np.bool_]:
    return (values >= 0) & (values < limit)


def _accumulator_places(
    config: Config, words: NDArray[np.int64], groups: NDArray[np.int64], used: NDArray[np.bool_] | None
) -> Places:
    """Beat ``word * groups + group`` of an accumulator bank."""
    per_word = config.rows // config.vector_lanes
    word = _checked(words, used, config.accumulator_depth, "accumulator word")
    return word * np.int32(per_word) + _checked(groups, used, per_word, "row group")


def vector(state: State, plan: VectorPlan) -> None:
    """Execute a planned VECTOR instruction: its beats go to ``state.queues``."""
    config, instruction = state.config, plan.instruction
    lanes = config.vector_lanes
    if instruction["source"]:
        primary = state.operands[2]
    else:
        primary = state.accumulators[instruction["bank"]].reshape(-1, lanes).view(np.uint32)
    p = primary.take(plan.primary, axis=0).view(np.float32)
    a = None if plan.a is None else state.operands[0].take(plan.a, axis=0).view(np.float32)
    b = None if plan.b is None else state.operands[1].take(plan.b, axis=0).view(np.float32)
    learning_rate, weight_decay, momentum = state.scalars

    def arithmetic(operation: Callable[..., tuple[Values, Flags]], x: Values, y: Values | np.float32) -> Values:
        result, flags = operation(x, y)
        state.flags |= flags
        return result

    if plan.absent is not None:
        p[plan.absent] = 0.0
    if instruction["mask_a"]:
        assert a is not None
        p[~(a > 0)] = 0.0
    if instruction["match_a"]:
        assert a is not None
        p[a.view(np.uint32) != plan.index.view(np.uint32)[:, None]] = 0.0
    u = p
    if instruction["add_a"]:
        assert a is not None
        u = arithmetic(float_add, u, arithmetic(float_mul, a, weight_decay) if instruction["scale_a"] else a)
    if b is not None:
        u = arithmetic(float_add, u, arithmetic(float_mul, b, momentum) if instruction["scale_b"] else b)
    if instruction["relu"]:
        u = np.where((u > 0) | np.isnan(u), u, np.float32(0))
    outputs = [u.view(np.uint32), u.view(np.uint32)]
    if instruction["reduce"]:
        outputs = list(_maximum(plan, u))
    elif instruction["sgd"]:
        assert a is not None
        outputs[0] = arithmetic(float_add, a, arithmetic(float_mul, u, -learning_rate)).view(np.uint32)
    for queue, output in enumerate(outputs):
        if instruction[f"emit_{queue}"]:
            beats = output if plan.sent is None else output[plan.sent]
            if len(beats):
                state.queues[queue].append(beats)


def _maximum(plan: VectorPlan, u: Values) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Value and position of the maximum of every window, as words ``[windows, lanes]``."""
    windows = len(u) // plan.window
    candidates = u.reshape(windows, plan.window, -1)
    index = plan.index.view(np.uint32).reshape(windows, plan.window)
    absent = np.zeros(len(u), np.bool_) if plan.absent is None else plan.absent
    present = ~absent.reshape(windows, plan.window)
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
        position[~(value > 0)] = NO_INDEX
    return value.view(np.uint32), position
