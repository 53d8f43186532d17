"""``eftrain plan``: cycles and throughput of a training step by the timing model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eftrain_hdl.planner.resources import estimate_resources, operand_formats

from .arguments import number, refuse
from .common import (
    Activity,
    Output,
    adapted_board_config,
    add_config_options,
    add_json_option,
    add_step_options,
    board_resources,
    build_model,
    check_board_memory,
    step_machine,
    table,
)
from .plan_plot import draw_plan
from .plot import plot_file
from .report import divide
from .search import run_search

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board
    from eftrain_hdl.compiler.estimate import Estimate

__all__ = ["add_parser"]

_DESCRIPTION = """\
Estimate a training step: cycles of each phase of each layer, what bounds it, and throughput.

The figures come from the timing model (docs/model.md), not from a simulation; clocks are assumed, not timed. Cycles
with a ~ are closed estimates of layers that can be planned but not trained yet.

JSON (--json): gflops, utilization, total_cycles, estimated_cycles (those of the estimates), images_per_second, bytes,
clock_mhz, batch, memory_bytes, config, layers [{name, layer, phase, cycles, estimated, utilization, bound, bytes}].
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "plan",
        help="estimate cycles and throughput of a training step",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_step_options(parser, batch=16)
    parser.add_argument(
        "--search", action="store_true", help="find the best configurations of the board: throughput against area"
    )
    parser.add_argument(
        "--share", type=number(0.001, 1), default=0.8, metavar="F",
        help="of LUTs, DSP and RAM blocks, at most (default 0.8)",
    )
    parser.add_argument("--plot", type=plot_file, metavar="FILE", help="draw roofline and cycles by layer (.svg, .png)")
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Estimate and report."""
    from eftrain_hdl.compiler.estimate import estimate_step
    from eftrain_hdl.graph import SGD
    from eftrain_hdl.planner.ports import port_timing

    output = Output(options)
    board, memory, clock = step_machine(options)
    if options.search:
        refuse(options, "is not for --search, which draws nothing", ["--plot"])
        return run_search(options, output, clock, memory.name)
    refuse(options, "is for --search", ["--share"])
    config = adapted_board_config(options)
    model = build_model(options.model, options.input_shape, options.classes)
    optimizer = SGD(lr=0.01, momentum=options.momentum)
    if board:
        check_board_memory(model, config, options.batch, optimizer, board)
    ports = port_timing(memory, config, clock)
    with Activity("planning"):
        estimate = estimate_step(model, config, batch=options.batch, optimizer=optimizer, ports=ports)
    estimate = _divided(estimate)
    names = [str(node) for node in model.flat]
    result = _result(estimate, names, options.batch, clock)
    if board and config.operand.name in operand_formats():
        result["resources"] = estimate_resources(config).fractions(board_resources(board))
    for line in _lines(result, estimate, board):
        output.line(line)
    if options.plot is not None:
        title = f"{options.model}, batch {options.batch}, {config.rows} x {config.lanes} {config.operand.name}"
        draw_plan(estimate, names, ports, clock, f"{title} at {clock:g} MHz (model)", options.plot)
        output.line(f"figure           {options.plot}")
    output.result(result)
    return 0


def _divided(estimate: Estimate) -> Estimate:
    """The same step with the cycles in which phases overlap divided, as `eftrain train` does: no phase uses more than
    the whole array.
    """
    needs = [phase.macs / estimate.config.macs for phase in estimate.phases]
    cycles = divide([phase.cycles for phase in estimate.phases], needs)
    phases = [replace(phase, cycles=count) for phase, count in zip(estimate.phases, cycles, strict=True)]
    return replace(estimate, phases=phases)


def _result(estimate: Estimate, names: Sequence[str], batch: int, clock: float) -> dict[str, Any]:
    config = estimate.config
    layers = [
        {
            "name": names[phase.layer], "layer": phase.layer, "phase": phase.phase, "cycles": round(phase.cycles),
            "estimated": phase.estimated, "utilization": phase.macs / phase.cycles / config.macs,
            "bound": phase.bound, "bytes": phase.bytes_read + phase.bytes_written,
        }
        for phase in estimate.phases
    ]  # fmt: skip
    return {
        "gflops": estimate.gflops(clock),
        "utilization": estimate.utilization,
        "total_cycles": round(estimate.cycles),
        "estimated_cycles": round(sum(phase.cycles for phase in estimate.phases if phase.estimated)),
        "images_per_second": batch * clock * 1e6 / estimate.cycles,
        "bytes": sum(layer["bytes"] for layer in layers),
        "clock_mhz": clock,
        "batch": batch,
        "memory_bytes": estimate.memory_bytes,
        "resources": None,
        "config": config.as_dict(),
        "layers": layers,
    }


def _lines(result: dict[str, Any], estimate: Estimate, board: Board | None) -> list[str]:
    """The report for people."""
    config = estimate.config
    rows = [
        [
            layer["name"], layer["phase"], f"{'~' if layer['estimated'] else ''}{layer['cycles']:,}",
            f"{layer['utilization']:.1%}", layer["bound"], f"{layer['bytes']:,}",
        ]
        for layer in result["layers"]
    ]  # fmt: skip
    lines = table(["layer", "phase", "cycles", "MAC use", "bound", "bytes"], rows)
    lines += ["", f"cycles a step    {result['total_cycles']:,} (model)"]
    if result["estimated_cycles"]:
        lines.append(
            f"of which       ~ {result['estimated_cycles']:,} of layers that can be planned but not trained yet"
        )
    speed = f"{result['gflops']:.2f} GFLOPS, {result['images_per_second']:,.1f} images a second"
    lines += [
        f"MAC use          {estimate.utilization:.1%} of {config.rows} x {config.lanes} {config.operand.name}",
        f"at {result['clock_mhz']:g} MHz       {speed}",
        f"DRAM             {estimate.memory_bytes:,} bytes, {result['bytes']:,} moved a step",
    ]
    if result["resources"] and board:
        used = ", ".join(f"{part:.0%} of {name}" for name, part in result["resources"].items())
        lines.append(f"{board.name:16} {used} (estimated from Yosys, before place and route)")
    return lines
