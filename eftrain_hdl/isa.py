"""Instruction set: the one source of truth for encodings and for what every instruction does.

A program is a sequence of instructions in DRAM, fetched from the first to END. An instruction is a whole number of
32-bit words. Word 0 holds the opcode, word 1 what the instruction waits for. Fields follow in the order of the tables
below, least significant bits first; a field never straddles two words.

**Short instructions.** An instruction may end before its last word: the words that it lacks are those of the
instruction of the same opcode before it. Fields that change most often therefore come first. The first instruction of
an opcode in a program has all its words. :func:`assemble` leaves out what it can.

**Units and order.** Every instruction belongs to one unit: LOAD_X, LOAD_A, COMPUTE, VECTOR, STORE_0, STORE_1 or the
command processor (BARRIER, END). A unit executes its own instructions in program order; units run beside each other. A
field ``after_<unit>`` of n, if it is not zero, has an instruction start when that unit has completed all but n - 1 of
its instructions that come before this one in the program. Complete means: data in the buffer, in the accumulators,
accepted by memory. So an instruction waits for earlier ones only: executing a program strictly in order, one
instruction at a time, is always legal and gives the same DRAM contents, if what meets in a memory is ordered.

**Nests.** Addresses come from loop nests. A nest has levels 0 (innermost) upwards, each with a count (at least 1),
and for every quantity a *step* per level: what is added when that level advances and all lower levels wrap to zero.
With strides (what one increment of index ``k`` is worth) ``step[k] = stride[k] - sum((count[j] - 1) * stride[j] for j
< k)``. :func:`steps` and :func:`strides` convert. All on-chip quantities wrap modulo 2**bits of their field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from eftrain_hdl.registers import Unit

__all__ = [
    "Field",
    "Instruction",
    "InstructionFormat",
    "Opcode",
    "Unit",
    "Target",
    "FORMATS",
    "HEADER_WORDS",
    "NO_INDEX",
    "AFTER",
    "MOST_DISTANCE",
    "INSTRUCTION_ALIGNMENT",
    "assemble",
    "disassemble",
    "frames",
    "lengths",
    "queue_words",
    "steps",
    "strides",
]

MOST_DISTANCE = 31
"""Largest value of an ``after`` field."""
INSTRUCTION_ALIGNMENT = 64
"""Bytes; the compiler starts programs at a multiple of this, the hardware takes any multiple of a beat."""
NO_INDEX = 0xFFFF_FFFF
"""Pooling index that matches no position: the gradient of a window whose maximum ReLU cut off."""


class Opcode(IntEnum):
    """Bits 7:0 of word 0. Zero is invalid, so that fetching cleared memory stops at once."""

    END = 0x01
    BARRIER = 0x02
    LOAD_X = 0x10
    LOAD_A = 0x11
    COMPUTE = 0x20
    VECTOR = 0x30
    STORE_0 = 0x40
    STORE_1 = 0x41


class Target(IntEnum):
    """On-chip memory that a load fills. STREAMING only for LOAD_X, the others only for LOAD_A."""

    STREAMING = 0
    STATIONARY = 1
    OPERAND_A = 2
    OPERAND_B = 3
    OPERAND_C = 4


@dataclass(frozen=True)
class Field:
    """One field of an instruction: name, width in bits (at most 32), signedness, meaning, and whether it takes the
    highest bits of its word.
    """

    name: str
    bits: int
    signed: bool = False
    doc: str = ""
    top: bool = False


def _levels(prefix: str, levels: int, quantities: Sequence[tuple[str, int]], doc: str) -> list[Field]:
    """Counts, then a step per quantity and level."""
    out = [Field(f"{prefix}{k}_count", 16, False, f"{doc}, level {k}: count") for k in range(levels)]
    for name, bits in quantities:
        out += [Field(f"{prefix}{k}_{name}", bits, True, f"{doc}, level {k}: step of {name}") for k in range(levels)]
    return out


_ADDRESS = [
    Field("address_low", 32, False, "DRAM byte address of the first run, bits 31:0; a multiple of the beat"),
    Field("address_high", 32, False, "DRAM byte address, bits 63:32"),
]
_RUNS = [
    Field("run", 32, False, "beats of one contiguous run, 1 to 2**24 - 1"),
    Field("count1", 16, False, "runs of the innermost repetition"),
    Field("count2", 16, False, "repetitions"),
    Field("count3", 16, False, "repetitions"),
    Field("stride1", 32, True, "bytes from run to run; plain strides from the start of each level, not steps"),
    Field("stride2", 32, True, "bytes per repetition at level 2"),
    Field("stride3", 32, True, "bytes per repetition at level 3"),
]

_STAMP = Field("stamp", 1, False, "append the cycle count to the timestamp log when the store is complete")
_STORE_0 = [*_ADDRESS, *_RUNS[:4], _STAMP, *_RUNS[4:]]

_LOAD = [
    Field("target", 4, False, "Target"),
    Field("planar", 1, False, "STREAMING only: addresses are elements, one item is a beat of consecutive elements"),
    Field("base", 24, True, "on-chip address of the origin", top=True),
    *_ADDRESS,
    *_RUNS,
    Field("x_count", 16, False, "items per x sweep"),
    Field("y_count", 16, False, "x sweeps per y sweep"),
    Field("z_count", 16, False, "y sweeps per z sweep; w is unbounded"),
    Field("x_phases", 8, False, "x stride phases, 1 to 255"),
    Field("x_phase", 8, False, "phase of the first item of every x sweep"),
    Field("y_phases", 8, False, "y stride phases"),
    Field("y_phase", 8, False, "phase of the first x sweep of every y sweep"),
    Field("x_stride", 24, True, "on-chip address per whole turn of the x phases"),
    Field("x_phase_stride", 24, True, "on-chip address per x phase"),
    Field("y_stride", 24, True, "on-chip address per whole turn of the y phases"),
    Field("y_phase_stride", 24, True, "on-chip address per y phase"),
    Field("z_stride", 24, True, "on-chip address per z"),
    Field("w_stride", 24, True, "on-chip address per w"),
]

COMPUTE_BLOCK_QUANTITIES = (("a", 24), ("v", 24), ("row", 16), ("col", 16), ("acc", 16))
COMPUTE_STREAM_QUANTITIES = (("v", 24), ("row", 16), ("col", 16), ("lane", 8), ("acc", 16))
COMPUTE_LANE_QUANTITIES = (("v", 24), ("row", 16), ("col", 16))

_COMPUTE = [
    Field("transposed", 1, False, "stationary rows are lanes of the buffer, not addresses"),
    Field("planar", 1, False, "v is an element address in the streaming buffer, not a vector address"),
    Field("init", 1, False, "the first block of every b3 index overwrites the accumulators instead of adding"),
    Field("lanes_per_block", 1, False, "the lane table moves on by `lanes` entries per block (pixel vectors)"),
    Field("ones", 1, False, "each block ends with one extra vector: 1.0 in the valid lanes"),
    Field("chained", 1, False, "no word of the first block comes earlier in it than in the last block before"),
    Field("a_rows", 16, False, "rows that exist, 1 to Tm; the others get zeros"),
    Field("bank", 2, False, "accumulator bank", top=True),
    Field("a_lane", 8, False, "transposed: buffer lane of row 0"),
    Field("a_base", 24, True, "stationary address of the first block"),
    Field("lane_base", 8, True, "buffer lane read by pixel vectors"),
    Field("v_base", 24, True, "streaming address"),
    Field("ones_acc", 16, True, "accumulator word of the extra vector, added to the block's acc"),
    Field("acc_base", 16, True, "accumulator word"),
    Field("row_base", 16, True, "row coordinate of the first vector"),
    Field("col_base", 16, True, "column coordinate of the first vector"),
    Field("row_limit", 16, False, "a lane counts only where 0 <= row < row_limit"),
    Field("col_limit", 16, False, "and 0 <= column < col_limit"),
    Field("a_tile", 24, True, "stationary address from one group of `lanes` rows to the next (rows > lanes)"),
    Field("lanes_total", 32, False, "entries of the lane table that exist (pixels of the tile, or lanes), 24 bits"),
    *_levels("b", 4, COMPUTE_BLOCK_QUANTITIES, "block nest"),
    *_levels("s", 4, COMPUTE_STREAM_QUANTITIES, "stream nest"),
    *_levels("l", 2, (), "lane nest"),
    *[
        Field(f"l{k}_{q}", bits, True, f"lane nest, level {k}: step of {q}")
        for q, bits in COMPUTE_LANE_QUANTITIES
        for k in range(3)
    ],
]

VECTOR_LEVELS = 6
VECTOR_QUANTITIES = (
    ("acc", 16),
    ("group", 8),
    ("a", 16),
    ("b", 16),
    ("c", 16),
    ("row", 16),
    ("col", 16),
    ("index", 16),
    ("y", 16),
    ("x", 16),
)

_VECTOR = [
    Field("source", 1, False, "primary source: 0 accumulators, 1 operand memory C"),
    Field("mask_a", 1, False, "zero where operand A is not above zero"),
    Field("match_a", 1, False, "zero where operand A, as an integer, is not the index"),
    Field("add_a", 1, False, "add scale_a * operand A"),
    Field("scale_a", 1, False, "0: 1.0, 1: the WEIGHT_DECAY register"),
    Field("add_b", 1, False, "add scale_b * operand B"),
    Field("scale_b", 1, False, "0: 1.0, 1: the MOMENTUM register"),
    Field("relu", 1, False, "negative values become zero"),
    Field("reduce", 1, False, "maximum over levels 0 and 1 of the nest, with its index"),
    Field("gate", 1, False, "reduce: write NO_INDEX where the maximum is not above zero"),
    Field("sgd", 1, False, "output 0 is operand A - LEARNING_RATE * value, output 1 the value"),
    Field("emit_0", 1, False, "send output 0 (the value) to STORE_0"),
    Field("emit_1", 1, False, "send output 1 (reduce: the index; sgd: the value) to STORE_1"),
    Field("group_base", 8, True, "group of vector_lanes rows"),
    Field("bank", 2, False, "accumulator bank", top=True),
    Field("a_base", 16, True, "operand A beat"),
    Field("acc_base", 16, True, "accumulator word"),
    Field("b_base", 16, True, "operand B beat"),
    Field("c_base", 16, True, "operand C beat"),
    Field("row_base", 16, True, "row coordinate"),
    Field("col_base", 16, True, "column coordinate"),
    Field("index_base", 16, True, "pooling index"),
    Field("y_base", 16, True, "output row"),
    Field("x_base", 16, True, "output column"),
    Field("row_limit", 16, False, "outside 0 <= row < row_limit the element counts as absent"),
    Field("col_limit", 16, False, "outside 0 <= col < col_limit the element counts as absent"),
    Field("y_limit", 16, False, "nothing is sent where not 0 <= y < y_limit"),
    Field("x_limit", 16, False, "nothing is sent where not 0 <= x < x_limit"),
    *_levels("n", VECTOR_LEVELS, VECTOR_QUANTITIES, "nest"),
]

AFTER: Mapping[Unit, str] = {unit: f"after_{unit.name.lower()}" for unit in Unit if unit is not Unit.COMMAND}
"""By unit, the field that says which of its instructions an instruction waits for."""
HEADER_WORDS = 2
_LENGTH_BIT = 8
_HEADER = [
    Field("opcode", 8, False, "Opcode"),
    Field("length", 8, False, "words of the instruction, at least the header; those behind are as they were before"),
    Field("tag", 16, False, "free for the compiler; reported on error"),
    *[
        Field(name, 5, False, f"0; n: not before all but n - 1 of the {unit.name} instructions before it are complete")
        for unit, name in AFTER.items()
    ],
]


@dataclass(frozen=True)
class InstructionFormat:
    """Encoding of one opcode: its unit, its fields with their place, and the words that it has if it is not short."""

    opcode: Opcode
    unit: Unit
    fields: tuple[Field, ...]
    places: Mapping[str, tuple[int, int]]
    words: int

    @classmethod
    def build(cls, opcode: Opcode, unit: Unit, body: Sequence[Field]) -> InstructionFormat:
        places: dict[str, tuple[int, int]] = {}
        word = bit = 0
        for k, field in enumerate((*_HEADER, *body)):
            if bit + field.bits > 32 or k == len(_HEADER):
                word, bit = word + 1, 0
            if field.top:
                bit = 32 - field.bits
            places[field.name] = (word, bit)
            bit += field.bits
        return cls(opcode, unit, (*_HEADER, *body), places, word + (bit > 0))

    def gives_address(self, head: int) -> bool:
        """Whether an instruction with this first word has a DRAM address, of its own; ValueError if it has half."""
        if "address_low" not in self.places:
            return False
        length = head >> _LENGTH_BIT & 0xFF
        low, high = (self.places[name][0] < length for name in ("address_low", "address_high"))
        if low != high:
            raise ValueError(f"{self.opcode.name} of {length} words ends between the two of its address")
        return low

    def refuse_length(self, length: int, first: bool) -> str:
        """Why an instruction cannot have ``length`` words, ``first`` of its opcode in a program; empty if it can."""
        if length == self.words or (HEADER_WORDS <= length < self.words and not first):
            return ""
        least = self.words if first else HEADER_WORDS
        wanted = f"{self.words}" if least == self.words else f"{least} to {self.words}"
        return f"{'the first ' if first else ''}{self.opcode.name} has {wanted} words, not {length}"


FORMATS: Mapping[Opcode, InstructionFormat] = {
    opcode: InstructionFormat.build(opcode, unit, body)
    for opcode, unit, body in (
        (Opcode.END, Unit.COMMAND, []),
        (Opcode.BARRIER, Unit.COMMAND, []),
        (Opcode.LOAD_X, Unit.LOAD_X, _LOAD),
        (Opcode.LOAD_A, Unit.LOAD_A, _LOAD),
        (Opcode.COMPUTE, Unit.COMPUTE, _COMPUTE),
        (Opcode.VECTOR, Unit.VECTOR, _VECTOR),
        (Opcode.STORE_0, Unit.STORE_0, _STORE_0),
        (Opcode.STORE_1, Unit.STORE_1, _ADDRESS + _RUNS),
    )
}
_LEAST_QUEUED = 8


def queue_words(opcode: Opcode) -> int:
    """Words of the queue before a unit: a power of two that holds eight whole instructions and two words with each."""
    return 1 << (_LEAST_QUEUED * (FORMATS[opcode].words + 2) - 1).bit_length()


_ENDS: Mapping[Opcode, Mapping[str, int]] = {
    opcode: {
        field.name: layout.places["address_high" if field.name == "address_low" else field.name][0] + 1
        for field in layout.fields
    }
    for opcode, layout in FORMATS.items()
}
"""Words that an instruction has at least if a field is not what it was before."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its opcode and the fields that are not zero."""

    opcode: Opcode
    values: Mapping[str, int]

    @property
    def format(self) -> InstructionFormat:
        return FORMATS[self.opcode]

    def __getitem__(self, name: str) -> int:
        value = self.values.get(name)
        if value is not None:
            return value
        if name not in FORMATS[self.opcode].places:
            raise KeyError(f"{self.opcode.name} has no field {name!r}")
        return 0

    @property
    def address(self) -> int:
        """DRAM byte address of a load or store."""
        return self["address_low"] | self["address_high"] << 32

    def encode(self) -> list[int]:
        """All words of the instruction.

        Raises
        ------
        ValueError
            If a field does not exist or its value does not fit; the message names opcode, field and value.
        """
        layout = self.format
        unknown = set(self.values) - set(layout.places)
        if unknown:
            raise ValueError(f"{self.opcode.name} has no field {sorted(unknown)[0]!r}")
        words = [0] * layout.words
        given = {**self.values, "opcode": int(self.opcode), "length": layout.words}
        for field in layout.fields:
            value = int(given.get(field.name, 0))
            low = -(1 << (field.bits - 1)) if field.signed else 0
            high = (1 << (field.bits - field.signed)) - 1
            if not low <= value <= high:
                raise ValueError(f"{self.opcode.name}.{field.name} must be {low} to {high}, not {value}")
            word, bit = layout.places[field.name]
            words[word] |= (value & ((1 << field.bits) - 1)) << bit
        return words


