"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from tqdm import tqdm

from eftrain_hdl.config import Config
from eftrain_hdl.graph import Sequential
from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat
from eftrain_hdl.zoo import models

__all__ = [
    "FORMATS",
    "Activity",
    "CliError",
    "Output",
    "Parser",
    "adapted_board_config",
    "add_config_options",
    "add_json_option",
    "at_least_one",
    "build_model",
    "config_from",
    "given_config",
    "input_shape",
    "progress_bar",
    "table",
]

FORMATS: dict[str, FloatFormat] = {f.name: f for f in (FP32, BF16, FP16, TF32)}

_QUIET_SECONDS = 2.0
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


def board_config(options: argparse.Namespace) -> Config:
    """The configuration of ``--board`` if it was given, else that of the options; CliError if both were."""
    if options.board is None:
        return config_from(options)
    from eftrain_hdl import boards

    if options.board not in boards.names():
        raise CliError(f"unknown board {options.board!r}: choose from {', '.join(boards.names())}")
    given = given_config(options)
    if given:
        option = next(iter(given)).replace("_", "-")
        raise CliError(f"--board has a configuration of its own: leave out --{option}, or --board")
    return boards.get(options.board).config


def adapted_board_config(options: argparse.Namespace) -> Config:
    """The configuration of ``--board``, if it was given, with what the other options change."""
    given = given_config(options)
    if options.board is None or not given:
        return board_config(options)
    plain = argparse.Namespace(**{**vars(options), **dict.fromkeys(given)})
    return replace(board_config(plain), **given)


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


def progress_bar(total: int, what: str, unit: str) -> tqdm[Any]:
    """A progress bar on standard error; nothing is shown of what takes less than two seconds."""
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
