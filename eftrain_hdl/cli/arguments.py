"""Types of arguments, and the parser: what cannot be meant is refused in one line that names the option."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from eftrain_hdl.checks import choices_text, shown
from eftrain_hdl.compiler.memory import PAGE
from eftrain_hdl.data import MOST_CLASSES
from eftrain_hdl.files import check_output
from eftrain_hdl.planner.dram import LEAST_MHZ, MOST_MHZ

__all__ = [
    "CliError",
    "Parser",
    "address",
    "at_least_one",
    "batch_size",
    "class_count",
    "clock_mhz",
    "find",
    "given",
    "data_source",
    "input_file",
    "input_shape",
    "integer",
    "json_target",
    "memory_base",
    "module_name",
    "nonempty",
    "number",
    "output_file",
    "output_folder",
    "rate",
    "refuse",
    "seed",
    "size",
    "step_count",
]

_MOST_FP32 = 3.4e38
_MOST_SAMPLE = 1 << 26
_MOST_SIZE = 1 << 31
_READ = ("plan", "load", "data", "bitstream")
_WRITTEN = ("output", "save", "plot", "json", "c_source", "keep")
"""Arguments that name files, of any command."""


class CliError(Exception):
    """A request that cannot be met; the message is all the user sees."""


def _remembering(kind: type[argparse.Action]) -> type[argparse.Action]:
    """The same action, which adds the option to ``given`` of the namespace."""

    class Remembering(kind):  # type: ignore[valid-type,misc]
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            super().__call__(parser, namespace, values, option_string)
            if option_string is not None:
                namespace.given = (*given(namespace), self.option_strings[0])

    return Remembering


class Parser(argparse.ArgumentParser):
    """Reports a bad command line in one line, as every other error is, and remembers which options were given."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.register("action", None, _remembering(argparse._StoreAction))
        self.register("action", "store_true", _remembering(argparse._StoreTrueAction))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but what is unknown is an error here, where the command's own options can be named."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            known = [text for action in self._actions for text in action.option_strings]
            near = get_close_matches(name, known, 1) if name.startswith("-") else []
            guess = f": did you mean {near[0]}?" if near else ""
            self.error(f"unknown argument {shown(name)}{guess}")
        self._check_files(options)
        return options, unknown

    def _check_files(self, options: argparse.Namespace) -> None:
        """An error where a file would be written over another one of the same command: one of the two would be lost.

        ``--save`` may write over what ``--load`` has read: the training goes on in its file.
        """
        actions = {action.dest: action for action in self._actions if hasattr(options, action.dest)}
        taken: dict[str, str] = {}
        for dest in (*_READ, *_WRITTEN):
            path = getattr(options, dest) if dest in actions else None
            if path is None or (dest in _READ and path == actions[dest].default):
                continue
            place = os.path.realpath(path)
            if path == "-" or (os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place)):
                continue  # standard output, pipes and devices take what comes
            name = (*actions[dest].option_strings, actions[dest].metavar)[0]
            other = taken.setdefault(place, str(name))
            if other != name and dest in _WRITTEN and (dest, other) != ("save", "--load"):
                self.error(f"argument {name}: {path}: is the file of {other} as well: expected another one")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f"unknown {shown(value)}: {choices_text(str(value), [str(one) for one in action.choices])}"
            )


def given(options: argparse.Namespace) -> tuple[str, ...]:
    """The options that were given, such as ``--rows``, whatever their values."""
    return tuple(getattr(options, "given", ()))


def refuse(options: argparse.Namespace, why: str, names: Iterable[str]) -> None:
    """CliError, which says ``why``, for the first of the options ``names`` that was given: it would change nothing."""
    for name in given(options):
        if name in names:
            raise CliError(f"{name} {why}")


def find(what: str, name: str, known: Sequence[str]) -> str:
    """``name``; CliError, with the nearest one, unless it is known."""
    if name not in known:
        raise CliError(f"unknown {what} {shown(name)}: {choices_text(name, known)}")
    return name


def _refuse(message: str) -> NoReturn:
    raise argparse.ArgumentTypeError(message)


