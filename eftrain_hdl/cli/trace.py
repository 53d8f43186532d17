"""``eftrain trace``: runs a training step on the RTL and shows what every unit does, and what it waits for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .arguments import output_file
from .common import (
    Activity,
    Output,
    adapted_board_config,
    add_config_options,
    add_json_option,
    add_step_options,
    build_model,
    step_machine,
    table,
)
from .plot import plot_file

if TYPE_CHECKING:
    from eftrain_hdl.runtime.timeline import Timeline

__all__ = ["add_parser"]

_DESCRIPTION = """\
Run one training step on the RTL in Verilator and write what each unit does in every cycle: a trace that Perfetto
(ui.perfetto.dev) opens and, if asked for, a figure. The states are defined in docs/trace.md.

A configuration that was not traced before is elaborated and compiled first, a minute or more. The step is the first
one, with random samples: what is in them does not change when anything happens.

JSON (--json): cycles, clock_mhz, batch, memory, config, units {NAME: {busy, states {state: cycles}}}, phases [{layer,
name, phase, start, end, units {NAME: {state: cycles}}}], counters (the RTL's own).
"""

_EPILOG = """\
examples:
  eftrain trace --model shallow --rows 8 --lanes 8 --plot build/trace.png
  eftrain trace --board zcu102 --model lenet --batch 16 --json -
"""
_MEMORY_BYTES = 1 << 30
_LEAST = 0.005
"""States with a smaller share of the step are one line of the table."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "trace",
        help="timeline of a training step on the simulated RTL, with the causes of stalls",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_step_options(parser, batch=4, model="shallow")
    parser.add_argument(
        "--output", "-o", type=output_file(), default="build/trace.json", metavar="FILE",
        help="the trace (default build/trace.json)",
    )  # fmt: skip
    parser.add_argument(
        "--plot", type=plot_file, metavar="FILE", help="draw the timeline (.png or .svg; needs matplotlib)"
    )
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trace and report."""
    import numpy as np

    from eftrain_hdl.graph import SGD, CrossEntropyLoss
    from eftrain_hdl.runtime.perfetto import write_trace
    from eftrain_hdl.runtime.trace import TracedSimDevice, trace_step
    from eftrain_hdl.runtime.trainer import Trainer

    output = Output(options)
    config = adapted_board_config(options)
    _, memory, clock = step_machine(options)
    model = build_model(options.model, options.input_shape, options.classes)
    optimizer = SGD(lr=0.01, momentum=options.momentum)
    with Activity("preparing the device") as activity:
        device = TracedSimDevice(
            config, memory=memory, clock_mhz=clock, memory_bytes=_MEMORY_BYTES, progress=activity.step
        )
        activity.step("compiling the network")
        trainer = Trainer(model, loss=CrossEntropyLoss(), optimizer=optimizer, batch=options.batch, device=device)
        activity.step("running a step")
        generator = np.random.default_rng(0)
        x = generator.standard_normal((options.batch, *model.input_shape)).astype(np.float32)
        _, timeline = trace_step(trainer, x, generator.integers(0, trainer.classes, options.batch))
        activity.step("writing the trace")
        write_trace(timeline, options.output)
    title = (
        f"{options.model}, batch {options.batch}: {config.rows} x {config.lanes} {config.operand.name}, "
        f"memory {memory.name}; {timeline.cycles:,} cycles, "
        f"{timeline.microseconds(timeline.cycles):,.1f} us at {clock:g} MHz"
    )
    output.line(title)
    for line in _table(timeline):
        output.line(line)
    output.line(f"trace  {options.output} (open it in ui.perfetto.dev)")
    if options.plot:
        from .timeline_plot import draw_timeline

        draw_timeline(timeline, title, options.plot)
        output.line(f"plot   {options.plot}")
    output.result({
        "model": options.model, "batch": options.batch, "memory": memory.name, "clock_mhz": clock,
        "config": config.as_dict(), **_as_dict(timeline),
    })  # fmt: skip
    return 0


def _table(timeline: Timeline) -> list[str]:
    """Cycles and share of the step: of each unit while busy, then of all that it does, the longest first."""
    rows: list[list[str]] = []

    def row(name: str, cycles: int) -> None:
        rows.append([name, f"{cycles:,}", f"{cycles / timeline.cycles:.1%}"])

    for unit, lane in timeline.lanes.items():
        row(f"{unit.name} busy", lane.busy())
        totals = timeline.totals(unit)
        small = [label for label, cycles in totals.items() if cycles < _LEAST * timeline.cycles]
        rest = sum(totals.pop(label) for label in small)
        for label, cycles in totals.most_common():
            row(f"  {label}", cycles)
        if rest:
            row("  other", rest)
    return table(["unit, state", "cycles", "share"], rows)


def _as_dict(timeline: Timeline) -> dict[str, Any]:
    return {
        "cycles": timeline.cycles,
        "units": {
            unit.name: {"busy": lane.busy(), "states": dict(timeline.totals(unit))}
            for unit, lane in timeline.lanes.items()
        },
        "phases": [
            {
                "layer": phase.layer, "name": phase.name, "phase": phase.phase, "start": phase.start, "end": phase.end,
                "units": {
                    unit.name: {state.value: count for state, count in lane.states(phase.start, phase.end).items()}
                    for unit, lane in timeline.lanes.items()
                },
            }
            for phase in timeline.phases
        ],
        "counters": dict(timeline.counters),
    }  # fmt: skip
