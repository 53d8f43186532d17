"""Moves registers into the multipliers and RAM blocks of an ECP5, which have registers of their own at their outputs.

Yosys leaves them outside, where each takes a place beside a LUT and a wire to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["absorb_registers"]


@dataclass(frozen=True)
class _Block:
    """A block with a register at its outputs.

    Attributes
    ----------
    outputs
        Names of the pins that one register serves.
    clock
        Pin of its clock; one that is connected must have the registers' clock.
    reset
        Pin that resets it; one that is connected must be tied to zero.
    constants
        Pins to be tied.
    parameters
        What makes the block use the register.
    """

    outputs: re.Pattern[str]
    clock: str
    reset: str
    constants: Mapping[str, str]
    parameters: Mapping[str, str]


_BLOCKS: Mapping[str, tuple[_Block, ...]] = {
    "MULT18X18D": (
        _Block(
            outputs=re.compile(r"P\d+"),
            clock="CLK0",
            reset="RST0",
            constants={"CE0": "1", "RST0": "0"},
            parameters={"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"},
        ),
    ),
    "DP16KD": tuple(
        _Block(
            outputs=re.compile(rf"DO{port}\d+"),
            clock=f"CLK{port}",
            reset=f"RST{port}",
            constants={f"OCE{port}": "1", f"RST{port}": "0"},
            parameters={f"REGMODE_{port}": "OUTREG"},
        )
        for port in "AB"
    ),
}  # fmt: skip


def absorb_registers(modules: Mapping[str, dict[str, Any]]) -> int:
    """Let blocks register their outputs where nothing but plain registers follows them.

    A register is plain if it takes its input at every rising edge of its clock and is never reset. All outputs of a
    block that are used must end in such registers, of one clock, and nowhere else.

    Parameters
    ----------
    modules
        Of a netlist as ``synth_ecp5`` maps it and ``write_json`` writes it; changed in place.

    Returns how many flip-flops went.
    """
    return sum(_absorb(module) for module in modules.values())


def _absorb(module: dict[str, Any]) -> int:
    cells = module["cells"]
    readers: dict[int, list[tuple[str, str]]] = {}
    for name, cell in cells.items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                for bit in bits:
                    readers.setdefault(bit, []).append((name, pin))
    visible = {bit for port in module["ports"].values() for bit in port["bits"]}
    absorbed = 0
    for cell in list(cells.values()):
        for block in _BLOCKS.get(cell["type"], ()):
            registers = _registers(cell, block, cells, readers, visible)
            clocks = {cells[register]["connections"]["CLK"][0] for register in registers.values()}
            clocks.update(cell["connections"].get(block.clock, []))
            if not registers or len(clocks) != 1 or cell["connections"].get(block.reset, ["0"]) != ["0"]:
                continue
            for pin, register in registers.items():
                cell["connections"][pin] = cells.pop(register)["connections"]["Q"]
            for pin, bit in {block.clock: clocks.pop(), **block.constants}.items():
                cell["connections"][pin] = [bit]
                cell["port_directions"][pin] = "input"
            cell["parameters"].update(block.parameters)
            absorbed += len(registers)
    return absorbed


def _registers(
    cell: dict[str, Any], block: _Block, cells: Mapping[str, dict[str, Any]],
    readers: Mapping[int, list[tuple[str, str]]], visible: set[int],
) -> dict[str, str]:  # fmt: skip
    """The plain register behind each output that is used; none at all if something else reads one of them."""
    found: dict[str, str] = {}
    for pin, bit in _outputs(cell, block):
        if bit in visible:
            return {}
        reading = readers.get(bit, [])
        if not reading:
            continue
        if len(reading) != 1 or reading[0][1] != "DI" or not _is_plain(cells[reading[0][0]]):
            return {}
        found[pin] = reading[0][0]
    return found


def _outputs(cell: dict[str, Any], block: _Block) -> Iterator[tuple[str, int]]:
    for pin, bits in cell["connections"].items():
        if block.outputs.fullmatch(pin) and bits and isinstance(bits[0], int):
            yield pin, bits[0]


def _is_plain(cell: dict[str, Any]) -> bool:
    if cell["type"] != "TRELLIS_FF":
        return False
    parameters, connections = cell["parameters"], cell["connections"]
    enabled = parameters.get("CEMUX", "").strip() == "1" or connections.get("CE", ["1"]) == ["1"]
    never_reset = connections.get("LSR", ["0"]) == ["0"]
    return enabled and never_reset and parameters.get("CLKMUX") == "CLK" and parameters.get("REGSET") == "RESET"
