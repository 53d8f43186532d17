"""``eftrain export``: registers and instructions for other software."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from eftrain_hdl.cli.arguments import CliError, integer, output_file, refuse
from eftrain_hdl.cli.common import find_board
from eftrain_hdl.export.c_header import c_header
from eftrain_hdl.export.device_tree import board_device_tree
from eftrain_hdl.export.markdown import markdown
from eftrain_hdl.export.python_constants import python_constants
from eftrain_hdl.export.systemrdl import systemrdl
from eftrain_hdl.files import write_text

__all__ = ["add_parser"]

_TEXTS: dict[str, Callable[[], str]] = {
    "c": c_header, "systemrdl": systemrdl, "python": python_constants, "markdown": markdown,
}  # fmt: skip

_DESCRIPTION = """\
Write the registers and instructions of the accelerator for other software. All of it comes from the tables that the
gateware is made from; `eftrain build` puts it into a project's folder software/.

  c           header for C99 and C++11: offsets, masks, opcodes, places of fields, texts of errors and units
  systemrdl   the registers in SystemRDL 2.0, for tools that read that
  python      a module of constants that imports nothing
  markdown    docs/reference.md
  devicetree  overlay for Linux on a board: registers and interrupt by UIO, a contiguous buffer by u-dma-buf
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export",
        help="write registers and instructions as C header, SystemRDL, Python, Markdown, device tree",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--format", required=True, choices=[*_TEXTS, "devicetree"], metavar="FORMAT", help="one of those above"
    )
    parser.add_argument(
        "--output", "-o", type=output_file(), metavar="FILE", help="file to write (default: standard output)"
    )
    group = parser.add_argument_group("device tree")
    group.add_argument("--board", metavar="NAME", help="take addresses and interrupt of a board (see `eftrain info`)")
    group.add_argument(
        "--buffer", type=integer(1, 1 << 20), metavar="MIB",
        help="size of the contiguous buffer (default: a quarter of the board's DRAM, at most 256)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the text, and to a file nothing but the text."""
    text = _device_tree(options) if options.format == "devicetree" else _text(options)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    write_text(options.output, text)
    print(f"{options.output}: {text.count(chr(10))} lines")
    return 0


def _text(options: argparse.Namespace) -> str:
    refuse(options, "is for --format devicetree: the registers are the same on every board", ["--board", "--buffer"])
    return _TEXTS[options.format]()


def _device_tree(options: argparse.Namespace) -> str:
    if options.board is None:
        raise CliError("--format devicetree needs --board, which has the addresses and the interrupt")
    return board_device_tree(find_board(options.board), None if options.buffer is None else options.buffer << 20)
