"""``eftrain plan``: cycles and throughput of a training step by the timing model."""

from __future__ import annotations

import argparse
from typing import Any

from .common import (
    Activity,
    Output,
    adapted_board_config,
    add_config_options,
    add_json_option,
    at_least_one,
    build_model,
    input_shape,
    table,
)

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
    parser.add_argument("--model", metavar="NAME", required=True, help="a model of the zoo (see `eftrain info`)")
    parser.add_argument("--input-shape", type=input_shape, metavar="C,H,W", help="shape of one sample")
    parser.add_argument("--classes", type=at_least_one, metavar="N", help="outputs (default: the model's)")
    parser.add_argument("--batch", type=at_least_one, default=16, metavar="N", help="samples per step (default 16)")
    parser.add_argument("--momentum", type=float, default=0.0, metavar="F", help="momentum of SGD (default 0)")
    parser.add_argument("--board", metavar="NAME", help="configuration, memory and clock of a board")
    parser.add_argument("--memory", metavar="NAME", help="DRAM model (default: the board's, or zcu102)")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="clock (default: the board's, or 250)")
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Estimate and report."""
    from eftrain_hdl import boards
    from eftrain_hdl.compiler.estimate import estimate_step
    from eftrain_hdl.graph import SGD
    from eftrain_hdl.planner.dram import memory_model
    from eftrain_hdl.planner.ports import port_timing

    output = Output(options)
    config = adapted_board_config(options)
    board = boards.get(options.board) if options.board else None
    clock = options.clock or (board.clock_mhz if board else 250.0)
    memory = memory_model(options.memory or (board.memory if board else "zcu102"))
    model = build_model(options.model, options.input_shape, options.classes)
    with Activity("planning"):
        estimate = estimate_step(
            model, config, batch=options.batch, optimizer=SGD(lr=0.01, momentum=options.momentum),
            ports=port_timing(memory, config, clock),
        )  # fmt: skip
    rows: list[list[str]] = []
    layers: list[dict[str, Any]] = []
    for phase in estimate.phases:
        name, utilization = str(model.flat[phase.layer]), phase.macs / phase.cycles / config.macs
        traffic = phase.bytes_read + phase.bytes_written
        layers.append({
            "name": name, "layer": phase.layer, "phase": phase.phase, "cycles": round(phase.cycles),
            "estimated": phase.estimated, "utilization": utilization, "bound": phase.bound, "bytes": traffic,
        })  # fmt: skip
        cycles = f"{'~' if phase.estimated else ''}{phase.cycles:,.0f}"
        rows.append([name, phase.phase, cycles, f"{utilization:.1%}", phase.bound, f"{traffic:,}"])
    estimated = sum(phase.cycles for phase in estimate.phases if phase.estimated)
    result = {
        "gflops": estimate.gflops(clock),
        "utilization": estimate.utilization,
        "total_cycles": round(estimate.cycles),
        "estimated_cycles": round(estimated),
        "images_per_second": options.batch * clock * 1e6 / estimate.cycles,
        "bytes": sum(layer["bytes"] for layer in layers),
        "clock_mhz": clock,
        "batch": options.batch,
        "memory_bytes": estimate.memory_bytes,
        "config": config.as_dict(),
        "layers": layers,
    }
    for line in table(["layer", "phase", "cycles", "MAC use", "bound", "bytes"], rows):
        output.line(line)
    output.line()
    output.line(f"cycles a step    {result['total_cycles']:,} (model)")
    if estimated:
        output.line(f"of which       ~ {estimated:,.0f} of layers that can be planned but not trained yet")
    output.line(f"MAC use          {estimate.utilization:.1%} of {config.rows} x {config.lanes} {config.operand.name}")
    speed = f"{result['gflops']:.2f} GFLOPS, {result['images_per_second']:,.1f} images a second"
    output.line(f"at {clock:g} MHz       {speed}")
    output.line(f"DRAM             {estimate.memory_bytes:,} bytes, {result['bytes']:,} moved a step")
    output.result(result)
    return 0
