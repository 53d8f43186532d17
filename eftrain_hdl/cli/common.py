"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol

from eftrain_hdl.config import Config
from eftrain_hdl.graph import Sequential
from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat
from eftrain_hdl.planner.dram import MemoryModel, memory_model
from eftrain_hdl.planner.resources import Resources
from eftrain_hdl.zoo import models

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board

__all__ = [
    "FORMATS",
    "Activity",
    "CliError",
    "Output",
    "Parser",
    "adapted_board_config",
    "adapted_config",
    "add_config_options",
    "add_json_option",
    "add_step_options",
    "at_least_one",
    "board_resources",
    "build_model",
    "config_from",
    "find_board",
    "given_config",
    "input_shape",
    "progress_bar",
    "step_machine",
    "table",
]

FORMATS: dict[str, FloatFormat] = {f.name: f for f in (FP32, BF16, FP16, TF32)}

_QUIET_SECONDS, _LINE_SECONDS = 2.0, 5.0
_SIZES = {
    "rows": "Tm, outputs per cycle",
    "lanes": "Tn, products summed per row and cycle",
    "data-width": "bits of an AXI port; fewer than 128 where rows or lanes are below 4",
    "ports": "AXI ports, 1 to 4",
    "streaming-depth": "vectors in the streaming buffer",
    "stationary-depth": "vectors in the stationary buffer",
    "accumulator-depth": "words in an accumulator bank",
    "accumulator-banks": "accumulator banks of a row, 2 or 4",
    "operand-depth": "beats in an operand memory",
}


class CliError(Exception):
    """A request that cannot be met; the message is all the user sees."""


class Parser(argparse.ArgumentParser):
    """Reports a bad command line in one line, as every other error is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def at_least_one(text: str) -> int:
    """A positive integer, as an argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


at_least_one.__name__ = "integer"  # what argparse calls the type in its messages


def add_config_options(parser: argparse.ArgumentParser, defaults: Config | None = None) -> None:
    """Options that make up a :class:`Config`; one that is not given has the value it has in ``defaults``."""
    defaults = defaults or Config()
    group = parser.add_argument_group("accelerator")
    for name, text in _SIZES.items():
        default = getattr(defaults, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=int, metavar="N", help=f"{text} (default {default})")
    group.add_argument(
        "--operand", choices=sorted(FORMATS), help=f"format of the array's operands (default {defaults.operand.name})"
    )
    parser.set_defaults(config_defaults=defaults)


def given_config(options: argparse.Namespace) -> dict[str, Any]:
    """The accelerator options that were given, by their names in :class:`Config`."""
    names = [name.replace("-", "_") for name in _SIZES]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.operand is not None:
        given["operand"] = FORMATS[options.operand]
    return given


def config_from(options: argparse.Namespace) -> Config:
    """The configuration that the options describe; ``ConfigError`` if there is none."""
    defaults: Config = options.config_defaults
    return Config(**({"rows": defaults.rows, "lanes": defaults.lanes} | given_config(options)))


def find_board(name: str) -> Board:
    """The board called ``name``, or the only one whose name begins so; CliError if there is none."""
    from eftrain_hdl import boards

    found = [name] if name in boards.names() else [other for other in boards.names() if other.startswith(name)]
    if len(found) != 1:
        raise CliError(f"unknown board {name!r}: choose from {', '.join(boards.names())}")
    return boards.get(found[0])


def board_resources(board: Board) -> Resources:
    """What the fabric of a board has."""
    return Resources(board.lut, board.ff, board.dsp, board.bram36)


def adapted_board_config(options: argparse.Namespace) -> Config:
    """The configuration of ``--board``, if it was given, with what the other options change."""
    return config_from(options) if options.board is None else adapted_config(find_board(options.board), options)


def adapted_config(board: Board, options: argparse.Namespace) -> Config:
    """The board's configuration for the operand format asked for, or else its default, with what the options change."""
    given = given_config(options)
    operand = given.get("operand", FP32)
    return replace(board.configs.get(operand.name, board.config), **given)


def add_step_options(parser: argparse.ArgumentParser, *, batch: int, model: str | None = None) -> None:
    """Options of a command about one training step on one machine; ``model`` None: it has to be given."""
    note = f" (default {model})" if model else " (see `eftrain info`)"
    parser.add_argument(
        "--model", metavar="NAME", default=model, required=model is None, help=f"a model of the zoo{note}"
    )
    parser.add_argument("--input-shape", type=input_shape, metavar="C,H,W", help="shape of one sample")
    parser.add_argument("--classes", type=at_least_one, metavar="N", help="outputs (default: the model's)")
    parser.add_argument(
        "--batch", type=at_least_one, default=batch, metavar="N", help=f"samples per step (default {batch})"
    )
    parser.add_argument("--momentum", type=float, default=0.0, metavar="F", help="momentum of SGD (default 0)")
    parser.add_argument("--board", metavar="NAME", help="configuration, memory and clock of a board")
    parser.add_argument("--memory", metavar="NAME", help="DRAM model (default: the board's, or zcu102)")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="clock (default: the board's, or 250)")