def assemble(program: Sequence[Instruction]) -> np.ndarray:
    """Encode a program as an array of uint32; instructions are as short as they can be."""
    words: list[int] = []
    for instruction, length in zip(program, lengths(program), strict=True):
        cut = instruction.encode()[:length]
        cut[0] = cut[0] & ~(0xFF << _LENGTH_BIT) | length << _LENGTH_BIT
        words += cut
    return np.array(words, dtype=np.uint32)


def lengths(program: Iterable[Instruction]) -> list[int]:
    """Words that :func:`assemble` gives each instruction.

    Both halves of an address are given or left out together: moving a program then changes no length.
    """
    before: dict[Opcode, Mapping[str, int]] = {}
    out = []
    for instruction in program:
        opcode, values = instruction.opcode, instruction.values
        last, ends = before.get(opcode), _ENDS[opcode]
        if last is None:
            out.append(FORMATS[opcode].words)
        else:
            changed = (ends[name] for name, _ in values.items() ^ last.items())
            out.append(max(changed, default=0))
        before[opcode] = values
    return [max(length, HEADER_WORDS) for length in out]


def disassemble(words: np.ndarray) -> list[Instruction]:
    """Decode instructions up to and including END.

    Raises
    ------
    ValueError
        On an unknown opcode, a wrong length or a program that does not end; names the word index.
    """
    return list(decode(words, 0))


