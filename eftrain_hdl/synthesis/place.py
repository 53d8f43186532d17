"""Place and route on a Lattice ECP5, with the tools that pip installs."""

import json
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .absorb import absorb_registers
from .collisions import ignore_collisions
from .merge import merge_design, parse_design
from .netlist import map_design
from .promote import promote_controls
from .sdf import TimingPath, slowest_paths
from .tools import PlacementError, check_nextpnr, run_nextpnr

__all__ = ["PARTS", "Placement", "place_and_route", "read_report"]

PARTS: Mapping[str, tuple[str, ...]] = {
    "ecp5-85f": ("--85k", "--package", "CABGA381", "--speed", "6"),
}
"""What nextpnr is told of each part; the speed grade is the slowest, which is the one on most boards."""

_PATHS = 3
_RESOURCES = ("TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW", "DP16KD", "MULT18X18D")
_UTILISATION = re.compile(r"(\w+):\s+(\d+)/\s*(\d+)\s+\d+%")


@dataclass(frozen=True)
class Placement:
    """What place and route makes of a design.

    Attributes
    ----------
    fmax_mhz, target_mhz
        Highest frequency of the clock, by nextpnr's timing model of the part, and the one that it was asked for.
    used, available
        Resources by nextpnr's name: TRELLIS_COMB is a 4-input LUT or half a carry cell, DP16KD a RAM block of 18 Kb,
        TRELLIS_RAMW the write port of a LUT RAM.
    paths
        The slowest paths, slowest first.
    synthesis_seconds, placement_seconds
        Time that Yosys took, and nextpnr.
    """

    fmax_mhz: float
    target_mhz: float
    used: Mapping[str, int]
    available: Mapping[str, int]
    paths: tuple[TimingPath, ...]
    synthesis_seconds: float = field(default=0.0, compare=False)
    placement_seconds: float = field(default=0.0, compare=False)


def place_and_route(
    rtlil: str, constraints: str, part: str = "ecp5-85f", *, seed: int = 1, timing_driven: bool = True,
    keep: Path | None = None,
) -> Placement:  # fmt: skip
    """Synthesise a design, place and route it. The same RTLIL and seed give the same result.

    What a memory gives for a word that is read in the cycle in which it is written is taken to be of no matter.

    Parameters
    ----------
    rtlil
        The design as Amaranth writes it.
    constraints
        Pins and clocks in Lattice's LPF format.
    part
        A name of :data:`PARTS`.
    seed
        Of the placer.
    timing_driven
        Whether the placer weighs delays as well, or the length of wires alone, which takes less time.
    keep
        Directory for netlist, log, report and SDF of nextpnr; ``None`` for one that is removed.

    Raises ``ValueError`` for an unknown part or a negative seed, :class:`SynthesisError` or :class:`PlacementError` if
    a tool is missing or fails; the latter says which resource the part has too few of.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    check_nextpnr()
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory(prefix="eftrain-placement-") as directory:
        work = Path(directory)
        work.mkdir(parents=True, exist_ok=True)
        (work / "top.lpf").write_text(constraints)
        started = time.perf_counter()
        design = merge_design(parse_design(rtlil))
        ignore_collisions(design)
        modules = map_design(design, lambda top: [f"synth_ecp5 -top {top}"], extra="pnr")
        top = design.top.lstrip("\\")
        absorb_registers(modules)
        promote_controls(modules[top])
        # Sorted, since nextpnr's result depends on the order, and the order on the number of processors.
        (work / "top.json").write_text(json.dumps({"modules": modules}, sort_keys=True))
        synthesised = time.perf_counter()
        _run_nextpnr(part, seed, timing_driven, top, work)
        placed = time.perf_counter()
        with (work / "top.sdf").open() as sdf:
            paths = slowest_paths(sdf, _PATHS)
        report = json.loads((work / "report.json").read_text())
    return read_report(report, paths, (synthesised - started, placed - synthesised))


def _run_nextpnr(part: str, seed: int, timing_driven: bool, top: str, work: Path) -> None:
    # The default placer leaves half as much wire again on a row of the array.
    arguments = [
        *PARTS[part], "--json", "top.json", "--top", top, "--lpf", "top.lpf", "--seed", str(seed),
        "--placer", "static", *([] if timing_driven else ["--no-tmdriv"]), "--timing-allow-fail",
        "--report", "report.json", "--sdf", "top.sdf",
    ]  # fmt: skip
    try:
        run_nextpnr(arguments, work)
    except PlacementError:
        log = work / "nextpnr.txt"
        missing = _excess(log.read_text()) if log.exists() else []
        if missing:
            raise PlacementError(f"the design does not fit {part}: {'; '.join(missing)}") from None
        raise


def _excess(log: str) -> list[str]:
    """What the table of utilisation in nextpnr's log says of resources that are too few."""
    counts = {name: (int(used), int(available)) for name, used, available in _UTILISATION.findall(log)}
    return [
        f"{used} {name} of {available}, {used - available} too many"
        for name, (used, available) in counts.items()
        if used > available
    ]


def read_report(report: Mapping[str, Any], paths: list[TimingPath], seconds: tuple[float, float]) -> Placement:
    """Figures of nextpnr's JSON report.

    Parameters
    ----------
    report
        The report; the slowest clock in it counts.
    paths
        The slowest paths, from the SDF of the same run.
    seconds
        Time of synthesis and of place and route.

    Raises :class:`PlacementError` if the report has no clock.
    """
    if not report["fmax"]:
        raise PlacementError("nextpnr's report has no clock")
    clock = min(report["fmax"].values(), key=lambda one: one["achieved"])
    utilisation = {name: report["utilization"][name] for name in _RESOURCES if name in report["utilization"]}
    return Placement(
        fmax_mhz=clock["achieved"],
        target_mhz=clock["constraint"],
        used={name: one["used"] for name, one in utilisation.items()},
        available={name: one["available"] for name, one in utilisation.items()},
        paths=tuple(paths),
        synthesis_seconds=seconds[0],
        placement_seconds=seconds[1],
    )
