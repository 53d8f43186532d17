"""``eftrain build``: a Vivado project for a board."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from eftrain_hdl.cli.arguments import clock_mhz, integer, output_folder, refuse
from eftrain_hdl.cli.common import Activity, Output, adapted_config, add_config_options, add_json_option, find_board
from eftrain_hdl.config import Config

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board

__all__ = ["add_parser"]

_DESCRIPTION = """\
Write a Vivado project for a board: the accelerator as Verilog, scripts that package it, put it into a block design with
the board's processing system and make a bitstream of it, a Makefile and a manifest. The same options give the same
bytes. docs/boards.md goes on from there.

The accelerator is the board's own for the operand format, changed by the other options.

The folder must be new, empty, or one that this command wrote; files that Vivado made in it are left alone.

JSON (--json): output, board, config, clock_mhz, seconds, bitstream (null unless --run was given).
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], board: Board | None = None) -> None:
    """Register the command, for one board or for any."""
    parser = commands.add_parser(
        "build",
        help="write a Vivado project for a board" if board is None else f"write a Vivado project for the {board.title}",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if board is None:
        parser.add_argument("board", metavar="BOARD", help="a board (see `eftrain info`)")
    parser.add_argument(
        "--output", "-o", type=output_folder, metavar="DIRECTORY",
        help="folder to write (default build/ and the board's name)",
    )
    parser.add_argument("--clock", type=clock_mhz, metavar="MHZ", help="clock to ask Vivado for (default: the board's)")
    parser.add_argument("--run", action="store_true", help="run Vivado on it, which takes hours", dest="run_vivado")
    parser.add_argument(
        "--jobs", type=integer(1, 1024), default=2, metavar="N", help="processes of Vivado with --run (default 2)"
    )
    add_config_options(parser, None if board is None else board.config)
    add_json_option(parser)
    parser.set_defaults(run=lambda options: run(options, board))


def run(options: argparse.Namespace, board: Board | None) -> int:
    """Check everything that can be checked, then write the project and, if asked, run Vivado."""
    from eftrain_hdl.vivado import check_output, find_vivado, project_files, run_vivado, write_output

    output = Output(options)
    if not options.run_vivado:
        refuse(options, "is for --run: without it, nothing is run", ["--jobs"])
    if board is None:
        board = find_board(options.board)
    config = adapted_config(board, options)
    board.check(config)
    clock = board.clock_mhz if options.clock is None else options.clock
    board.check_clock(clock)
    directory = options.output or Path("build") / board.name
    check_output(directory)
    vivado = find_vivado() if options.run_vivado else None

    start = time.monotonic()
    with Activity(f"elaborating the {config.rows} x {config.lanes} {config.operand.name} accelerator"):
        files = project_files(board, config, clock)
    write_output(directory, files)
    seconds = time.monotonic() - start
    output.line(f"{directory}: {_summary(board, config, clock)}; {len(files)} files in {seconds:.0f} s")
    if vivado:
        run_vivado(vivado, directory, jobs=options.jobs)
        output.line(f"{directory / 'eftrain.bit'}: bitstream; figures in {directory / 'results.json'} and reports/")
    else:
        output.line(f"where Vivado is on PATH, this makes the bitstream: make -C {directory}")
    output.result({
        "output": str(directory), "board": board.name, "config": config.as_dict(), "clock_mhz": clock,
        "seconds": seconds, "bitstream": str(directory / "eftrain.bit") if vivado else None,
    })  # fmt: skip
    return 0


def _summary(board: Board, config: Config, clock: float) -> str:
    ports = ", ".join(f"HP{port}" for port in board.hp[: config.ports])
    return (
        f"{board.title}, {config.rows} x {config.lanes} {config.operand.name} at {clock:g} MHz, "
        f"{config.data_width} bits of {ports}"
    )