def step_machine(options: argparse.Namespace) -> tuple[Board | None, MemoryModel, float]:
    """Board, memory and clock that the options of `add_step_options` choose. CliError for a bad board or clock."""
    board = find_board(options.board) if options.board else None
    clock = (board.clock_mhz if board else 250.0) if options.clock is None else options.clock
    if not (math.isfinite(clock) and clock > 0):
        raise CliError(f"--clock must be a positive number of MHz, not {clock:g}")
    return board, memory_model(options.memory or (board.memory if board else "zcu102")), clock


def input_shape(text: str) -> tuple[int, ...]:
    """``C,H,W`` of ``--input-shape``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected C,H,W such as 3,32,32, not {text!r}") from None


def build_model(name: str, shape: tuple[int, ...] | None, classes: int | None) -> Sequential:
    """A network of the zoo, with its own input shape or classes where None. CliError if there is none of that name."""
    if name not in models:
        raise CliError(f"unknown model {name!r}: choose from {', '.join(sorted(models))}")
    own: dict[str, Any] = {"input_shape": shape, "classes": classes}
    build: Callable[..., Sequential] = models[name]
    return build(**{key: value for key, value in own.items() if value is not None})


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """``--json FILE``."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the results as one JSON object; - is standard output, with nothing else on it",
    )


class Output:
    """Text for people and JSON for programs, kept apart: with ``--json -`` the text goes to standard error."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json: str | None = options.json
        self.text: IO[str] = sys.stderr if self._json == "-" else sys.stdout

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        print(text, file=self.text, flush=True)

    def result(self, value: dict[str, Any]) -> None:
        """Write the JSON object if it was asked for. What JSON has no number for (NaN, infinities) becomes null."""
        if self._json is None:
            return
        plain = _finite(value)
        if self._json == "-":
            print(json.dumps(plain, allow_nan=False), flush=True)
        else:
            path = Path(self._json)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(plain, allow_nan=False, indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(row: list[str]) -> str:
        cells = zip(row, widths, strict=True)
        return "  ".join(text.rjust(width) if k else text.ljust(width) for k, (text, width) in enumerate(cells))

    return [line(header), "  ".join("-" * width for width in widths), *map(line, rows)]


class Progress(Protocol):
    """What commands use of a progress bar."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exc: object) -> object: ...

    def set_postfix(self, *, refresh: bool, **values: str) -> object: ...

    def update(self) -> object: ...


class _Lines:
    """Progress in lines, for boards that have NumPy and nothing else."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self._total, self._what, self._unit = total, what, unit
        self._count, self._values = 0, ""
        self._next = time.monotonic() + _QUIET_SECONDS

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def set_postfix(self, *, refresh: bool, **values: str) -> None:
        self._values = "".join(f", {name} {value}" for name, value in values.items())

    def update(self) -> None:
        self._count += 1
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            text = f"{self._what}: {self._unit} {self._count} of {self._total}{self._values}"
            print(text, file=sys.stderr, flush=True)


def progress_bar(total: int, what: str, unit: str) -> Progress:
    """A progress bar on standard error, or lines without tqdm; nothing is shown of what takes less than two seconds."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _Lines(total, what, unit)
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, delay=_QUIET_SECONDS, mininterval=interval)


class Activity:
    """Shows on standard error what is being done and for how long, where nobody can tell how much is left.

    Nothing is shown of what takes less than two seconds. A terminal gets a running clock, anything else one line for
    each step.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = ""
        self._seconds = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def step(self, what: str) -> None:
        """From now on, this is being done."""
        self._what = what

    def __enter__(self) -> Activity:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._shown and sys.stderr.isatty():
            print(f"\r\033[K{self._shown} ({self._seconds:.0f} s)", file=sys.stderr, flush=True)

    def _run(self) -> None:
        terminal = sys.stderr.isatty()
        interval = 0.5
        while not self._done.wait(interval):
            self._seconds += interval
            if self._seconds < _QUIET_SECONDS:
                continue
            if terminal:
                print(f"\r\033[K{self._what} ({self._seconds:.0f} s)", end="", file=sys.stderr, flush=True)
            elif self._shown != self._what:
                print(f"{self._what} ...", file=sys.stderr, flush=True)
            self._shown = self._what
