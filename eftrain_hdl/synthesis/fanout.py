"""Copies the drivers of signals that have very many readers, so that each copy has a part of them.

nextpnr routes a signal from its source again for each reader, past all that it has of it already: its time grows with
the square of their number, and the reset alone took half of it. Each copy is placed among its own readers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

__all__ = ["split_fanout"]

_MOST = 256
"""Readers that a driver is left with."""
_COPIED = ("LUT4", "TRELLIS_FF")


def split_fanout(modules: Mapping[str, dict[str, Any]], most: int = _MOST) -> int:
    """Leave no LUT and no flip-flop more than ``most`` readers, besides the copies made here.

    Readers stay together in the order of their names, which is that of the hierarchy.

    Parameters
    ----------
    modules
        Of a netlist as ``synth_ecp5`` maps it and ``write_json`` writes it; changed in place.
    most
        At least 1.

    Returns how many copies were made.
    """
    return sum(_split(module, most) for module in modules.values())


def _split(module: dict[str, Any], most: int) -> int:
    cells = module["cells"]
    drivers, readers = _ends(cells)
    named = (bit for net in module["netnames"].values() for bit in net["bits"])
    highest = max((bit for bit in (*named, *drivers, *readers) if isinstance(bit, int)), default=0)
    before = highest
    for bit, (name, output) in drivers.items():
        reading = readers.get(bit, [])
        parts = -(-len(reading) // most)
        if cells[name]["type"] not in _COPIED:
            continue
        for part in range(1, parts):
            highest += 1
            twin = copy.deepcopy(cells[name])
            twin["connections"][output] = [highest]
            cells[f"{name}_copy_{part}"] = twin
            for reader, pin, index in reading[part * len(reading) // parts : (part + 1) * len(reading) // parts]:
                cells[reader]["connections"][pin][index] = highest
    return highest - before


def _ends(
    cells: Mapping[str, dict[str, Any]]
) -> tuple[dict[int | str, tuple[str, str]], dict[int | str, list[tuple[str, str, int]]]]:
    """Where each bit comes from, and where it goes; constants come from nowhere."""
    drivers: dict[int | str, tuple[str, str]] = {}
    readers: dict[int | str, list[tuple[str, str, int]]] = {}
    for name, cell in sorted(cells.items()):
        for pin, bits in cell["connections"].items():
            for index, bit in enumerate(bits):
                if cell["port_directions"][pin] == "output":
                    drivers[bit] = (name, pin)
                else:
                    readers.setdefault(bit, []).append((name, pin, index))
    return drivers, readers
