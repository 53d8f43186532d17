"""docs/execution.md as plain loops, one element at a time: what the emulator is held to.

Only scalar arithmetic and conversions come from eftrain_hdl.numerics, and the encoding from eftrain_hdl.isa. No errors
are looked for: the programs are right.
"""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np

from eftrain_hdl.config import Config
from eftrain_hdl.isa import NO_INDEX, Instruction, Opcode, Target, strides
from eftrain_hdl.numerics import Flags, float_add, float_mul, fused_dot, round_to_format


def bits_of(value) -> int:
    return int(np.float32(value).view(np.uint32))


def float_of(bits: int) -> np.float32:
    return np.uint32(bits).view(np.float32)


def positive(bits: int) -> bool:
    """Above zero, and no NaN or subnormal."""
    return 0x0080_0000 <= bits <= 0x7F80_0000


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class Reference:
    """Executes instructions on memories made of plain lists."""

    def __init__(self, config: Config, dram: np.ndarray):
        self.config = config
        self.dram = [int(word) for word in dram.view(np.uint32)]
        lanes = config.lanes
        self.streaming = [[np.float32(0)] * lanes for _ in range(config.streaming_depth)]
        self.stationary = [[np.float32(0)] * lanes for _ in range(config.stationary_depth)]
        self.accumulators = [[[0] * config.rows for _ in range(config.accumulator_depth)]
                             for _ in range(config.accumulator_banks)]
        self.operands = [[[0] * config.vector_lanes for _ in range(config.operand_depth)] for _ in range(3)]
        self.queues: tuple[deque, deque] = deque(), deque()
        self.scalars = {"learning_rate": np.float32(0), "weight_decay": np.float32(0), "momentum": np.float32(0)}
        self.flags = Flags()
        self.vectors = 0

    # -- arithmetic

    def add(self, a: int, b: int) -> int:
        value, flags = float_add(float_of(a), float_of(b))
        self.flags |= flags
        return bits_of(value)

    def mul(self, a: int, b: int) -> int:
        value, flags = float_mul(float_of(a), float_of(b))
        self.flags |= flags
        return bits_of(value)

    # -- nests

    def nest(self, instruction: Instruction, prefix: str, levels: int):
        """Indices, level 0 first in each tuple, in the order of execution."""
        counts = [instruction[f"{prefix}{k}_count"] for k in range(levels)]
        for index in itertools.product(*(range(count) for count in reversed(counts))):
            yield tuple(reversed(index))

    def at(self, instruction: Instruction, prefix: str, levels: int, quantity: str, index) -> int:
        counts = [instruction[f"{prefix}{k}_count"] for k in range(levels)]
        stride = strides(counts, [instruction[f"{prefix}{k}_{quantity}"] for k in range(levels)])
        return sum(i * s for i, s in zip(index, stride, strict=True))

    # -- DRAM

    def addresses(self, instruction: Instruction):
        """Word index of every beat of a transfer."""
        for i3 in range(instruction["count3"]):
            for i2 in range(instruction["count2"]):
                for i1 in range(instruction["count1"]):
                    start = (
                        instruction.address
                        + i1 * instruction["stride1"] + i2 * instruction["stride2"] + i3 * instruction["stride3"]
                    )
                    for beat in range(instruction["run"]):
                        yield start // 4 + beat * self.config.vector_lanes

    # -- instructions

    def execute(self, instruction: Instruction) -> None:
        match instruction.opcode:
            case Opcode.LOAD_X | Opcode.LOAD_A:
                self.load(instruction)
            case Opcode.COMPUTE:
                self.compute(instruction)
            case Opcode.VECTOR:
                self.vector(instruction)
            case Opcode.STORE_0 | Opcode.STORE_1:
                queue = self.queues[instruction.opcode - Opcode.STORE_0]
                for word in self.addresses(instruction):
                    self.dram[word:word + self.config.vector_lanes] = queue.popleft()

    def item_address(self, instruction: Instruction, k: int) -> int:
        i = instruction
        x = k % i["x_count"]
        y = k // i["x_count"] % i["y_count"]
        z = k // (i["x_count"] * i["y_count"]) % i["z_count"]
        w = k // (i["x_count"] * i["y_count"] * i["z_count"])
        return signed(
            i["base"]
            + (i["x_phase"] + x) // i["x_phases"] * i["x_stride"]
            + (i["x_phase"] + x) % i["x_phases"] * i["x_phase_stride"]
            + (i["y_phase"] + y) // i["y_phases"] * i["y_stride"]
            + (i["y_phase"] + y) % i["y_phases"] * i["y_phase_stride"]
            + z * i["z_stride"] + w * i["w_stride"],
            24,
        )

    def load(self, instruction: Instruction) -> None:
        lanes, width = self.config.lanes, self.config.vector_lanes
        target = Target(instruction["target"])
        vectors = target in (Target.STREAMING, Target.STATIONARY) and not instruction["planar"]
        beats_per_item = lanes // width if vectors else 1
        for number, word in enumerate(self.addresses(instruction)):
            item, beat = divmod(number, beats_per_item)
            address = self.item_address(instruction, item)
            words = self.dram[word:word + width]
            if target >= Target.OPERAND_A:
                self.operands[target - Target.OPERAND_A][address] = words
                continue
            memory = self.streaming if target is Target.STREAMING else self.stationary
            for w, bits in enumerate(words):
                value = round_to_format(float_of(bits), self.config.operand)[()]
                if instruction["planar"]:
                    memory[(address + w) // lanes][(address + w) % lanes] = value
                else:
                    memory[address][(beat * width + w + address) % lanes] = value

    def stationary_block(self, instruction: Instruction, a: int, valid) -> np.ndarray:
        lanes, depth = self.config.lanes, self.config.stationary_depth
        block = np.zeros((self.config.rows, lanes), np.float32)
        for m in range(instruction["a_rows"]):
            for j in range(lanes):
                tile = a + m // lanes * instruction["a_tile"]
                if instruction["transposed"]:
                    vector, lane = (tile + j) % depth, (instruction["a_lane"] + m % lanes) % lanes
                else:
                    vector, lane = (tile + m % lanes) % depth, j
                if not instruction["lanes_per_block"] or valid[j]:
                    block[m, j] = self.stationary[vector][(lane + vector) % lanes]
        return block

    def entry(self, instruction: Instruction, t: int):
        """Validity and offsets (v, row, col) of an entry of the lane table."""
        counts = [instruction["l0_count"], instruction["l1_count"]]
        index = (t % counts[0], t // counts[0] % counts[1], t // (counts[0] * counts[1]))
        offsets = []
        for q in ("v", "row", "col"):
            stride = strides(counts, [instruction[f"l{k}_{q}"] for k in range(3)])
            offsets.append(sum(i * s for i, s in zip(index, stride, strict=True)))
        return (t < instruction["lanes_total"], *offsets)

    def compute(self, instruction: Instruction) -> None:
        i, lanes = instruction, self.config.lanes
        for block in self.nest(i, "b", 4):
            b = {q: i[f"{q}_base"] + self.at(i, "b", 4, q, block) for q in ("a", "v", "row", "col", "acc")}
            n = block[0] if i["lanes_per_block"] else 0
            table = [self.entry(i, n * lanes + j) for j in range(lanes)]
            valid = [entry[0] for entry in table]
            rows = self.stationary_block(i, b["a"], valid)
            overwrite = i["init"] and not any(block[:3])
            for stream in self.nest(i, "s", 4):
                s = {q: self.at(i, "s", 4, q, stream) for q in ("v", "row", "col", "lane", "acc")}
                vector = np.zeros(lanes, np.float32)
                for j, (exists, lane_v, lane_row, lane_col) in enumerate(table):
                    row = signed(b["row"] + s["row"] + lane_row, 16)
                    col = signed(b["col"] + s["col"] + lane_col, 16)
                    if exists and 0 <= row < i["row_limit"] and 0 <= col < i["col_limit"]:
                        vector[j] = self.element(i, b["v"] + s["v"], lane_v, table[0][1], i["lane_base"] + s["lane"], j)
                self.accumulate(i["bank"], b["acc"] + s["acc"], rows, vector, overwrite)
            if i["ones"]:
                self.accumulate(i["bank"], b["acc"] + i["ones_acc"], rows, np.array(valid, np.float32), overwrite)

    def element(self, instruction: Instruction, v: int, lane_v: int, first_v: int, lane: int, j: int) -> np.float32:
        lanes, depth = self.config.lanes, self.config.streaming_depth
        if instruction["planar"]:
            place = (v + lane_v) % (depth * lanes)
            return self.streaming[place // lanes][place % lanes]
        bank = (v + first_v + lane + j) % lanes
        return self.streaming[(v + lane_v) % depth][bank]

    def accumulate(self, bank: int, word: int, rows: np.ndarray, vector: np.ndarray, overwrite: bool) -> None:
        self.vectors += 1
        dots, flags = fused_dot(rows, vector, self.config.operand, self.config.window)
        self.flags |= flags
        target = self.accumulators[bank][signed(word, 16)]
        for m, dot in enumerate(dots):
            target[m] = bits_of(dot) if overwrite else self.add(target[m], bits_of(dot))

    def vector(self, instruction: Instruction) -> None:
        i, width = instruction, self.config.vector_lanes
        best: list[tuple[int, int] | None] = [None] * width
        last = (i["n0_count"] - 1, i["n1_count"] - 1)
        for index in self.nest(i, "n", 6):
            q = {
                name: signed(i[f"{name}_base"] + self.at(i, "n", 6, name, index), 8 if name == "group" else 16)
                for name in ("acc", "group", "a", "b", "c", "row", "col", "index", "y", "x")
            }
            absent = not (0 <= q["row"] < i["row_limit"] and 0 <= q["col"] < i["col_limit"])
            outputs: tuple[list[int], list[int]] = [], []
            for w in range(width):
                if absent and i["reduce"]:
                    continue
                a, u = self.element_value(i, q, w, absent)
                if i["reduce"]:
                    candidate = float_of(u)
                    held = best[w]
                    if held is None or candidate > float_of(held[0]) or (
                        np.isnan(candidate) and not np.isnan(float_of(held[0]))
                    ):
                        best[w] = (u, q["index"] & 0xFFFF)
                elif i["sgd"]:
                    rate = bits_of(-self.scalars["learning_rate"])
                    outputs[0].append(self.add(a, self.mul(rate, u)))
                    outputs[1].append(u)
                else:
                    outputs[0].append(u)
                    outputs[1].append(u)
            if i["reduce"]:
                if index[:2] != last:
                    continue
                for held in best:
                    value, position = held or (bits_of(-np.inf), NO_INDEX)
                    if i["gate"] and not positive(value):
                        position = NO_INDEX
                    outputs[0].append(value)
                    outputs[1].append(position)
                best = [None] * width
            if 0 <= q["y"] < i["y_limit"] and 0 <= q["x"] < i["x_limit"]:
                for k in range(2):
                    if i[f"emit_{k}"]:
                        self.queues[k].append(outputs[k])

    def element_value(self, instruction: Instruction, q: dict[str, int], w: int, absent: bool) -> tuple[int, int]:
        """Bits of operand A and of u."""
        i = instruction
        a = self.operands[0][q["a"]][w] if any(i[f] for f in ("mask_a", "match_a", "add_a", "sgd")) else 0
        if (
            absent
            or (i["mask_a"] and not positive(a))
            or (i["match_a"] and a != q["index"] & 0xFFFF)
        ):
            u = 0
        elif i["source"]:
            u = self.operands[2][q["c"]][w]
        else:
            u = self.accumulators[i["bank"]][q["acc"]][q["group"] * self.config.vector_lanes + w]
        if i["add_a"]:
            u = self.add(u, self.mul(bits_of(self.scalars["weight_decay"]), a) if i["scale_a"] else a)
        if i["add_b"]:
            b = self.operands[1][q["b"]][w]
            u = self.add(u, self.mul(bits_of(self.scalars["momentum"]), b) if i["scale_b"] else b)
        if i["relu"] and not (positive(u) or np.isnan(float_of(u))):
            u = 0
        return a, u
