"""Resets and enables with many readers on the global network of an ECP5."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.boards.ulx3s import timing_design
from eftrain_hdl.synthesis import place_and_route
from eftrain_hdl.synthesis.promote import promote_controls

CLOCK, DATA, LOGIC = 2, 3, 4
FIRST = 10
"""The first of the signals under test."""
ENOUGH = 500


def register(pin: str, bit: int | str) -> dict[str, Any]:
    pins = {"CLK": [CLOCK], "DI": [DATA], pin: [bit]}
    return {"type": "TRELLIS_FF", "port_directions": dict.fromkeys(pins, "input"), "connections": pins}


def netlist(readers: list[int], pin: str = "LSR") -> dict[str, Any]:
    """A module with signals ``signal0``, ``signal1``, ... that so many registers read, and a LUT each of them."""
    bits = range(FIRST, FIRST + len(readers))
    cells = {
        f"register{bit}_{number}": register(pin, bit)
        for bit, count in zip(bits, readers, strict=True) for number in range(count)
    }  # fmt: skip
    for bit in bits:
        cells[f"lut{bit}"] = {"type": "LUT4", "port_directions": {"A": "input"}, "connections": {"A": [bit]}}
    names = {"clock": [CLOCK], "data": [DATA], "logic": [LOGIC]} | {f"signal{bit - FIRST}": [bit] for bit in bits}
    return {"cells": cells, "netnames": {name: {"bits": bits} for name, bits in names.items()}}


def read_by(module: dict[str, Any], bit: int) -> set[str]:
    return {name for name, cell in module["cells"].items() for pin, bits in cell["connections"].items()
            if bit in bits and cell["port_directions"][pin] == "input"}  # fmt: skip


@pytest.mark.parametrize("pin", ["LSR", "CE"])
def test_a_signal_with_many_readers(pin: str) -> None:
    module = netlist([ENOUGH, ENOUGH - 1], pin)
    module["cells"]["data"] = register("DI", FIRST)
    untouched = read_by(module, FIRST + 1)
    assert promote_controls(module) == ["signal0"]
    buffer = module["cells"]["signal0$global"]
    assert (buffer["type"], buffer["connections"]["CLKI"]) == ("DCCA", [FIRST])
    (output,) = buffer["connections"]["CLKO"]
    assert module["netnames"]["signal0$global"]["bits"] == [output]
    assert read_by(module, FIRST) == {"signal0$global", f"lut{FIRST}", "data"}
    assert len(read_by(module, output)) == ENOUGH
    assert read_by(module, FIRST + 1) == untouched


def test_the_part_takes_seven_beside_the_clock() -> None:
    module = netlist([ENOUGH + number for number in range(9)])
    assert promote_controls(module) == [f"signal{number}" for number in range(8, 1, -1)]
    outputs = [module["cells"][f"signal{number}$global"]["connections"]["CLKO"][0] for number in range(2, 9)]
    before = {bit for name, signal in module["netnames"].items() if "$" not in name for bit in signal["bits"]}
    assert len(set(outputs) - before) == 7


def test_resets_and_enables_of_one_signal_count_together() -> None:
    module = netlist([ENOUGH - 1])
    module["cells"]["enabled"] = register("CE", FIRST)
    assert promote_controls(module) == ["signal0"]


def test_constants_and_data_do_not_count() -> None:
    module = netlist([0])
    module["cells"] |= {f"never{number}": register("LSR", "0") for number in range(ENOUGH)}
    before = deepcopy(module)
    assert promote_controls(module) == []
    assert module == before


def test_the_outermost_name_of_a_bit() -> None:
    module = netlist([ENOUGH])
    del module["netnames"]["signal0"]
    module["netnames"] |= {"inner.part.bits": {"bits": [9, FIRST]}, "bits": {"bits": [9, FIRST]}}
    assert promote_controls(module) == ["bits[1]"]
    assert "bits[1]$global" in module["cells"]


class Enabled(wiring.Component):
    """Registers in a row that move on if they may."""

    def __init__(self) -> None:
        super().__init__({"en": In(1), "i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        row = Signal(ENOUGH)
        with m.If(self.en):
            m.d.sync += row.eq(row << 1 | self.i)
        m.d.comb += self.o.eq(row[-1])
        return m


@pytest.mark.full
def test_nextpnr_routes_them_on_the_global_network(tmp_path: Path) -> None:
    placement = place_and_route(*timing_design(Enabled()), keep=tmp_path)
    assert placement.used["TRELLIS_FF"] > ENOUGH
    assert len(placement.paths) == 3
    routed = [line for line in (tmp_path / "nextpnr.txt").read_text().splitlines() if "routing clock net" in line]
    assert sum("$global using global" in line for line in routed) == 2, routed
