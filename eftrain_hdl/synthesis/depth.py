"""Logic depth of a mapped netlist: the most LUTs in a row between two registers.

Cells and what they add:

- LUT1 to LUT6: one level. An inverter, a wide multiplexer (MUXF7 to MUXF9) or a clock buffer: none.
- A carry chain: one level for the whole chain, whatever its length, from the LUT side (S, DI, CYINIT) of any of its
  cells to any of its outputs. The LUT in front of a carry cell counts by itself, so a plain adder is two levels.
- A LUT RAM: one level from a read address to its data, and its data starts at one level.
- Flip-flops, shift registers, DSP and RAM blocks: paths end and start there. A DSP block is a bare multiplier to
  Yosys, so the path through it is not known and counts as two.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["LogicPath", "longest_paths"]

_NONE = -(10 ** 6)
_FREE = re.compile(r"INV|BUFG|BUF|IBUF|OBUF|MUXF[789]")
_LUT = re.compile(r"LUT[1-6]")
_CARRY = re.compile(r"CARRY[48]")
_LUT_RAM = re.compile(r"RAM(32|64|128|256|512).*")
_READ_ADDRESS = re.compile(r"(ADDR[A-H]?|A|A\d|DPRA\d?)$")
_IGNORED = {"$scopeinfo", "VCC", "GND"}
_CLOCK_PINS = {"C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"}


@dataclass(frozen=True)
class LogicPath:
    """One path: its depth in levels, the names of its ends, and the cell types in between, first to last."""

    levels: int
    start: str
    end: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.levels:3} levels: {self.start} -> {self.end} ({' '.join(self.cells)})"


@dataclass(frozen=True)
class _Place:
    """Where a path starts or ends; turned into a name only for the paths that are reported."""

    module: dict[str, Any]
    prefix: str
    cell: str | None
    pin: str
    bit: int | str

    @property
    def is_port(self) -> bool:
        return self.cell is None

    def name(self) -> str:
        return f"{self.prefix}{self.local_name()}" if self.cell is not None else f"port {self.pin}"

    def local_name(self) -> str:
        """Name inside the module: a register's signal rather than its cell, with the pin where it is not the data."""
        if self.cell is None:
            return self.pin
        cell = self.module["cells"][self.cell]
        outputs = cell["connections"].get("Q") if cell["type"].startswith(("FD", "SRL")) else None
        net = _net_names(self.module).get(outputs[0]) if outputs else None
        if net is None:
            return f"{self.cell}.{self.pin} ({cell['type']})"
        return net if self.pin in ("D", "Q") else f"{net} ({self.pin})"


def _net_names(module: dict[str, Any]) -> dict[int | str, str]:
    """Return the best name of each bit: one from the source before a generated one, then the shortest."""
    if "names_by_bit" not in module:
        names: dict[int | str, str] = {}
        for name, net in sorted(module["netnames"].items(),
                                key=lambda item: (item[1].get("hide_name", 0), len(item[0]), item[0])):
            wide = len(net["bits"]) > 1
            for index, bit in enumerate(net["bits"]):
                names.setdefault(bit, f"{name}[{index}]" if wide else name)
        module["names_by_bit"] = names
    return module["names_by_bit"]


@dataclass
class _Node:
    kind: str
    inputs: list[int]
    carry_in: int | None
    outputs: list[int]


