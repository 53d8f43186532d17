"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16, FP16, FP32, TF32, FloatFormat

__all__ = ["CliError", "Output", "add_config_options", "add_json_option", "config_from"]

FORMATS: dict[str, FloatFormat] = {f.name: f for f in (FP32, BF16, FP16, TF32)}


class CliError(Exception):
    """A request that cannot be met; the message is all the user sees."""


def add_config_options(parser: argparse.ArgumentParser, rows: int, lanes: int) -> None:
    """Options that make up a :class:`Config`; unset ones take its defaults."""
    group = parser.add_argument_group("accelerator")
    group.add_argument("--rows", type=int, default=rows, help=f"Tm, outputs per cycle (default {rows})")
    group.add_argument("--lanes", type=int, default=lanes, help=f"Tn, products summed per row and cycle (default {lanes})")
    group.add_argument("--operand", choices=sorted(FORMATS), default=FP32.name, help="format of the array's operands (default fp32)")
    group.add_argument("--data-width", type=int, help="bits of an AXI port (default 128, less for tiny arrays)")
    group.add_argument("--ports", type=int, default=1, help="AXI ports, 1 to 4 (default 1)")
    for name, text in (("streaming-depth", "vectors in the streaming buffer"), ("stationary-depth", "vectors in the stationary buffer"),
                       ("accumulator-depth", "words in an accumulator bank"), ("operand-depth", "beats in an operand memory")):
        group.add_argument(f"--{name}", type=int, help=f"{text} (default {getattr(Config, name.replace('-', '_'))})")


def config_from(options: argparse.Namespace) -> Config:
    """The configuration that the options describe; ``ConfigError`` if there is none."""
    names = ("rows", "lanes", "data_width", "ports", "streaming_depth", "stationary_depth", "accumulator_depth", "operand_depth")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Config(operand=FORMATS[options.operand], **given)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """``--json FILE``."""
    parser.add_argument("--json", metavar="FILE", help="write the results as one JSON object; - for standard output, and nothing else there")


class Output:
    """Text for people and JSON for programs, kept apart: with ``--json -`` the text goes to standard error."""

    def __init__(self, options: argparse.Namespace):
        self._json = options.json
        self.text = sys.stderr if self._json == "-" else sys.stdout

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        print(text, file=self.text, flush=True)

    def result(self, value: dict[str, Any]) -> None:
        """Write the JSON object if it was asked for."""
        if self._json is None:
            return
        text = json.dumps(value, indent=None if self._json == "-" else 2)
        if self._json == "-":
            print(text, flush=True)
        else:
            path = Path(self._json)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
