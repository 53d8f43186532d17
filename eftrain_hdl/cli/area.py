"""``eftrain area``: what an accelerator takes of an FPGA, as Yosys sees it."""

from __future__ import annotations

import argparse
import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from eftrain_hdl.cli.arguments import refuse
from eftrain_hdl.cli.common import (
    Activity,
    Output,
    adapted_board_config,
    add_config_options,
    add_json_option,
    find_board,
    table,
)
from eftrain_hdl.config import Config

if TYPE_CHECKING:
    from eftrain_hdl.synthesis import SynthesisResult

__all__ = ["add_parser"]

_FAMILIES = ("xcup", "xc7")
_PATHS = 5
_COLUMNS = ("lc", "luts", "ff", "dsp", "bram36")

_DESCRIPTION = """\
Synthesise the accelerator with Yosys and report logic cells, flip-flops, DSP and RAM blocks, and the deepest logic.

All figures are estimates of Yosys before place and route: a logic cell is a 6-input LUT, two small functions that fit
one counted once; depth is LUT levels between two registers, a carry chain counting as one. No clock frequency follows
from them.

"array" is all rows of dot products, stationary registers, and accumulators with their adders, without buffers and
sequencers; it is one row, synthesised by itself, times the rows.

JSON (--json): array (lc, dsp, macs, lc_per_mac, dsp_per_mac, ...), total (lc, luts, ff, dsp, bram36), board (lut, ff,
dsp, bram36, and the fractions used), depth (levels, from, to, paths), config. luts is lc and, in addition, LUTs used
as memory and as shift registers.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "area",
        help="estimate logic, DSP and RAM blocks, and logic depth with Yosys",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--board", metavar="NAME", help="configuration and resources of a board (see `eftrain info`)")
    parser.add_argument(
        "--family", choices=_FAMILIES, help="xcup: UltraScale+ (default), xc7: 7 series; a board has its own"
    )
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Synthesise and report."""
    from eftrain_hdl.rtl.compute.mac_row import MacRow
    from eftrain_hdl.rtl.top import generate_rtlil
    from eftrain_hdl.synthesis import FAMILIES, synthesize
    from eftrain_hdl.synthesis.tools import check_yosys

    output = Output(options)
    if options.board is not None:
        refuse(options, f"is not for --board {options.board}, which has its own", ["--family"])
    config = adapted_board_config(options)
    board = find_board(options.board) if options.board is not None else None
    family = board.family if board else options.family or _FAMILIES[0]
    check_yosys()
    output.line(f"{config.rows} x {config.lanes} {config.operand.name} on {FAMILIES[family]}")
    # The accelerator takes Python about as long to elaborate as Yosys takes for a row; a third of that would go into
    # looking for garbage.
    elaboration = ProcessPoolExecutor(1, get_context("spawn"), initializer=gc.disable)
    with elaboration as pool, Activity("synthesising one row of the array") as activity:
        accelerator = pool.submit(generate_rtlil, config)
        row = synthesize(MacRow(config), family)
        activity.step("synthesising the accelerator")
        total = synthesize(accelerator.result(), family, paths=_PATHS)

    array = _array(row, config)
    depth = {
        "levels": total.depth,
        "from": total.paths[0].start if total.paths else None,
        "to": total.paths[0].end if total.paths else None,
        "paths": [{"levels": path.levels, "from": path.start, "to": path.end} for path in total.paths],
    }
    result: dict[str, Any] = {
        "tool": "Yosys, before place and route",
        "family": family,
        "array": array,
        "total": _figures(total),
        "board": None,
        "depth": depth,
        "config": config.as_dict(),
    }
    if board:
        has = {"lut": board.lut, "ff": board.ff, "dsp": board.dsp, "bram36": board.bram36}
        used = {"lut": total.luts, "ff": total.ff, "dsp": total.dsp, "bram36": total.bram36}
        fractions = {name: used[name] / has[name] for name in has}
        result["board"] = {"name": options.board, **has, "fractions": fractions}
    for line in _lines(result):
        output.line(line)
    output.result(result)
    return 0


def _figures(result: SynthesisResult) -> dict[str, float]:
    return {name: getattr(result, name) for name in ("lc", "luts", "lutram", "srl", "ff", "dsp", "bram36")}


def _array(row: SynthesisResult, config: Config) -> dict[str, float]:
    """Figures of all rows."""
    figures = {name: value * config.rows for name, value in _figures(row).items()}
    figures["macs"] = config.macs
    for name in ("lc", "luts", "dsp"):
        figures[f"{name}_per_mac"] = figures[name] / config.macs
    return figures


def _lines(result: dict[str, Any]) -> list[str]:
    """The report for people."""
    board, array, total = result["board"], result["array"], result["total"]
    header = ["Yosys estimate before place and route", "LC", "LUTs", "FF", "DSP", "BRAM36"]
    rows = [[what, *(f"{part[name]:,g}" for name in _COLUMNS)] for what, part in (("array", array), ("all", total))]
    if board:
        has, share = board, board["fractions"]
        names = ("lut", "ff", "dsp", "bram36")
        rows.append([f"{board['name']} has", "", *(f"{has[name]:,g}" for name in names)])
        rows.append(["used", "", *(f"{share[name]:.1%}" for name in names)])
    out = table(header, rows)
    out += [
        "",
        f"a multiply-accumulate of the array: {array['lc_per_mac']:.1f} LC, {array['dsp_per_mac']:.2f} DSP",
        f"deepest logic: {result['depth']['levels']} LUT levels between registers",
    ]
    out += [f"  {path['levels']:2}  {path['from']} -> {path['to']}" for path in result["depth"]["paths"]]
    return out
