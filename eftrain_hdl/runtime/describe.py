"""Instructions in words, for reports of errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from eftrain_hdl.isa import FORMATS, Opcode, decode

__all__ = ["describe"]

_SHOWN_HEADER = ("tag",)


def describe(words: np.ndarray, index: int) -> str:
    """The instruction ``index`` of a program in a line: its name and the fields that are not zero.

    Of an instruction that cannot be decoded, why; nothing if the program has fewer.
    """
    at = 0
    for _ in range(index):
        if at >= len(words) or not (length := int(words[at]) >> 8 & 0xFF):
            return ""
        at += length
    try:
        instruction = next(decode(words, at))
    except ValueError as error:
        return str(error)
    hidden = {field.name for field in FORMATS[Opcode.END].fields} - set(_SHOWN_HEADER)
    shown: dict[str, Any] = {name: value for name, value in instruction.values.items() if value and name not in hidden}
    if shown.keys() & {"address_low", "address_high"}:
        rest = {name: value for name, value in shown.items() if name not in ("address_low", "address_high")}
        shown = {"address": hex(instruction.address), **rest}
    return " ".join([instruction.opcode.name, *(f"{name}={value}" for name, value in shown.items())])
