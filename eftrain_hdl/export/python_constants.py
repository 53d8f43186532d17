"""A Python module of the tables that imports nothing, for software that does without this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

from eftrain_hdl.export.constants import NOTES, groups
from eftrain_hdl.registers import ERROR_MEANINGS, IP_VLNV, Unit

__all__ = ["python_constants"]


def python_constants() -> str:
    """The whole module."""
    lines = [
        f'"""Registers and instructions of the accelerator {IP_VLNV}.',
        "",
        "Written by `eftrain export --format python`.",
        *NOTES,
        '"""',
        "",
        f'VLNV = "{IP_VLNV}"',
    ]
    for group in groups():
        lines += ["", *(f"# {text}" for text in group.comment)]
        lines += [f"{item.name} = {item.text}" for item in group.constants]
    lines += ["", *_mapping("ERROR_TEXTS", "ERROR", ERROR_MEANINGS.items())]
    lines += ["", *_mapping("UNIT_TEXTS", "UNIT", ((unit, unit.name) for unit in Unit))]
    return "\n".join(lines) + "\n"


def _mapping(name: str, prefix: str, texts: Iterable[tuple[IntEnum, str]]) -> Iterator[str]:
    yield f"{name} = {{"
    for number, text in texts:
        yield f"    {prefix}_{number.name}: {text!r},"
    yield "}"
