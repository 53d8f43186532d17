"""The command line: ``eftrain``."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eftrain_hdl import __version__
from eftrain_hdl.cli import area, build, compile, export, info, plan, pnr, run, trace, train, verilog
from eftrain_hdl.cli.arguments import CliError, Parser

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board

__all__ = ["board_main", "main"]

_PIPE_CLOSED = 128 + signal.SIGPIPE
"""What shells say of a program that SIGPIPE ends."""
_GARBAGE = 50_000
"""New objects after which Python looks for cycles of dead ones."""

_COMMANDS = (train, compile, run, trace, verilog, build, export, plan, area, pnr, info)

_EPILOG = """\
examples:
  eftrain train --model lenet --data digits --device sim --rows 8 --lanes 8 --batch 16 --steps 300
  eftrain train --model shallow --device emulator --steps 60 --json -
  eftrain trace --model shallow --rows 8 --lanes 8 --plot build/trace.png
  eftrain verilog --rows 16 --lanes 16 --output build/accelerator.v
  eftrain build zcu102 --output build/zcu102
  eftrain export --format c --output build/eftrain.h
  eftrain plan --board zcu102 --model vgg16 --batch 16
  eftrain compile --model lenet --board zcu102 --output build/lenet.npz
  eftrain run build/lenet.npz --device emulator --steps 20
  eftrain area --board zcu102
  eftrain pnr --part ecp5-85f
  eftrain info --model 1x --batch 4

`eftrain COMMAND --help` explains each command.
"""


def parser() -> argparse.ArgumentParser:
    """The argument parser of all commands."""
    top = Parser(
        prog="eftrain",
        description="Train convolutional networks on a small accelerator, simulated or emulated; write it as Verilog.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"eftrain-hdl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 (with one line on standard error) for what the user can put right.

    Without any arguments the help goes to standard error, and the status is 2 as well: nothing was done.
    """
    return _parse_and_run(parser(), arguments)


def board_main(board: Board, arguments: Sequence[str] | None = None) -> int:
    """The command line of a board's own file: ``python boards/zcu102.py build`` is ``eftrain build zcu102``."""
    top: argparse.ArgumentParser = Parser(prog=Path(sys.argv[0]).name, description=board.title)
    build.add_parser(top.add_subparsers(dest="command", required=True, metavar="COMMAND"), board)
    return _parse_and_run(top, arguments)


def _parse_and_run(top: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    if not (sys.argv[1:] if arguments is None else arguments):
        top.print_help(sys.stderr)
        return 2
    return _run(top.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    if sys.stderr is None:  # closed by who has started this: progress and errors go nowhere
        sys.stderr = open(os.devnull, "w")
    # Plans and netlists are made of very many objects that live on; going through them takes per cents of the time.
    gc.set_threshold(_GARBAGE)
    try:
        status: int = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read the output, such as `head`, has enough of it; Python would complain once more at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except (CliError, ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
        print(f"eftrain {options.command}: {' '.join(_words(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"eftrain {options.command}: interrupted", file=sys.stderr)
        return 130


def _words(error: Exception) -> str:
    """What an error says; one of the operating system like those of arguments, without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
