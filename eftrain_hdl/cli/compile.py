"""``eftrain compile``: a network to a plan file that trains where NumPy is all there is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eftrain_hdl.checks import counted
from eftrain_hdl.cli.arguments import (
    batch_size,
    class_count,
    input_shape,
    memory_base,
    output_file,
    output_folder,
    rate,
    refuse,
    seed,
)
from eftrain_hdl.cli.common import (
    Activity,
    Output,
    adapted_board_config,
    add_config_options,
    add_json_option,
    build_model,
    check_board_memory,
    find_board,
)
from eftrain_hdl.cli.train import learning_rate
from eftrain_hdl.files import write_text
from eftrain_hdl.graph import SGD, CrossEntropyLoss, initial_parameters
from eftrain_hdl.zoo import models

if TYPE_CHECKING:
    from eftrain_hdl.compiler import Plan

__all__ = ["add_parser"]

_DESCRIPTION = """\
Compile the training of a network of the zoo for one accelerator, and write it to a file. `eftrain run` trains with the
file on a board, on the simulated RTL or on the emulator; it refuses hardware of another configuration. The file can be
used anywhere in memory: addresses are moved when it is loaded.

--c-source writes the same as C for programs without an operating system (examples/bare_metal): plan.c has the programs,
initial parameters and addresses, eftrain.h the registers.

JSON (--json): file, bytes, memory_bytes, programs (bytes of each), batch, config.
"""

_EPILOG = """\
examples:
  eftrain compile --model lenet --board zcu102 --batch 16 --output build/lenet.npz
  eftrain compile --model 1x --board ultra96v2 --operand bf16 --output build/1x.npz
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "compile",
        help="compile a network to a plan file for a board",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="NAME", help=", ".join(sorted(models)))
    parser.add_argument("--input-shape", type=input_shape, metavar="C,H,W", help="shape of one sample")
    parser.add_argument("--classes", type=class_count, metavar="N", help="outputs (default: the model's)")
    parser.add_argument("--batch", type=batch_size, default=16, metavar="N", help="samples per step (default 16)")
    parser.add_argument("--lr", type=rate, metavar="X", help="learning rate (default: the model's)")
    parser.add_argument("--momentum", type=rate, default=0.9, metavar="X", help="of SGD (default 0.9)")
    parser.add_argument("--weight-decay", type=rate, default=0.0, metavar="X", help="of SGD (default 0)")
    parser.add_argument("--board", metavar="NAME", help="configuration of a board")
    parser.add_argument(
        "--output", "-o", type=output_file(".npz"), required=True, metavar="FILE", help="the plan file (.npz)"
    )
    parser.add_argument(
        "--c-source", type=output_folder, metavar="DIR", help="also write eftrain.h and plan.c, for C programs"
    )
    parser.add_argument(
        "--memory-base", type=memory_base, default=0, metavar="ADDRESS",
        help="where the plan lies if nobody moves it: what plan.c uses (default 0)",
    )  # fmt: skip
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the parameters in plan.c (default 0)")
    add_config_options(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile and write."""
    from eftrain_hdl.compiler import compile_model, save_plan

    output = Output(options)
    if options.c_source is None:
        refuse(options, "is for --c-source: a plan file has no parameters", ["--seed"])
    config = adapted_board_config(options)
    model = build_model(options.model, options.input_shape, options.classes)
    optimizer = SGD(lr=learning_rate(options), momentum=options.momentum, weight_decay=options.weight_decay)
    if options.board is not None:
        check_board_memory(model, config, options.batch, optimizer, find_board(options.board))
    with Activity("compiling the network"):
        plan = compile_model(
            model, config, batch=options.batch, loss=CrossEntropyLoss(), optimizer=optimizer,
            memory_base=options.memory_base,
        )  # fmt: skip
    save_plan(plan, options.output)
    if options.c_source:
        _write_c(plan, options.c_source, options.seed)
    programs = {name: program.nbytes for name, program in plan.programs.items()}
    nbytes = options.output.stat().st_size
    output.line(f"{options.output}: {options.model}, batch {options.batch}, lr {optimizer.lr:g}")
    output.line(f"for {config.rows} x {config.lanes} {config.operand.name}, {counted(config.ports, 'port')}")
    output.line(f"{nbytes:,} bytes; on the board {plan.memory_bytes:,} bytes of contiguous memory")
    output.result({
        "file": str(options.output), "bytes": nbytes, "memory_bytes": plan.memory_bytes, "programs": programs,
        "batch": options.batch, "config": config.as_dict(),
    })  # fmt: skip
    return 0


def _write_c(plan: Plan, folder: Path, seed: int) -> None:
    from eftrain_hdl.export.c_header import c_header
    from eftrain_hdl.export.c_plan import c_plan

    write_text(folder / "eftrain.h", c_header())
    write_text(folder / "plan.c", c_plan(plan, initial_parameters(plan.model, seed)))
