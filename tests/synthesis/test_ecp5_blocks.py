"""Registers inside multipliers and RAM blocks of an ECP5, and RAM blocks without logic beside them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hdl.synthesis.absorb import absorb_registers
from eftrain_hdl.synthesis.collisions import ignore_collisions
from eftrain_hdl.synthesis.merge import Design, parse_design
from eftrain_hdl.synthesis.netlist import map_design

CLOCK, OTHER_CLOCK, RESET = 2, 3, 4


def cell(kind: str, outputs: dict[str, int], parameters: dict[str, str], **inputs: int | str) -> dict[str, Any]:
    return {
        "type": kind,
        "parameters": parameters,
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {pin: [bit] for pin, bit in (inputs | outputs).items()},
    }  # fmt: skip


def register(d: int, q: int, clock: int = CLOCK, parameters: dict[str, str] | None = None, **pins: int | str) -> dict:
    plain = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"}
    return cell("TRELLIS_FF", {"Q": q}, plain | (parameters or {}), **{"CLK": clock, "DI": d, "LSR": "0", **pins})


def netlist(block: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    return {"top": {"ports": {"o": {"bits": [90, 91]}}, "cells": {"block": block, **others}}}


def multiplier(**more: int | str) -> dict[str, Any]:
    return cell("MULT18X18D", {"P0": 20, "P1": 21}, {}, A0=10, B0=11, **more)


def memory(**more: int | str) -> dict[str, Any]:
    return cell("DP16KD", {"DOA0": 20, "DOB0": 21}, {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}, CLKA=CLOCK, **more)


def test_a_multiplier_takes_its_registers() -> None:
    modules = netlist(multiplier(), low=register(20, 90), high=register(21, 91))
    assert absorb_registers(modules) == 2
    cells = modules["top"]["cells"]
    assert set(cells) == {"block"}
    block = cells["block"]
    assert block["parameters"] == {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"}
    wired = {"A0": [10], "B0": [11], "P0": [90], "P1": [91], "CLK0": [CLOCK], "CE0": ["1"], "RST0": ["0"]}
    assert block["connections"] == wired
    assert {pin for pin, way in block["port_directions"].items() if way == "output"} == {"P0", "P1"}


def test_an_output_that_nothing_reads_is_no_hindrance() -> None:
    modules = netlist(multiplier(), low=register(20, 90))
    assert absorb_registers(modules) == 1
    assert modules["top"]["cells"]["block"]["connections"]["P1"] == [21]


def test_each_port_of_a_memory_by_itself() -> None:
    logic = cell("LUT4", {"Z": 92}, {}, A=20)
    modules = netlist(memory(CLKB=OTHER_CLOCK), high=register(21, 91, OTHER_CLOCK), logic=logic)
    assert absorb_registers(modules) == 1
    block = modules["top"]["cells"]["block"]
    assert block["parameters"] == {"REGMODE_A": "NOREG", "REGMODE_B": "OUTREG"}
    assert block["connections"]["OCEB"] == ["1"] and block["connections"]["DOB0"] == [91]


@pytest.mark.parametrize(
    ("block", "others"),
    [
        (multiplier(), {"high": register(21, 91), "logic": cell("LUT4", {"Z": 92}, {}, A=20)}),
        (multiplier(), {"low": register(20, 90), "high": register(21, 91), "logic": cell("LUT4", {"Z": 92}, {}, A=20)}),
        (multiplier(), {"low": register(20, 90), "high": register(21, 91, OTHER_CLOCK)}),
        (multiplier(), {"low": register(20, 90), "high": register(21, 91, parameters={"CEMUX": "CE"}, CE=30)}),
        (multiplier(), {"low": register(20, 90), "high": register(21, 91, LSR=RESET)}),
        (multiplier(), {"low": register(20, 90, parameters={"REGSET": "SET"})}),
        (multiplier(), {"low": register(20, 90, parameters={"CLKMUX": "INV"})}),
        (multiplier(), {"low": cell("TRELLIS_FF", {"Q": 90}, {"CEMUX": "CE"}, CLK=CLOCK, DI=22, CE=20)}),
        (cell("MULT18X18D", {"P0": 90}, {}, A0=10), {"low": register(90, 93)}),
        (multiplier(CLK0=OTHER_CLOCK), {"low": register(20, 90)}),
        (memory(CLKB=OTHER_CLOCK), {"high": register(21, 91)}),
        (memory(RSTA=RESET), {"low": register(20, 90)}),
        (multiplier(), {}),
    ],
    ids=[
        "one output unregistered", "also read unregistered", "two clocks", "enable", "reset", "set", "falling edge",
        "drives an enable", "a port of the module", "other clock connected", "not the port's clock", "block is reset",
        "nothing reads",
    ],
)  # fmt: skip
def test_registers_that_stay(block: dict[str, Any], others: dict[str, Any]) -> None:
    modules = netlist(block, **others)
    before = repr(modules)
    assert absorb_registers(modules) == 0
    assert repr(modules) == before


class Blocks(wiring.Component):
    """A product and a word of a memory, both registered at the outputs of their blocks."""

    def __init__(self) -> None:
        super().__init__({"a": In(12), "b": In(12), "write": In(1), "product": Out(24), "word": Out(12)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.memory = memory = Memory(shape=12, depth=1024, init=[], attrs={"ram_style": "block"})
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(self.write), write.data.eq(self.a), write.addr.eq(self.b), read.addr.eq(self.a)]
        product = Signal(24, reset_less=True)
        word = Signal(12, reset_less=True)
        m.d.sync += [product.eq(self.a * self.b), word.eq(read.data)]
        m.d.comb += Cat(self.product, self.word).eq(Cat(product, word))
        return m


def mapped(design: Design) -> dict[str, dict[str, Any]]:
    return map_design(design, lambda top: [f"synth_ecp5 -top {top}"], extra="pnr")


def kinds(modules: dict[str, dict[str, Any]]) -> Counter[str]:
    return Counter(one["type"] for one in modules["top"]["cells"].values() if not one["type"].startswith("$"))


def test_a_netlist_of_yosys() -> None:
    component = Blocks()
    ports = [getattr(component, name) for name in component.signature.members]
    text = rtlil.convert(component, name="top", ports=ports, emit_src=False)
    as_written = kinds(mapped(parse_design(text)))
    assert as_written["LUT4"] > 12

    design = parse_design(text)
    ignore_collisions(design)
    modules = mapped(design)
    assert kinds(modules) == {"MULT18X18D": 1, "DP16KD": 1, "TRELLIS_FF": 36}
    assert absorb_registers(modules) == 36
    assert kinds(modules) == {"MULT18X18D": 1, "DP16KD": 1}


class TwoReaders(wiring.Component):
    """A memory that is read with a clock and without."""

    def __init__(self) -> None:
        super().__init__({"i": In(5), "o": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.memory = memory = Memory(shape=1, depth=32, init=[])
        write = memory.write_port()
        clocked, free = memory.read_port(), memory.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.i) for port in (write, clocked, free)]
        m.d.comb += [write.en.eq(1), write.data.eq(self.i), self.o.eq(clocked.data ^ free.data)]
        return m


def test_asynchronous_ports_keep_their_rule() -> None:
    component = TwoReaders()
    design = parse_design(rtlil.convert(component, name="top", ports=[component.i, component.o], emit_src=False))
    ignore_collisions(design)
    ports = design.text().split("cell $memrd_v2 ")[1:]
    assert len(ports) == 2
    for port in ports:
        clocked = r"parameter \CLK_ENABLE 1" in port
        assert (r"parameter \COLLISION_X_MASK 1'1" in port) == clocked
        assert (r"parameter \COLLISION_X_MASK 1'0" in port) != clocked
