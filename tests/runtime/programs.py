"""Hand-made instructions for the tests: strides in, steps out, harmless values for all that is not given."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.isa import INSTRUCTION_ALIGNMENT, Instruction, Opcode, assemble, steps
from eftrain_hdl.runtime.device import Device, RunResult

_QUANTITIES = {
    "b": ("a", "v", "row", "col", "acc"),
    "s": ("v", "row", "col", "lane", "acc"),
    "n": ("acc", "group", "a", "b", "c", "row", "col", "index", "y", "x"),
}
EVERYTHING = 0xFFFF


def nest(prefix: str, levels: int, counts: list[int], **stride: list[int]) -> dict[str, int]:
    """Fields of a nest from counts and strides of its lowest levels; the other levels run once."""
    counts = [*counts, *[1] * (levels - len(counts))]
    values = {f"{prefix}{k}_count": count for k, count in enumerate(counts)}
    for quantity, given in stride.items():
        assert quantity in _QUANTITIES[prefix]
        padded = [*given, *[0] * (levels - len(given))]
        values |= {f"{prefix}{k}_{quantity}": step for k, step in enumerate(steps(counts, padded))}
    return values


def lane_nest(counts: list[int], **stride: list[int]) -> dict[str, int]:
    """Fields of the lane nest from two counts and three strides for each quantity."""
    values = {f"l{k}_count": count for k, count in enumerate(counts)}
    for quantity, given in stride.items():
        values |= {f"l{k}_{quantity}": step for k, step in enumerate(steps([*counts, 1], given))}
    return values


def transfer(opcode: Opcode, address: int, run: int, **fields: int) -> Instruction:
    """A load or store."""
    values = {"count1": 1, "count2": 1, "count3": 1}
    if opcode in (Opcode.LOAD_X, Opcode.LOAD_A):
        values |= {"x_count": EVERYTHING, "y_count": 1, "z_count": 1, "x_phases": 1, "y_phases": 1, "x_stride": 1}
    values |= {"address_low": address & 0xFFFF_FFFF, "address_high": address >> 32, "run": run}
    return Instruction(opcode, values | fields)


def compute(**fields: int) -> Instruction:
    """COMPUTE of one block and one channel vector unless told otherwise."""
    values = {"a_rows": 1, "row_limit": 1, "col_limit": 1, "lanes_total": 1 << 20}
    values |= nest("b", 4, [1]) | nest("s", 4, [1]) | lane_nest([1, 1])
    return Instruction(Opcode.COMPUTE, values | fields)


def vector(**fields: int) -> Instruction:
    """VECTOR of one element that exists and is sent unless told otherwise."""
    values = {"row_limit": 1, "col_limit": 1, "y_limit": 1, "x_limit": 1} | nest("n", 6, [1])
    return Instruction(Opcode.VECTOR, values | fields)


def end(**fields: int) -> Instruction:
    return Instruction(Opcode.END, fields)


def run(device: Device, program: list[Instruction] | np.ndarray, address: int | None = None) -> RunResult:
    """Put a program at the end of memory (or at ``address``) and run it."""
    words = program if isinstance(program, np.ndarray) else assemble(program)
    if address is None:
        address = (device.window_limit - words.nbytes) // INSTRUCTION_ALIGNMENT * INSTRUCTION_ALIGNMENT
    device.write(address, words)
    return device.run(address, words.nbytes)
