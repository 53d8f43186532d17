"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

from eftrain_hdl.cli.arguments import (
    CliError,
    batch_size,
    class_count,
    clock_mhz,
    find,
    input_shape,
    json_target,
    rate,
    refuse,
    size,
)
from eftrain_hdl.config import Config, ConfigError
from eftrain_hdl.files import write_text
from eftrain_hdl.graph import SGD, Sequential
from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat
from eftrain_hdl.planner.dram import MemoryModel, memory_model
from eftrain_hdl.planner.resources import Resources
from eftrain_hdl.zoo import models

if TYPE_CHECKING:
    from eftrain_hdl.boards import Board

__all__ = [
    "FORMATS",
    "Activity",
    "Output",
    "adapted_board_config",
    "adapted_config",
    "add_config_options",
    "add_json_option",
    "add_step_options",
    "board_resources",
    "build_model",
    "check_board_memory",
    "config_from",
    "find_board",
    "given_config",
    "make_config",
    "refuse_config",
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


def add_config_options(parser: argparse.ArgumentParser, defaults: Config | None = None) -> None:
    """Options that make up a :class:`Config`; one that is not given has the value it has in ``defaults``."""
    defaults = defaults or Config()
    group = parser.add_argument_group("accelerator")
    for name, text in _SIZES.items():
        default = getattr(defaults, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=size, metavar="N", help=f"{text} (default {default})")
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


def refuse_config(options: argparse.Namespace, why: str, *others: str) -> None:
    """CliError for an option of the accelerator, or one of ``others``, that was given though it changes nothing."""
    refuse(options, why, [*(f"--{name}" for name in _SIZES), "--operand", *others])


def config_from(options: argparse.Namespace) -> Config:
    """The configuration that the options describe; ``ConfigError`` if there is none."""
    defaults: Config = options.config_defaults
    return make_config(lambda given: Config(**({"rows": defaults.rows, "lanes": defaults.lanes} | given)), options)


def make_config(make: Callable[[dict[str, Any]], Config], options: argparse.Namespace) -> Config:
    """What ``make`` makes of the options that were given; an error calls them by their names."""
    try:
        return make(given_config(options))
    except ConfigError as error:
        name = re.split(r"\W", str(error), maxsplit=1)[0].replace("_", "-")
        raise CliError(f"--{name}{str(error)[len(name):]}" if name in _SIZES else str(error)) from None


def find_board(name: str) -> Board:
    """The board called ``name``, or the only one whose name begins so; CliError if there is none."""
    from eftrain_hdl import boards

    names = sorted(boards.names())
    begun = [other for other in names if name and other.startswith(name)]
    return boards.get(begun[0] if len(begun) == 1 else find("board", name, names))


def board_resources(board: Board) -> Resources:
    """What the fabric of a board has."""
    return Resources(board.lut, board.ff, board.dsp, board.bram36)


def adapted_board_config(options: argparse.Namespace) -> Config:
    """The configuration of ``--board``, if it was given, with what the other options change."""
    return config_from(options) if options.board is None else adapted_config(find_board(options.board), options)


def adapted_config(board: Board, options: argparse.Namespace) -> Config:
    """The board's configuration for the operand format asked for, or else its default, with what the options change."""

    def make(given: dict[str, Any]) -> Config:
        operand = given.get("operand", FP32)
        return replace(board.configs.get(operand.name, board.config), **given)

    return make_config(make, options)


def add_step_options(parser: argparse.ArgumentParser, *, batch: int, model: str | None = None) -> None:
    """Options of a command about one training step on one machine; ``model`` None: it has to be given."""
    note = f" (default {model})" if model else " (see `eftrain info`)"
    parser.add_argument(
        "--model", metavar="NAME", default=model, required=model is None, help=f"a model of the zoo{note}"
    )
    parser.add_argument("--input-shape", type=input_shape, metavar="C,H,W", help="shape of one sample")
    parser.add_argument("--classes", type=class_count, metavar="N", help="outputs (default: the model's)")
    parser.add_argument(
        "--batch", type=batch_size, default=batch, metavar="N", help=f"samples per step (default {batch})"
    )
    parser.add_argument("--momentum", type=rate, default=0.9, metavar="F", help="momentum of SGD (default 0.9)")
    parser.add_argument("--board", metavar="NAME", help="configuration, memory and clock of a board")
    parser.add_argument("--memory", metavar="NAME", help="DRAM model (default: the board's, or zcu102)")
    parser.add_argument("--clock", type=clock_mhz, metavar="MHZ", help="clock (default: the board's, or 250)")


def step_machine(options: argparse.Namespace) -> tuple[Board | None, MemoryModel, float]:
    """Board, memory and clock that the options of `add_step_options` choose. CliError for a bad board."""
    board = find_board(options.board) if options.board is not None else None
    mhz = (board.clock_mhz if board else 250.0) if options.clock is None else options.clock
    name = options.memory if options.memory is not None else board.memory if board else "zcu102"
    return board, memory_model(name), mhz


def build_model(name: str, shape: tuple[int, ...] | None, classes: int | None) -> Sequential:
    """A network of the zoo, with its own input shape or classes where None. CliError if there is none of that name."""
    find("model", name, sorted(models))
    own: dict[str, Any] = {"input_shape": shape, "classes": classes}
    build: Callable[..., Sequential] = models[name]
    return build(**{key: value for key, value in own.items() if value is not None})


def check_board_memory(model: Sequential, config: Config, batch: int, optimizer: SGD, board: Board) -> None:
    """CliError if the tensors of a step do not fit the DRAM of the board."""
    from eftrain_hdl.compiler.estimate import needed_memory

    def needed(samples: int) -> int:
        return needed_memory(model, config, batch=samples, optimizer=optimizer)

    excess = needed(batch) - board.dram_bytes
    if excess <= 0:
        return
    one = needed(1)
    per_sample = (needed(batch) - one) / max(1, batch - 1)
    fits = int((board.dram_bytes - one) // per_sample) + 1 if one <= board.dram_bytes else 0
    would = f"a batch of {fits} would fit" if fits else "not even one sample fits"
    raise CliError(
        f"a step of {batch} samples needs {board.dram_bytes + excess:,} bytes of DRAM, {excess:,} more than the "
        f"{board.dram_bytes:,} of {board.name}; {would}"
    )


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """``--json FILE``."""
    parser.add_argument(
        "--json",
        type=json_target,
        metavar="FILE",
        help="write the results as one JSON object; - is standard output, with nothing else on it",
    )


class Output:
    """Text for people and JSON for programs, kept apart: with ``--json -`` the text goes to standard error."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json: str | None = options.json
        if self._json == "-" and sys.stdout is None:
            raise CliError("--json -: there is no standard output to write to")
        self.text: IO[str] = sys.stderr if self._json == "-" else sys.stdout
        self._keeps_going = False
        self._failed: OSError | None = None

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        try:
            print(text, file=self.text, flush=True)
        except OSError as error:
            if not self._keeps_going:
                raise
            self._failed = self._failed or error

    def keep_going(self) -> None:
        """From now on there are results to keep: a reader who has gone, or a full disk under the text, does not keep
        them from their files, and is an error in `end`.
        """
        self._keeps_going = True

    def end(self) -> None:
        """OSError if lines could not be written."""
        if self._failed is not None:
            raise self._failed

    def result(self, value: dict[str, Any]) -> None:
        """Write the JSON object if it was asked for. What JSON has no number for (NaN, infinities) becomes null."""
        if self._json is None:
            return
        plain = _finite(value)
        if self._json == "-":
            print(json.dumps(plain, allow_nan=False), flush=True)
        else:
            write_text(self._json, json.dumps(plain, allow_nan=False, indent=2) + "\n")


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
    """Progress in lines, for logs, and for boards that have NumPy and nothing else."""

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
    """A progress bar on a terminal, lines in a log or without tqdm, on standard error; nothing is shown of what takes
    less than two seconds.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return _Lines(total, what, unit)
    if not sys.stderr.isatty():
        return _Lines(total, what, unit)
    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, delay=_QUIET_SECONDS)


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
