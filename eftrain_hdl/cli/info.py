"""``eftrain info``: what is here, and what a network is made of."""

from __future__ import annotations

import argparse
from math import prod

from eftrain_hdl.cli.arguments import batch_size, class_count, input_shape
from eftrain_hdl.cli.common import (
    FORMATS,
    Activity,
    Output,
    add_config_options,
    add_json_option,
    build_model,
    config_from,
    refuse_config,
    table,
)

__all__ = ["add_parser"]

_DESCRIPTION = """\
Without --model: the models, boards, DRAM models and operand formats that exist.

With --model: its layers, parameters and multiply-accumulates per training step, and the size of the programs and of the
memory that the compiler needs for it on the accelerator described by the options. There are no programs of a network
with layers that can be planned but not trained yet.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "info",
        help="list models, boards and memories; describe a network and its programs",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", metavar="NAME", help="a model of the zoo")
    parser.add_argument(
        "--input-shape", type=input_shape, metavar="C,H,W", help="shape of one sample (default: the model's own)"
    )
    parser.add_argument("--classes", type=class_count, default=10, metavar="N", help="outputs (default 10)")
    parser.add_argument("--batch", type=batch_size, default=16, metavar="N", help="samples per step (default 16)")
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print and, if asked, write JSON."""
    if options.model is not None:
        return _describe(options)
    refuse_config(options, "is for --model", "--input-shape", "--classes", "--batch")
    return _catalogue(options)


def _catalogue(options: argparse.Namespace) -> int:
    from eftrain_hdl import boards
    from eftrain_hdl.planner.dram import MEMORY_MODELS
    from eftrain_hdl.zoo import models

    found = {
        "models": sorted(models),
        "boards": sorted(boards.names()),
        "memories": sorted(MEMORY_MODELS),
        "operands": sorted(FORMATS),
    }
    output = Output(options)
    for name, values in found.items():
        output.line(f"{name:9} {', '.join(values)}")
    output.result(found)
    return 0


def _describe(options: argparse.Namespace) -> int:
    from eftrain_hdl.compiler import compile_model
    from eftrain_hdl.graph import SGD, CrossEntropyLoss, planned_only
    from eftrain_hdl.graph.work import step_macs

    model = build_model(options.model, options.input_shape, options.classes)
    config = config_from(options)
    optimizer = SGD(lr=0.01, momentum=0.9)
    plan = None
    if any(map(planned_only, model)):
        refuse_config(options, f"is for programs, and {options.model} has none: it can be planned but not trained yet")
    else:
        with Activity("compiling"):
            plan = compile_model(model, config, batch=options.batch, loss=CrossEntropyLoss(), optimizer=optimizer)
    macs = step_macs(model, options.batch)
    parameters = sum(prod(shape) for shape in model.parameter_shapes().values())
    programs = {name: program.nbytes for name, program in plan.programs.items()} if plan else {}
    layers = [
        {
            "layer": node.index,
            "name": node.name,
            "type": repr(node.layer),
            "input_shape": node.input_shape,
            "output_shape": node.output_shape,
            "parameters": 0 if node.body else sum(prod(shape) for shape in node.parameter_shapes().values()),
            "macs": {phase: count for (layer, phase), count in macs.items() if layer == node.index},
        }
        for node in model.flat
    ]

    output = Output(options)
    rows = [
        [
            f"{node.name} {type(node.layer).__name__}",
            "x".join(map(str, node.input_shape)),
            "x".join(map(str, node.output_shape)),
            f"{layer['parameters']:,}",
            f"{sum(count for (index, _), count in macs.items() if index == node.index):,}",
        ]
        for node, layer in zip(model.flat, layers, strict=True)
    ]
    for line in table(["layer", "input", "output", "parameters", "MAC a step"], rows):
        output.line(line)
    output.line()
    output.line(f"parameters       {parameters:,}")
    output.line(f"MAC a step       {sum(macs.values()):,} (batch {options.batch})")
    if plan:
        output.line(f"DRAM             {plan.memory_bytes:,} bytes")
    else:
        output.line("programs         none: some layers can be planned but not trained yet, see `eftrain plan`")
    for name, size in programs.items():
        output.line(f"{name:16} {size:,} bytes of program")
    output.result(
        {
            "model": options.model,
            "batch": options.batch,
            "parameters": parameters,
            "macs_per_step": sum(macs.values()),
            "layers": layers,
            "memory_bytes": plan.memory_bytes if plan else None,
            "program_bytes": programs,
            "config": config.as_dict(),
        }
    )
    return 0
