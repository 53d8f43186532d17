"""``eftrain pnr``: place and route of an accelerator with open tools, and the clock frequency that comes of it."""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from eftrain_hdl.cli.arguments import integer, output_folder
from eftrain_hdl.cli.common import Activity, Output, add_config_options, add_json_option, make_config, table
from eftrain_hdl.config import Config

if TYPE_CHECKING:
    from eftrain_hdl.synthesis import Placement

__all__ = ["REDUCED", "add_parser"]

_PART = "ecp5-85f"

REDUCED = Config(
    rows=4, lanes=8, data_width=32, address_width=32, streaming_depth=1024, stationary_depth=1024,
    accumulator_depth=1024, accumulator_banks=2, operand_depth=512,
)  # fmt: skip
"""An accelerator that an LFE5U-85F holds: 32 multiply-accumulates, buffers of a few KiB, a port for narrow memory."""

_DESCRIPTION = """\
Synthesise the accelerator with Yosys, place and route it with nextpnr, and report the highest clock frequency, what it
takes of the part, and the slowest paths.

The accelerator stands in the timing harness of the ULX3S-85F: its AXI ports end in registers, so it is no usable
system. Frequencies are those of nextpnr's timing model for speed grade 6, the slowest; no board has confirmed them.
The same options give the same result. Minutes to tens of minutes.

JSON (--json): part, seed, timing_driven, fmax_mhz, target_mhz, macs, resources (used, available), paths (total_ns,
logic_ns, routing_ns, cells, from, to), seconds (synthesis, placement), config.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "pnr",
        help="place and route on an ECP5 with nextpnr, and report the clock frequency",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=(_PART,), default=_PART, help=f"the FPGA (default {_PART})")
    parser.add_argument(
        "--seed", type=integer(0, (1 << 31) - 1), default=1, metavar="N", help="seed of the placer (default 1)"
    )
    parser.add_argument(
        "--timing-driven", action="store_true", help="let the placer weigh delays too: quicker hardware, in longer time"
    )
    parser.add_argument(
        "--keep", type=output_folder, metavar="DIR", help="keep netlist, log, report and SDF of nextpnr there"
    )
    add_config_options(parser, REDUCED)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Place, route and report."""
    from eftrain_hdl.synthesis import check_nextpnr, place_and_route

    output = Output(options)
    config = make_config(lambda given: replace(REDUCED, **given), options)
    check_nextpnr()
    output.line(f"{config.rows} x {config.lanes} {config.operand.name} on {options.part}, seed {options.seed}")
    with Activity("elaborating the accelerator") as activity:
        rtlil, constraints = _elaborate(config)
        activity.step("synthesis, place and route")
        placement = place_and_route(
            rtlil, constraints, options.part, seed=options.seed, timing_driven=options.timing_driven, keep=options.keep
        )
    result = _result(placement, config, options)
    for line in _lines(result):
        output.line(line)
    output.result(result)
    return 0


def _design(config: Config) -> tuple[str, str]:
    from eftrain_hdl.boards.ulx3s import timing_design
    from eftrain_hdl.rtl.accelerator import Accelerator

    return timing_design(Accelerator(config))


def _elaborate(config: Config) -> tuple[str, str]:
    """The design for place and route, from a process whose hash seed is fixed: the order of the netlist depends on it,
    and the result of the placer on that order."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(_design, config).result()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


def _result(placement: Placement, config: Config, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "tool": "Yosys and nextpnr, after place and route",
        "part": options.part,
        "seed": options.seed,
        "timing_driven": options.timing_driven,
        "fmax_mhz": placement.fmax_mhz,
        "target_mhz": placement.target_mhz,
        "macs": config.macs,
        "resources": {
            name: {"used": used, "available": placement.available[name]} for name, used in placement.used.items()
        },
        "paths": [
            {
                "total_ns": path.total_ns,
                "logic_ns": path.logic_ns,
                "routing_ns": path.routing_ns,
                "cells": len(path.cells),
                "from": path.start,
                "to": path.end,
            }
            for path in placement.paths
        ],
        "seconds": {"synthesis": placement.synthesis_seconds, "placement": placement.placement_seconds},
        "config": config.as_dict(),
    }


def _lines(result: dict[str, Any]) -> list[str]:
    """The report for people."""
    rows = [
        [name, f"{one['used']:,}", f"{one['available']:,}", f"{one['used'] / one['available']:.1%}"]
        for name, one in result["resources"].items()
    ]
    seconds = result["seconds"]
    out = table(["after place and route", "used", "of", ""], rows)
    out += [
        "",
        f"{result['macs']} multiply-accumulates a cycle, at most {result['fmax_mhz']:.1f} MHz "
        f"({result['target_mhz']:.0f} MHz asked for)",
        "slowest paths:",
    ]
    out += [
        f"  {path['total_ns']:5.2f} ns, {path['logic_ns']:.2f} logic, {path['routing_ns']:.2f} routing  "
        f"{path['from']} -> {path['to']}"
        for path in result["paths"]
    ]
    out.append(f"synthesis {seconds['synthesis']:.0f} s, place and route {seconds['placement']:.0f} s")
    return out
