"""Damage to files: what disks, transfers, editors and other software do to bytes, to archives and to JSON."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = Any
MISSING = object()
NONSENSE = (
    None, True, -1, 0, 3, 1 << 40, 10**400, 1.5, float("inf"), float("nan"), "", "x", [], [0], {}, {"x": 0}, [[]],
    MISSING,
)  # fmt: skip


def _place(content: bytes, choice: random.Random, most: int) -> tuple[int, int]:
    """A range of 1 to ``most`` bytes."""
    start = choice.randrange(len(content))
    return start, min(len(content), start + choice.randint(1, most))


def flip_bit(content: bytes, choice: random.Random) -> bytes:
    out = bytearray(content)
    out[choice.randrange(len(out))] ^= 1 << choice.randrange(8)
    return bytes(out)


def flip_bits(content: bytes, choice: random.Random) -> bytes:
    for _ in range(choice.randint(2, 20)):
        content = flip_bit(content, choice)
    return content


def cut_off(content: bytes, choice: random.Random) -> bytes:
    return content[: choice.randrange(len(content))]


def cut_off_the_end(content: bytes, choice: random.Random) -> bytes:
    return content[: -choice.randint(1, 120)]


def overwrite(content: bytes, choice: random.Random) -> bytes:
    start, end = _place(content, choice, 200)
    return content[:start] + choice.randbytes(end - start) + content[end:]


def zero_a_block(content: bytes, choice: random.Random) -> bytes:
    start = choice.randrange(0, len(content), 512)
    return content[:start] + bytes(len(content[start : start + 512])) + content[start + 512 :]


def insert(content: bytes, choice: random.Random) -> bytes:
    start = choice.randrange(len(content) + 1)
    return content[:start] + choice.randbytes(choice.randint(1, 40)) + content[start:]


def remove(content: bytes, choice: random.Random) -> bytes:
    start, end = _place(content, choice, 40)
    return content[:start] + content[end:]


def swap_ranges(content: bytes, choice: random.Random) -> bytes:
    size = choice.randint(1, min(64, len(content) // 2))
    first, second = sorted(choice.sample(range(0, len(content) - size + 1), 2))
    second = max(second, first + size) if first + 2 * size <= len(content) else second
    if second < first + size or second + size > len(content):
        return content[size:] + content[:size]
    out = bytearray(content)
    out[first : first + size], out[second : second + size] = out[second : second + size], out[first : first + size]
    return bytes(out)


def first_bytes(content: bytes, choice: random.Random) -> bytes:
    size = choice.randint(1, 64)
    return choice.randbytes(size) + content[size:]


def as_text(content: bytes, choice: random.Random) -> bytes:
    """What a transfer as text makes of it."""
    return content.replace(b"\n", b"\r\n") if choice.random() < 0.5 else content.decode("latin1").encode()


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bit, flip_bits, cut_off, cut_off_the_end, overwrite, zero_a_block, insert, remove, swap_ranges, first_bytes,
    as_text,
)  # fmt: skip


def zip_field(content: bytes, choice: random.Random) -> bytes:
    """One of the numbers of zip's own records: local headers, directory and its end."""
    record, size = choice.choice(((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22)))
    starts = [k for k in range(len(content)) if content.startswith(record, k)]
    at = choice.choice(starts) + choice.randrange(4, size - 1)
    value = choice.choice((0, 1, 2, 8, 99, 0x7FFF, 0xFFFF, choice.randrange(1 << 16)))
    return content[:at] + struct.pack("<H", value) + content[at + 2 :]


def swap_names(content: bytes, choice: random.Random) -> bytes:
    """Two members of the directory trade names, without or with the names at the members themselves."""
    entries = [k for k in range(len(content)) if content.startswith(b"PK\x01\x02", k)]
    names = [content[k + 46 : k + 46 + int.from_bytes(content[k + 28 : k + 30], "little")] for k in entries]
    pairs = [(a, b) for a in names for b in names if a != b and len(a) == len(b)]
    if not pairs:
        return zip_field(content, choice)
    first, second = choice.choice(pairs)
    start = content.index(b"PK\x01\x02") if choice.random() < 0.5 else 0
    tail = content[start:].replace(first, b"\0" * len(first)).replace(second, first)
    return content[:start] + tail.replace(b"\0" * len(first), second)


def members(arrays: dict[str, Array], choice: random.Random) -> dict[str, Array]:
    """Whole arrays that are not those that were written: swapped, left out, renamed, changed."""
    names = list(arrays)
    one, other = choice.sample(names, 2)
    out = dict(arrays)
    kind = choice.randrange(6)
    if kind == 0:
        out[one], out[other] = arrays[other], arrays[one]
    elif kind == 1:
        del out[one]
    elif kind == 2:
        out[one + "x"] = out.pop(one)
    elif kind == 3:
        out[one] = np.ascontiguousarray(arrays[one]).reshape(-1).view(np.uint8).copy()
    elif kind == 4:
        out["more"] = arrays[one]
    elif arrays[one].size:
        flat = np.array(arrays[one]).reshape(-1)
        flat.view(np.uint8)[choice.randrange(flat.nbytes)] ^= 1 << choice.randrange(8)
        out[one] = flat.reshape(arrays[one].shape)
    return out


def npy_header(header: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    """The header of a .npy file with another shape, type or order, possible or not."""
    shapes = ((), (1,), (-1,), (1 << 62,), (1 << 40, 1 << 40), (3, -2, -2), (2.5,), "x", None, (0,), (1,) * 70)
    types = ("<f8", ">f4", "|O", "|V0", "<M8[s]", "|S0", "<U4", "x", None, [("a", "<f4")], "<f4,<i4", "<c8", "|b1", 7)
    field = choice.choice(("shape", "shape", "descr", "descr", "fortran_order", "more", ""))
    if field == "":
        return {key: value for key, value in header.items() if key != choice.choice(list(header))}
    values: dict[str, Any] = {
        "shape": choice.choice((*shapes, tuple(reversed(header["shape"])))), "descr": choice.choice(types),
        "fortran_order": choice.choice((True, None, 2)), "more": 1,
    }  # fmt: skip
    return header | {field: values[field]}


def json_places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside of a JSON value."""
    if here:
        yield here
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from json_places(value[key], (*here, key))


def with_nonsense(value: Any, place: tuple[Any, ...], nonsense: Any) -> Any:
    """A copy of a JSON value with nonsense at a place, or with the place MISSING."""
    copy = value.copy()
    key, rest = place[0], place[1:]
    if rest:
        copy[key] = with_nonsense(copy[key], rest, nonsense)
    elif nonsense is MISSING:
        del copy[key]
    else:
        copy[key] = nonsense
    return copy
