"""Area and logic depth of a design on a Xilinx family, with the Yosys that pip installs."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from amaranth.back import rtlil as rtlil_backend  # type: ignore[attr-defined]
from amaranth.hdl import Elaboratable

from .depth import LogicPath, longest_paths
from .memories import MAP_MEMORIES, memory_libraries
from .merge import merge_design, parse_design
from .netlist import map_design
from .tools import SynthesisError

__all__ = ["FAMILIES", "SynthesisError", "SynthesisResult", "area_report", "estimate_logic_cells", "synthesize"]

FAMILIES = {"xcup": "UltraScale+", "xc7": "7 series"}
"""Yosys's names of the families, and what they are called."""

@dataclass(frozen=True)
class SynthesisResult:
    """What Yosys makes of a design, before place and route.

    Attributes
    ----------
    lc
        Logic cells (6-input LUTs, small ones paired), estimated as Yosys's ``stat -tech xilinx`` does for one module.
    lutram, srl
        LUTs used as memory and as shift registers; they are not in ``lc``.
    ff, dsp, carry
        Flip-flops, DSP blocks, 4-bit carry cells.
    bram36
        RAM blocks of 36 Kb; one of 18 Kb is a half.
    depth
        LUT levels of the deepest path between two registers, counted as :mod:`eftrain_hdl.synthesis.depth` says.
    paths
        The deepest paths between registers, deepest first.
    port_paths
        The deepest paths when the ports of the top count as registers.
    cells
        Mapped cells by type.
    seconds
        Time it took.
    """

    lc: int
    lutram: int
    srl: int
    ff: int
    dsp: int
    bram36: float
    carry: int
    depth: int
    paths: tuple[LogicPath, ...]
    port_paths: tuple[LogicPath, ...]
    cells: Mapping[str, int] = field(repr=False)
    seconds: float = field(compare=False)

    @property
    def luts(self) -> int:
        """Logic, LUT RAM and shift registers together: what a board's LUT count has to hold."""
        return self.lc + self.lutram + self.srl

    def figures(self) -> dict[str, float]:
        """Return the numbers that a baseline keeps."""
        return {name: getattr(self, name) for name in ("lc", "lutram", "srl", "ff", "dsp", "bram36", "depth")}


def synthesize(
    design: Elaboratable | str, family: str = "xcup", *, paths: int = 10, name: str = "top"
) -> SynthesisResult:
    """Synthesise a component, or RTLIL text, and measure it.

    Equal modules are merged first; large repeated ones are synthesised once and counted as often as they occur, so a
    constant on a port of such a module is not propagated into it. A large design is cut at those and at a few other
    large modules, for as many processes of Yosys as there are processors.

    Parameters
    ----------
    design
        A component (its signature gives the ports) or RTLIL as Amaranth writes it.
    family
        ``xcup`` (UltraScale+) or ``xc7`` (7 series).
    paths
        How many of the deepest paths to report.
    name
        Name of the top module where ``design`` is a component.

    Raises ``ValueError`` for an unknown family, :class:`SynthesisError` if Yosys is missing or fails.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
    started = time.perf_counter()
    text = design if isinstance(design, str) else rtlil_backend.convert(design, name=name)
    merged = merge_design(parse_design(text))
    modules = map_design(merged, partial(_flow, family), files=memory_libraries())
    return _measure(modules, merged.top.lstrip("\\"), paths, started)


def _flow(family: str, top: str) -> list[str]:
    flow = f"synth_xilinx -family {family} -top {top} -flatten -noiopad -noclkbuf -run"
    memories = [MAP_MEMORIES] if family == "xcup" else []
    # ABC names bits of buses like nets of their own; where both exist, Yosys stops on the clash.
    return [f"{flow} begin:map_memory", *memories, f"{flow} map_memory:map_luts", "splitnets", f"{flow} map_luts:"]


def estimate_logic_cells(cells: Mapping[str, int]) -> int:
    """Estimate the logic cells of one module: two small LUTs share one where their inputs fit.

    A LUT5, LUT4 or LUT3 takes a LUT1 along, a LUT4 or LUT3 a LUT2; what is left of LUT2 and LUT1 goes in pairs.
    """
    left = {size: cells.get(f"LUT{size}", 0) for size in range(1, 7)}
    total = left[6]
    for big, partners in ((5, (1,)), (4, (1, 2)), (3, (1, 2))):
        total += left[big]
        for small in partners:
            shared = min(left[big], left[small])
            left[big] -= shared
            left[small] -= shared
    return total + (left[2] + left[1] + 1) // 2


def _measure(
    modules: dict[str, dict[str, Any]], top: str, paths: int, started: float
) -> SynthesisResult:
    counts: Counter[str] = Counter()
    lc = 0

    def add(name: str, copies: int) -> None:
        nonlocal lc
        local = Counter(cell["type"] for cell in modules[name]["cells"].values())
        lc += copies * estimate_logic_cells(local)
        for kind, number in local.items():
            if kind in modules:
                add(kind, copies * number)
            elif not kind.startswith("$"):
                counts[kind] += copies * number

    add(top, 1)
    registers = longest_paths(modules, top, count=paths)
    with_ports = longest_paths(modules, top, count=paths, ports=True)
    return SynthesisResult(
        lc=lc,
        lutram=sum(number * _lut_ram_size(kind) for kind, number in counts.items()),
        srl=sum(number for kind, number in counts.items() if kind.startswith("SRL")),
        ff=sum(number for kind, number in counts.items() if kind.startswith("FD")),
        dsp=sum(number for kind, number in counts.items() if kind.startswith("DSP48")),
        bram36=(sum(number for kind, number in counts.items() if kind.startswith("RAMB36"))
                + sum(number for kind, number in counts.items() if kind.startswith("RAMB18")) / 2),
        carry=counts["CARRY4"],
        depth=registers[0].levels if registers else 0,
        paths=tuple(registers), port_paths=tuple(with_ports), cells=dict(sorted(counts.items())),
        seconds=time.perf_counter() - started,
    )


# LUTs that each LUT RAM primitive takes (UG574, UG474).
_LUT_RAM_SIZES = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8, "RAM32X1D": 2, "RAM64X1D": 2,
    "RAM128X1D": 4, "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8,
}


def _lut_ram_size(kind: str) -> int:
    if kind.startswith("RAM") and not kind.startswith("RAMB"):
        return _LUT_RAM_SIZES[kind]
    return 0


def area_report(
    components: Mapping[str, Callable[[], Elaboratable]], family: str = "xcup"
) -> tuple[dict[str, SynthesisResult], str]:
    """Synthesise several components; return the results by name and a Markdown table of them."""
    results = {name: synthesize(make(), family) for name, make in components.items()}
    lines = ["| component | LC | LUT RAM | SRL | FF | DSP | BRAM36 | depth | deepest path |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    for name, r in results.items():
        worst = f"{r.paths[0].start} -> {r.paths[0].end}" if r.paths else ""
        figures = " | ".join(f"{value}" for value in r.figures().values())
        lines.append(f"| {name} | {figures} | {worst} |")
    return results, "\n".join(lines)
