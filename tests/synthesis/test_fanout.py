"""Copies of drivers with many readers: the netlist means the same, and nothing has more readers than it may."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eftrain_hdl.synthesis.fanout import split_fanout


def cell(kind: str, output: int, **inputs: list[int | str]) -> dict[str, Any]:
    return {
        "type": kind,
        "port_directions": {"Z": "output"} | dict.fromkeys(inputs, "input"),
        "connections": {"Z": [output]} | inputs,
    }  # fmt: skip


def module(cells: dict[str, dict[str, Any]], ports: tuple[int, ...] = ()) -> dict[str, Any]:
    return {
        "ports": {"o": {"direction": "output", "bits": list(ports)}},
        "cells": cells,
        "netnames": {"net": {"bits": [500, "0"]}},
    }


def star(kind: str, count: int) -> dict[str, dict[str, Any]]:
    """A cell that ``count`` others read."""
    return {"driver": cell(kind, 2, A=[3])} | {f"r{k:03}": cell("LUT4", 100 + k, A=[2], B=["0"]) for k in range(count)}


def readers(one: dict[str, Any]) -> Counter[int]:
    return Counter(
        bit for item in one["cells"].values() for pin, bits in item["connections"].items()
        if item["port_directions"][pin] == "input" for bit in bits if isinstance(bit, int)
    )  # fmt: skip


def without_copies(one: dict[str, Any]) -> dict[str, Any]:
    """The module with each copy's readers given back to the driver that it is a copy of."""
    one = copy.deepcopy(one)
    same: dict[int, int] = {}
    for name in [name for name in one["cells"] if "_copy_" in name]:
        original = one["cells"][name.split("_copy_")[0]]
        same[one["cells"].pop(name)["connections"]["Z"][0]] = original["connections"]["Z"][0]
    for item in one["cells"].values():
        for pin, bits in item["connections"].items():
            item["connections"][pin] = [same.get(bit, bit) for bit in bits]
    return one


@pytest.mark.parametrize("kind", ["LUT4", "TRELLIS_FF"])
@pytest.mark.parametrize(("count", "copies"), [(4, 0), (5, 1), (8, 1), (9, 2), (12, 2), (13, 3)])
def test_readers_are_shared_out(kind: str, count: int, copies: int) -> None:
    modules = {"top": module(star(kind, count), ports=(2,))}
    before = copy.deepcopy(modules["top"])
    assert split_fanout(modules, 4) == copies
    after = modules["top"]
    assert without_copies(after) == before
    assert len(after["cells"]) == len(before["cells"]) + copies
    assert max(found for bit, found in readers(after).items() if bit != 3) <= 4
    assert after["ports"] == before["ports"]
    new = {item["connections"]["Z"][0] for name, item in after["cells"].items() if "_copy_" in name}
    assert min(new, default=501) > 500


def test_neighbours_stay_together() -> None:
    modules = {"top": module(dict(reversed(star("LUT4", 10).items())))}
    split_fanout(modules, 4)
    of = [modules["top"]["cells"][f"r{k:03}"]["connections"]["A"][0] for k in range(10)]
    assert of[0] == 2
    assert sum(first != second for first, second in zip(of, of[1:], strict=False)) == 2


@pytest.mark.parametrize("kind", ["EHXPLLL", "DP16KD", "some module"])
def test_other_drivers_are_not_copied(kind: str) -> None:
    modules = {"top": module(star(kind, 40))}
    before = copy.deepcopy(modules)
    assert split_fanout(modules, 4) == 0
    assert modules == before


def test_a_signal_from_outside_has_no_driver_here() -> None:
    cells = star("LUT4", 40)
    del cells["driver"]
    modules = {"top": module(cells)}
    assert split_fanout(modules, 4) == 0


@given(
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=4), min_size=12, max_size=12), st.integers(1, 6)
)  # fmt: skip
def test_any_netlist_means_the_same(inputs: list[list[int]], most: int) -> None:
    cells = {f"c{k:02}": cell("LUT4", 10 + k, A=[10 + bit for bit in bits]) for k, bits in enumerate(inputs)}
    modules = {"top": module(cells)}
    before = copy.deepcopy(modules["top"])
    copies = split_fanout(modules, most)
    assert len(modules["top"]["cells"]) == 12 + copies
    mended = without_copies(modules["top"])
    assert mended == before
    assert copies == sum(-(-found // most) - 1 for found in readers(before).values())