def decode(words: np.ndarray, at: int) -> Iterator[Instruction]:
    """Instructions from a word index up to and including END, one by one; errors as of :func:`disassemble`."""
    for _, layout, whole in frames(words, at):
        values = {}
        for field in layout.fields:
            word, bit = layout.places[field.name]
            value = int(whole[word]) >> bit & ((1 << field.bits) - 1)
            if field.signed and value >> (field.bits - 1):
                value -= 1 << field.bits
            values[field.name] = value
        yield Instruction(layout.opcode, values)


Frame = tuple[int, InstructionFormat, Sequence[int] | np.ndarray]
"""Index of an instruction's first word, its encoding, and all its words: as many as the encoding has."""


def frames(words: Sequence[int] | np.ndarray, at: int) -> Iterator[Frame]:
    """Where each instruction from a word index up to and including END begins, its encoding, and all its words; errors
    as of :func:`disassemble`.
    """
    before: dict[Opcode, Sequence[int] | np.ndarray] = {}
    while at < len(words):
        head = int(words[at])
        try:
            layout = FORMATS[Opcode(head & 0xFF)]
        except ValueError:
            raise ValueError(f"word {at}: bad opcode {head & 0xFF:#04x}") from None
        length, last = head >> _LENGTH_BIT & 0xFF, before.get(layout.opcode)
        if wrong := layout.refuse_length(length, last is None):
            raise ValueError(f"word {at}: {wrong}")
        if at + length > len(words):
            break
        whole = words[at : at + length]
        if length < layout.words:
            assert last is not None
            whole = [*map(int, whole), *map(int, last[length:])]
        before[layout.opcode] = whole
        yield at, layout, whole
        if layout.opcode is Opcode.END:
            return
        at += length
    raise ValueError(f"word {at}: the program has no END")


def steps(counts: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Steps of a nest from its strides, level 0 first; the outermost level needs no count."""
    out: list[int] = []
    passed = 0
    for count, value in zip([*counts, 1], stride, strict=False):
        out.append(value - passed)
        passed += (count - 1) * value
    return out


def strides(counts: Sequence[int], step: Sequence[int]) -> list[int]:
    """Strides of a nest from its steps: the inverse of :func:`steps`."""
    out: list[int] = []
    passed = 0
    for count, value in zip([*counts, 1], step, strict=False):
        out.append(value + passed)
        passed += (count - 1) * out[-1]
    return out
