"""``eftrain info``: what is here, and what a network is made of."""

from __future__ import annotations

import argparse
from math import prod

from eftrain_hdl.cli.common import CliError, Output, add_config_options, add_json_option, config_from

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "info", help="list models, boards and memories; describe a network and its program",
        description="Without --model: the models, boards, memory models and operand formats that exist. With --model: its layers, parameters, "
                    "multiply-accumulates per step, and the size of the program compiled for the configuration below.")
    parser.add_argument("--model", help="a model of the zoo")
    parser.add_argument("--input-shape", default=None, help="C,H,W of one sample (default: the model's own)")
    parser.add_argument("--classes", type=int, default=10, help="outputs (default 10)")
    parser.add_argument("--batch", type=int, default=16, help="samples per step (default 16)")
    add_config_options(parser, 16, 16)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print and, if asked, write JSON."""
    return _describe(options) if options.model else _catalogue(options)


def _catalogue(options: argparse.Namespace) -> int:
    from eftrain_hdl import boards
    from eftrain_hdl.cli.common import FORMATS
    from eftrain_hdl.runtime.verilator import MEMORY_MODELS
    from eftrain_hdl.zoo import models

    found = {"models": sorted(models), "boards": boards.names(), "memories": sorted(MEMORY_MODELS), "operands": sorted(FORMATS)}
    output = Output(options)
    for name, values in found.items():
        output.line(f"{name:9} {', '.join(values)}")
    output.result(found)
    return 0


def _describe(options: argparse.Namespace) -> int:
    from eftrain_hdl.compiler import compile_model
    from eftrain_hdl.graph import SGD, CrossEntropyLoss
    from eftrain_hdl.runtime.work import step_macs
    from eftrain_hdl.zoo import models

    if options.model not in models:
        raise CliError(f"unknown model {options.model!r}: choose from {', '.join(sorted(models))}")
    shape = tuple(int(v) for v in options.input_shape.split(",")) if options.input_shape else None
    model = models[options.model](shape, options.classes) if shape else models[options.model](classes=options.classes)  # type: ignore[call-arg]
    config = config_from(options)
    plan = compile_model(model, config, batch=options.batch, loss=CrossEntropyLoss(), optimizer=SGD(lr=0.01, momentum=0.9))
    macs = step_macs(model, options.batch)
    parameters = sum(prod(shape) for shape in model.parameter_shapes().values())
    output = Output(options)
    for node in model.nodes:
        output.line(f"{node.name:>3}  {node.layer!r:60} {node.input_shape} -> {node.output_shape}")
    output.line(f"parameters           {parameters:,}")
    output.line(f"MAC per step         {sum(macs.values()):,} (batch {options.batch})")
    output.line(f"DRAM                 {plan.memory_bytes:,} bytes")
    for name, program in plan.programs.items():
        output.line(f"program {name:12} {program.words.nbytes:,} bytes")
    output.result({"parameters": parameters, "macs": sum(macs.values()), "memory_bytes": plan.memory_bytes, "config": config.as_dict()})
    return 0
