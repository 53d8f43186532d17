"""Programs that are damaged in one place, each determined by its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from eftrain_hdl.isa import FORMATS, HEADER_WORDS, INSTRUCTION_ALIGNMENT, Field, Opcode, frames

__all__ = ["KINDS", "Mutant", "mutate"]


@dataclass(frozen=True)
class Mutant:
    """A damaged program: its words, the length that the device is told, its distance from an aligned address."""

    kind: str
    text: str
    words: np.ndarray
    nbytes: int
    shift: int = 0


class _Program:
    """The words of a program, instruction by instruction."""

    def __init__(self, words: np.ndarray) -> None:
        self.parts: list[np.ndarray] = []
        starts = [at for at, _, _ in frames(words, 0)]
        for at, end in zip(starts, [*starts[1:], starts[-1] + HEADER_WORDS], strict=True):
            self.parts.append(words[at:end].copy())

    def words(self) -> np.ndarray:
        joined = np.concatenate(self.parts)
        unit = INSTRUCTION_ALIGNMENT // 4
        return np.pad(joined, (0, -len(joined) % unit))

    def opcode(self, k: int) -> Opcode:
        return Opcode(int(self.parts[k][0]) & 0xFF)


def _get(part: np.ndarray, field: Field, place: tuple[int, int]) -> int:
    return int(part[place[0]]) >> place[1] & ((1 << field.bits) - 1)


def _set(part: np.ndarray, field: Field, place: tuple[int, int], value: int) -> None:
    mask = ((1 << field.bits) - 1) << place[1]
    part[place[0]] = int(part[place[0]]) & ~mask | value << place[1] & mask


def _bits(program: _Program, choice: random.Random) -> str:
    flips = []
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        k = choice.randrange(len(program.parts))
        word, bit = choice.randrange(len(program.parts[k])), choice.randrange(32)
        program.parts[k][word] ^= np.uint32(1 << bit)
        flips.append(f"#{k} word {word} bit {bit}")
    return "flip " + ", ".join(flips)


def _field(program: _Program, choice: random.Random) -> str:
    k = choice.randrange(len(program.parts) - 1)
    layout = FORMATS[program.opcode(k)]
    part = program.parts[k]
    # Opcode and length are for the other kinds; a short instruction has some of the fields.
    field = choice.choice([one for one in layout.fields[2:] if layout.places[one.name][0] < len(part)])
    place = layout.places[field.name]
    old, top = _get(part, field, place), (1 << field.bits) - 1
    values = [0, 1, top, top >> 1, (top >> 1) + 1, choice.randint(0, top), old + 1, old - 1, old * 2, old // 2]
    values += [choice.randrange(1 << choice.randint(1, field.bits)) for _ in range(3)]
    values += [_get(other, field, place) for other in program.parts
               if int(other[0]) & 0xFF == layout.opcode and place[0] < len(other)][:40]  # fmt: skip
    value = choice.choice([v & top for v in values if v & top != old] or [old ^ 1])
    _set(part, field, place, value)
    return f"#{k} {layout.opcode.name}.{field.name} {old:#x} -> {value:#x}"


def _header(program: _Program, choice: random.Random) -> str:
    k = choice.randrange(len(program.parts))
    name, low = choice.choice((("opcode", 0), ("length", 8)))
    old = int(program.parts[k][0]) >> low & 0xFF
    value = choice.choice([int(opcode) for opcode in Opcode] + [choice.randrange(256) for _ in range(4)])
    program.parts[k][0] = int(program.parts[k][0]) & ~(0xFF << low) | value << low
    return f"#{k} {name} {old:#x} -> {value:#x}"


def _duplicate(program: _Program, choice: random.Random) -> str:
    k, to = choice.randrange(len(program.parts)), choice.randrange(len(program.parts))
    to = choice.choice((k, to))
    program.parts.insert(to, program.parts[k].copy())
    return f"#{k} once more at {to}"


def _swap(program: _Program, choice: random.Random) -> str:
    k = choice.randrange(len(program.parts) - 2)
    to = choice.choice((k + 1, choice.randrange(len(program.parts) - 1)))
    program.parts[k], program.parts[to] = program.parts[to], program.parts[k]
    return f"#{k} and #{to} swapped"


def _drop(program: _Program, choice: random.Random) -> str:
    k = choice.randrange(len(program.parts))
    del program.parts[k]
    return f"#{k} dropped"


def _garbage(program: _Program, choice: random.Random) -> str:
    k = choice.randrange(len(program.parts))
    part = program.parts[k]
    first = choice.choice((0, 1, 2))
    part[first:] = [choice.getrandbits(32) for _ in part[first:]]
    return f"#{k} random from word {first} on"


_EDITS = {
    "bits": _bits, "field": _field, "header": _header, "duplicate": _duplicate, "swap": _swap, "drop": _drop,
    "garbage": _garbage,
}  # fmt: skip
_WEIGHTS = {"bits": 4, "field": 8, "header": 1, "duplicate": 2, "swap": 2, "drop": 2, "garbage": 1, "length": 1,
            "address": 1}  # fmt: skip
KINDS = tuple(_WEIGHTS)


def mutate(words: np.ndarray, seed: int) -> Mutant:
    """The program damaged as the seed says."""
    choice = random.Random(seed)
    kind = choice.choices(KINDS, list(_WEIGHTS.values()))[0]
    program = _Program(words)
    if kind == "length":
        whole = program.words()
        nbytes = choice.choice((0, 1, 4, 63, choice.randrange(whole.nbytes), 4 * choice.randrange(len(whole))))
        return Mutant(kind, f"{nbytes} of {whole.nbytes} bytes", whole, nbytes)
    if kind == "address":
        shift = choice.choice((1, 2, 4, 8, 16, 32, 60, 1 << 22, 1 << 33, 1 << 45))
        whole = program.words()
        return Mutant(kind, f"address + {shift:#x}", whole, whole.nbytes, shift)
    text = _EDITS[kind](program, choice)
    whole = program.words()
    return Mutant(kind, text, whole, whole.nbytes)
