"""Slowest paths of a placed and routed design, from the delays that nextpnr writes as SDF.

nextpnr's own report has one path, the slowest of each clock. Its SDF file has every delay, so the paths behind it
can be had as well.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["TimingPath", "slowest_paths"]

_DELAYS = r"\((?:-?\d+:){2}(-?\d+)\)"
_WIRE = re.compile(rf"\(INTERCONNECT (\S+) (\S+) {_DELAYS}")
_ARC = re.compile(rf"\(IOPATH (\S+) (\S+) {_DELAYS}")
_CHECK = re.compile(rf"\(SETUPHOLD \(posedge (\S+)\) \(posedge \S+\) {_DELAYS}")
# Yosys names cells after the signal that they drive; a register is called by that signal.
_REGISTER = re.compile(r"(_TRELLIS_FF_Q|_DP16KD_|_TRELLIS_DPR16X4_|\.\d+\.\d+(\$|$)).*")


@dataclass(frozen=True)
class TimingPath:
    """One path between two registers.

    Attributes
    ----------
    start, end
        Names of the registers, without the numbers of bits.
    logic_ns, routing_ns
        Delays of cells (with clock-to-output and setup) and of wires, the slowest corner.
    cells
        Types of the cells between the registers, in order; a carry chain is many of them.
    """

    start: str
    end: str
    logic_ns: float
    routing_ns: float
    cells: tuple[str, ...]

    @property
    def total_ns(self) -> float:
        """Length of the path; the clock's period can't be shorter."""
        return self.logic_ns + self.routing_ns

    def __str__(self) -> str:
        return (
            f"{self.total_ns:5.2f} ns ({self.logic_ns:.2f} logic, {self.routing_ns:.2f} routing): "
            f"{self.start} -> {self.end}"
        )


@dataclass
class _Graph:
    """Delays in ps between pins ``cell/port``; a clock's wires are left out, so that paths begin at clock pins."""

    edges: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    inputs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    setups: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    clock_pins: list[str] = field(default_factory=list)

    def add(self, start: str, end: str, delay: int) -> None:
        self.edges[start].append((end, delay))
        self.inputs[end] += 1


def slowest_paths(sdf: Iterable[str], count: int = 3) -> list[TimingPath]:
    """Return the slowest paths between registers, slowest first, one for each pair of start and end.

    Of the paths that end in the same pin only the slowest counts.

    Parameters
    ----------
    sdf
        Lines as nextpnr writes them: one cell, delay or check a line, picoseconds, clocks through a global buffer.
    count
        How many, at most.

    Raises ``ValueError`` if there is a combinational loop or no path.
    """
    graph = _read(sdf)
    arrival, before = _arrivals(graph)
    ends = sorted(
        ((arrival[pin] + setup, pin) for pin, setup in graph.setups.items() if pin in arrival), reverse=True
    )
    found: dict[tuple[str, str], TimingPath] = {}
    for _, pin in ends:
        path = _trace(graph, arrival, before, pin)
        found.setdefault((path.start, path.end), path)
        if len(found) == count:
            break
    if not found:
        raise ValueError("the SDF has no path between registers")
    return list(found.values())


def _read(sdf: Iterable[str]) -> _Graph:
    graph = _Graph()
    wires = []
    kind = cell = ""
    for line in sdf:
        word = line.lstrip()[:6]
        if word == "(INTER" and (match := _WIRE.search(line)):
            wires.append((_plain(match[1]), _plain(match[2]), int(match[3])))
        elif word == "(IOPAT" and (match := _ARC.search(line)):
            graph.add(f"{cell}/{match[1]}", f"{cell}/{match[2]}", int(match[3]))
        elif word == "(SETUP" and (match := _CHECK.search(line)):
            graph.setups[f"{cell}/{match[1]}"] = int(match[2])
        elif word == "(CELLT":
            kind = line.split('"')[1]
        elif word == "(INSTA":
            cell = _plain(line.strip()[len("(INSTANCE "):-1])
            graph.kinds[cell] = kind
    for start, end, delay in wires:
        if graph.kinds.get(_cell(start)) == "DCCA":
            graph.clock_pins.append(end)
        else:
            graph.add(start, end, delay)
    return graph


def _plain(name: str) -> str:
    return name.replace("\\", "")


def _cell(pin: str) -> str:
    return pin.rpartition("/")[0]


def _arrivals(graph: _Graph) -> tuple[dict[str, int], dict[str, str]]:
    """Latest time of each pin that a clock reaches, and the pin before it; pins in topological order."""
    arrival: dict[str, int] = dict.fromkeys(graph.clock_pins, 0)
    before: dict[str, str] = {}
    missing = dict(graph.inputs)
    pins = {*graph.edges, *graph.inputs, *graph.clock_pins}
    ready = [pin for pin in pins if not missing.get(pin)]
    done = 0
    while ready:
        pin = ready.pop()
        done += 1
        for end, delay in graph.edges.get(pin, ()):
            missing[end] -= 1
            if not missing[end]:
                ready.append(end)
            if pin in arrival and arrival[pin] + delay > arrival.get(end, -1):
                arrival[end] = arrival[pin] + delay
                before[end] = pin
    if done < len(pins):
        raise ValueError(f"{len(pins) - done} pins of the SDF lie in or behind combinational loops")
    return arrival, before


def _trace(graph: _Graph, arrival: dict[str, int], before: dict[str, str], end: str) -> TimingPath:
    logic, routing = graph.setups[end], 0
    cells: list[str] = []
    pin = end
    while pin in before:
        last = before[pin]
        delay = arrival[pin] - arrival[last]
        if _cell(last) == _cell(pin):
            logic += delay
            cells.append(graph.kinds[_cell(pin)])
        else:
            routing += delay
        pin = last
    return TimingPath(
        _register(_cell(pin)), _register(_cell(end)), logic / 1000, routing / 1000, tuple(reversed(cells[:-1]))
    )


def _register(cell: str) -> str:
    return _REGISTER.sub("", cell)