class _Netlist:
    """The hierarchy as one graph of nets (integers) and combinational cells."""

    def __init__(self, modules: dict[str, dict[str, Any]], top: str) -> None:
        self.nodes: list[_Node] = []
        self.nets = 0
        self.sources: dict[int, _Place] = {}
        self.sinks: list[tuple[int, _Place]] = []
        self._modules = modules
        module = modules[top]
        bits: dict[int, int] = {}
        for name, port in module["ports"].items():
            for index, bit in enumerate(port["bits"]):
                if not isinstance(bit, int):
                    continue
                place = _Place(module, "", None, f"{name}[{index}]" if len(port["bits"]) > 1 else name, bit)
                if port["direction"] == "input":
                    self.sources[self._net(bits, bit)] = place
                else:
                    self.sinks.append((self._net(bits, bit), place))
        self._add(module, "", bits)

    def _net(self, bits: dict[int, int], bit: int) -> int:
        net = bits.get(bit)
        if net is None:
            net = bits[bit] = self.nets
            self.nets += 1
        return net

    def _add(self, module: dict[str, Any], prefix: str, bits: dict[int, int]) -> None:
        for name, cell in module["cells"].items():
            kind = cell["type"]
            if kind in _IGNORED:
                continue
            child = self._modules.get(kind)
            if child is not None:
                self._add(child, f"{prefix}{name.lstrip(chr(92))}.", self._enter(child, cell, bits))
            else:
                self._add_cell(module, prefix, name, cell, bits)

    def _enter(self, child: dict[str, Any], cell: dict[str, Any], bits: dict[int, int]) -> dict[int, int]:
        inner: dict[int, int] = {}
        for port, description in child["ports"].items():
            for outer_bit, inner_bit in zip(cell["connections"].get(port, ()), description["bits"], strict=False):
                if not isinstance(outer_bit, int) or not isinstance(inner_bit, int):
                    continue
                outer = self._net(bits, outer_bit)
                if inner.setdefault(inner_bit, outer) != outer:
                    # An output that is an input, or another output, of the same module.
                    first, second = inner[inner_bit], outer
                    if description["direction"] == "input":
                        first, second = second, first
                    self.nodes.append(_Node("feedthrough", [first], None, [second]))
        return inner

    def _add_cell(
        self, module: dict[str, Any], prefix: str, name: str, cell: dict[str, Any], bits: dict[int, int]
    ) -> None:
        kind, directions = cell["type"], cell["port_directions"]
        pins = {pin: [self._net(bits, bit) for bit in wires if isinstance(bit, int)]
                for pin, wires in cell["connections"].items()}
        outputs = [net for pin, nets in pins.items() if directions[pin] == "output" for net in nets]
        if _CARRY.fullmatch(kind):
            through = [net for pin in ("S", "DI", "CYINIT") for net in pins.get(pin, ())]
            self.nodes.append(_Node(kind, through, next(iter(pins.get("CI", ())), None), outputs))
            return
        if _LUT.fullmatch(kind) or _FREE.fullmatch(kind):
            inputs = [net for pin, nets in pins.items() if directions[pin] == "input" for net in nets]
            self.nodes.append(_Node(kind, inputs, None, outputs))
            return
        ram = bool(_LUT_RAM.fullmatch(kind))
        if ram:
            # The stored bit itself is a source, seen through the LUT that reads it.
            address = [net for pin, nets in pins.items() if _READ_ADDRESS.fullmatch(pin) for net in nets]
            stored = self.nets
            self.nets += 1
            self.sources[stored] = _Place(module, prefix, name, "stored", stored)
            self.nodes.append(_Node(kind, [stored, *address], None, outputs))
        for pin, nets in pins.items():
            for net in nets:
                place = _Place(module, prefix, name, pin, net)
                if directions[pin] == "output":
                    if not ram:
                        self.sources[net] = place
                elif pin not in _CLOCK_PINS:
                    self.sinks.append((net, place))

    def arrivals(self, *, ports: bool) -> tuple[list[int], list[tuple[int, int] | None]]:
        """Return each net's level and the (node, input net) it came by; without ``ports``, from registers only."""
        level = [_NONE] * self.nets
        came: list[tuple[int, int] | None] = [None] * self.nets
        for net, place in self.sources.items():
            level[net] = 0 if ports or not place.is_port else _NONE
        for index in self._order():
            node = self.nodes[index]
            cost = 1 if _LUT.fullmatch(node.kind) or _CARRY.fullmatch(node.kind) or _LUT_RAM.fullmatch(node.kind) else 0
            best, by = _NONE, -1
            for net in node.inputs:
                if level[net] + cost > best:
                    best, by = level[net] + cost, net
            if node.carry_in is not None:
                step = came[node.carry_in]
                chained = step is not None and bool(_CARRY.fullmatch(self.nodes[step[0]].kind))
                arrived = level[node.carry_in] + (0 if chained else 1)
                if arrived > best:
                    best, by = arrived, node.carry_in
            if best < 0:
                continue
            for net in node.outputs:
                level[net] = best
                came[net] = (index, by)
        return level, came

    def _order(self) -> Iterator[int]:
        driver = {net: index for index, node in enumerate(self.nodes) for net in node.outputs}
        users: list[list[int]] = [[] for _ in self.nodes]
        waits = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for net in (*node.inputs, *(() if node.carry_in is None else (node.carry_in,))):
                if net in driver:
                    users[driver[net]].append(index)
                    waits[index] += 1
        ready = [index for index, count in enumerate(waits) if count == 0]
        done = 0
        while ready:
            index = ready.pop()
            done += 1
            yield index
            for user in users[index]:
                waits[user] -= 1
                if waits[user] == 0:
                    ready.append(user)
        if done < len(self.nodes):
            raise ValueError(f"the netlist has a combinational loop through {len(self.nodes) - done} cells")

    def trace(self, net: int, came: list[tuple[int, int] | None]) -> tuple[_Place | None, tuple[str, ...]]:
        """Follow a path back from its last net; return where it starts and the cells on it."""
        cells: list[str] = []
        while (step := came[net]) is not None:
            cells.append(self.nodes[step[0]].kind)
            net = step[1]
        return self.sources.get(net), tuple(reversed(cells))


def longest_paths(
    modules: dict[str, dict[str, Any]], top: str, *, count: int = 10, ports: bool = False
) -> list[LogicPath]:
    """Return the deepest paths of a netlist in the form of Yosys's ``write_json``, deepest first.

    Only the deepest path into each signal of each module is given, whatever the bit, the instance, or the numbers in
    its name. Without ``ports`` only paths that start and end at a register count; with it, the top's ports count as
    registers. Raises ``ValueError`` on a combinational loop.
    """
    netlist = _Netlist(modules, top)
    level, came = netlist.arrivals(ports=ports)
    ends = [(level[net], net, place) for net, place in netlist.sinks
            if level[net] >= 0 and (ports or not place.is_port)]
    ends.sort(key=lambda end: -end[0])
    found: list[LogicPath] = []
    seen: set[tuple[int, str]] = set()
    for levels, net, place in ends:
        key = id(place.module), re.sub(r"\d+", "#", place.local_name())
        if key in seen:
            continue
        seen.add(key)
        start, cells = netlist.trace(net, came)
        if start is not None:
            found.append(LogicPath(levels, start.name(), place.name(), cells))
        if len(found) == count:
            break
    return found
