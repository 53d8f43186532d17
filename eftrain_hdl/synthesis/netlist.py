"""Maps a design to the cells of an FPGA, in several processes of Yosys."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .merge import Design
from .partition import partition
from .tools import run_yosys

__all__ = ["map_design"]

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


def map_design(
    design: Design, flow: Callable[[str], list[str]], *, extra: str = "area", files: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Run Yosys on parts of the design, one on each processor; return the mapped modules of all, as in its JSON.

    Large repeated modules are mapped once, and those and a few other large ones stay modules.

    Parameters
    ----------
    design
        With identical modules merged.
    flow
        Gives the commands that map a design whose top module has the name it is called with.
    extra
        As for :func:`run_yosys`.
    files
        Files that the commands read, by name.

    Raises :class:`SynthesisError` if Yosys is missing or fails.
    """
    lines = sum(len(module.lines) for module in design.modules.values())
    parts = partition(design, _kept(design), min(os.cpu_count() or 1, lines // _PART_LINES))
    with ThreadPoolExecutor(len(parts)) as pool:
        netlists = list(pool.map(lambda part: _run(part, flow(part.top), extra, files or {}), parts))
    return {name: module for netlist in netlists for name, module in netlist.items()}


def _run(
    design: Design, commands: list[str], extra: str, files: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="eftrain-synthesis-") as work:
        for name, text in {**files, "design.il": design.text()}.items():
            Path(work, name).write_text(text)
        run_yosys("\n".join(["read_rtlil design.il", *commands, "write_json netlist.json"]), Path(work), extra=extra)
        modules = json.loads(Path(work, "netlist.json").read_text())["modules"]
    return {name: module for name, module in modules.items()
            if not {"blackbox", "whitebox"} & module["attributes"].keys()}


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
