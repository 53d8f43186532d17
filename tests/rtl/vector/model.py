"""What ``docs/execution.md`` says of VECTOR, written down in Python; one instruction at a time, a nest all at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.isa import NO_INDEX, VECTOR_LEVELS, VECTOR_QUANTITIES, Instruction, strides
from eftrain_hdl.numerics import float_add_elements, float_mul_elements, greater
from eftrain_hdl.registers import ErrorCode

MINUS_INFINITY = 0xFF80_0000


def floats(bits: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(bits, np.uint32).view(np.float32)


def bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def above_zero(words: np.ndarray) -> np.ndarray:
    return floats(words) >= np.float32(2.0**-126)


@dataclass
class Result:
    """Beats that leave, flags raised, and the error that ended it."""

    out: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    overflow: bool = False
    invalid: bool = False
    error: tuple[ErrorCode, int] | None = None


class Model:
    """Memories and registers of the vector unit and the accumulators it reads."""

    def __init__(self, config: Config):
        lanes = config.vector_lanes
        self.config = config
        self.accumulators = np.zeros((config.accumulator_banks, config.accumulator_depth, config.rows), np.uint32)
        self.operands = np.zeros((3, config.operand_depth, lanes), np.uint32)
        self.learning_rate = self.weight_decay = self.momentum = 0

    @staticmethod
    def quantities(instruction: Instruction) -> dict[str, np.ndarray]:
        """Value of every quantity for every element, wrapped to its (signed) field."""
        counts = [instruction[f"n{k}_count"] for k in range(VECTOR_LEVELS)]
        index = np.indices(counts[::-1]).reshape(VECTOR_LEVELS, -1)[::-1]
        out = {}
        for name, width in VECTOR_QUANTITIES:
            stride = np.array(strides(counts, [instruction[f"n{k}_{name}"] for k in range(VECTOR_LEVELS)]))
            value = instruction[f"{name}_base"] + (index * stride[:, None]).sum(0)
            half = 1 << (width - 1)
            out[name] = (value + half) % (2 * half) - half
        return out

    def execute(self, ins: Instruction) -> Result:
        result = Result()
        counts = [ins[f"n{k}_count"] for k in range(VECTOR_LEVELS)]
        if 0 in counts or (ins["sgd"] and ins["reduce"]):
            result.error = (ErrorCode.BAD_FIELD, 0)
            return result
        q = self.quantities(ins)
        absent = ~((0 <= q["row"]) & (q["row"] < ins["row_limit"]) & (0 <= q["col"]) & (q["col"] < ins["col_limit"]))
        inside = (0 <= q["y"]) & (q["y"] < ins["y_limit"]) & (0 <= q["x"]) & (q["x"] < ins["x_limit"])
        groups = self.config.rows // self.config.vector_lanes
        ignored = absent & bool(ins["reduce"])
        uses_a = ins["mask_a"] or ins["match_a"] or ins["add_a"] or ins["sgd"]
        count = len(absent)
        address = {"acc": q["acc"] % 65536, "group": q["group"] % 256, **{k: q[k] % 65536 for k in "cab"}}
        for name, limit, used in (
            ("b", self.config.operand_depth, ~ignored & bool(ins["add_b"])),
            ("a", self.config.operand_depth, ~ignored & bool(uses_a)),
            ("c", self.config.operand_depth, ~absent & bool(ins["source"])),
            ("group", groups, ~absent & (not ins["source"])),
            ("acc", self.config.accumulator_depth, ~absent & (not ins["source"])),
        ):
            wrong = np.flatnonzero(used & (address[name] >= limit))
            if len(wrong) and wrong[0] <= count:
                count = wrong[0]
                result.error = (ErrorCode.CHIP_ADDRESS, int(address[name][count]))
        keep = slice(0, count)
        absent, inside, ignored = absent[keep], inside[keep], ignored[keep]
        address = {name: value[keep] for name, value in address.items()}
        u, word_a = self._arithmetic(ins, address, absent, ignored, q["index"][keep] % 65536, result)
        out_0 = out_1 = u
        if ins["reduce"]:
            inner = counts[0] * counts[1]
            out_0, out_1 = self._maximum(u, ignored, q["index"][keep] % 65536, inner, bool(ins["gate"]))
            inside = inside[inner - 1::inner]
        elif ins["sgd"]:
            rate = np.full_like(u, self.learning_rate ^ 0x8000_0000)
            out_0 = self._scaled_add(word_a, rate, u, ~ignored, result)
        for k, words in enumerate((out_0, out_1)):
            if ins[f"emit_{k}"]:
                result.out[k].extend(row.astype("<u4").tobytes() for row in words[inside])
        return result

    def _arithmetic(self, ins, address, absent, ignored, index, result) -> tuple[np.ndarray, np.ndarray]:
        lanes = self.config.vector_lanes
        a, b, c = (
            memory[address[name] % self.config.operand_depth]
            for name, memory in zip("abc", self.operands, strict=True)
        )
        if ins["source"]:
            p = c.copy()
        else:
            groups = self.config.rows // lanes
            bank = self.accumulators[ins["bank"]].reshape(self.config.accumulator_depth, groups, lanes)
            p = bank[address["acc"] % self.config.accumulator_depth, address["group"] % groups].copy()
        p[absent] = 0
        if ins["mask_a"]:
            p[~above_zero(a)] = 0
        if ins["match_a"]:
            p[a != index[:, None]] = 0
        for name, words, register in (("a", a, self.weight_decay), ("b", b, self.momentum)):
            if ins[f"add_{name}"]:
                scale = np.full_like(p, register if ins[f"scale_{name}"] else 0x3F80_0000)
                p = self._scaled_add(p, scale, words, ~ignored, result)
        if ins["relu"]:
            p[~above_zero(p) & ~np.isnan(floats(p))] = 0
        return p, a

    @staticmethod
    def _scaled_add(x, scale, words, live, result) -> np.ndarray:
        product, *flags = float_mul_elements(floats(scale), floats(words))
        total, *more = float_add_elements(floats(x), product)
        result.overflow |= bool((flags[0] | more[0])[live].any())
        result.invalid |= bool((flags[1] | more[1])[live].any())
        return bits(total)

    @staticmethod
    def _maximum(u, ignored, index, inner, gate) -> tuple[np.ndarray, np.ndarray]:
        groups = len(u) // inner
        best = np.full((groups, u.shape[1]), MINUS_INFINITY, np.uint32)
        place = np.full((groups, u.shape[1]), NO_INDEX, np.uint32)
        found = np.zeros(groups, bool)
        for k in range(inner):
            element = slice(k, groups * inner, inner)
            word, present = u[element], ~ignored[element]
            wins = present[:, None] & (~found[:, None] | greater(floats(best), floats(word)))
            best = np.where(wins, word, best)
            place = np.where(wins, index[element, None].astype(np.uint32), place)
            found |= present
        if gate:
            place = np.where(above_zero(best), place, np.uint32(NO_INDEX))
        return best, place