def integer(least: int, most: int, why: str = "", base: int = 10) -> Callable[[str], int]:
    """An integer in a range; ``why`` it ends at ``most``."""

    def parse(text: str) -> int:
        try:
            value = int(text, base)
        except ValueError:
            _refuse(f"expected an integer, not {shown(text)}")
        if value < least:
            _refuse(f"must be at least {least}, not {shown(value)}")
        if value > most:
            _refuse(f"must be at most {most}{why and f' ({why})'}, not {shown(value)}")
        return value

    return parse


def number(least: float, most: float, why: str = "") -> Callable[[str], float]:
    """A number in a range, which neither NaN nor infinities are in."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            _refuse(f"expected a number, not {shown(text)}")
        if not (math.isfinite(value) and least <= value <= most):
            _refuse(f"must be a number from {least:g} to {most:g}{why and f' ({why})'}, not {shown(text)}")
        return value

    return parse


at_least_one = integer(1, _MOST_SIZE)
batch_size = integer(1, 4096, "a program trains on no more samples at once")
class_count = integer(1, MOST_CLASSES)
step_count = integer(1, 10**9)
seed = integer(0, (1 << 63) - 1)
size = integer(0, _MOST_SIZE)
address = integer(0, (1 << 64) - 1, base=0)
clock_mhz = number(LEAST_MHZ, MOST_MHZ, "MHz; no FPGA runs an accelerator faster")
rate = number(0, _MOST_FP32)


def memory_base(text: str) -> int:
    """An address at which a plan can begin."""
    value = address(text)
    if value % PAGE:
        _refuse(f"must be a multiple of {PAGE}, not {value:#x}")
    return value


def nonempty(value: str) -> str:
    """A name that is not empty."""
    if not value:
        _refuse("expected a name, not an empty text")
    return value


def module_name(name: str) -> str:
    """The name of a Verilog module."""
    from eftrain_hdl.rtl.names import check_module_name

    try:
        check_module_name(name)
    except ValueError as error:
        _refuse(str(error).removeprefix("name="))
    return name


def input_shape(text: str) -> tuple[int, ...]:
    """``C,H,W`` of ``--input-shape``."""
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        _refuse(f"expected C,H,W such as 3,32,32, not {shown(text)}")
    if len(shape) not in (1, 3) or min(shape) < 1:
        _refuse(f"expected C,H,W such as 3,32,32, each at least 1, not {shown(text)}")
    if math.prod(shape) > _MOST_SAMPLE:
        _refuse(f"a sample may have at most {_MOST_SAMPLE:,} values, not {shown(text)}")
    return shape


def input_file(text: str) -> Path:
    """A file that is there."""
    path = Path(nonempty(text))
    try:
        there = path.is_file()
    except ValueError as error:
        _refuse(f"{shown(text)}: {error}")
    if not there:
        _refuse(f"{text}: {'is a folder: expected a file' if path.is_dir() else 'no such file'}")
    return path


def data_source(text: str) -> str:
    """The name of a data set, or an .npz file that is there. What is neither is `load_data`'s to refuse."""
    if text.endswith(".npz"):
        input_file(text)
    return text


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """A file that can be written, with one of the suffixes if there are any; nothing is written yet."""

    def parse(text: str) -> Path:
        path = _writable(text, "file")
        if suffixes and path.suffix not in suffixes:
            _refuse(f"{text}: the name must end in {' or '.join(suffixes)}")
        return path

    return parse


def output_folder(text: str) -> Path:
    """A folder that is there or can be made, and written to. What stands before ``..`` need not be there."""
    path = _writable(text, "folder")
    return Path(os.path.realpath(path)) if ".." in path.parts else path


def json_target(text: str) -> str:
    """``-`` or a file that can be written."""
    return text if text == "-" else str(_writable(text, "file"))


def _writable(text: str, kind: str) -> Path:
    if not text:
        _refuse(f"expected the name of a {kind}, not an empty text")
    path = Path(text)
    try:
        check_output(path / "file" if kind == "folder" else path)
    except OSError as error:
        _refuse(f"{text}: {error.strerror}: expected a {kind} that can be written")
    except ValueError as error:
        _refuse(f"{shown(text)}: {error}")
    return path
