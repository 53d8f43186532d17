"""The commands that pages print: they can be typed as they stand, after the installation that stands before them."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from eftrain_hdl.cli import parser

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md", *sorted((ROOT / "examples").rglob("README.md")), *sorted((ROOT / "docs").glob("*.md"))
]  # fmt: skip
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT_MAKEFILE = (ROOT / "eftrain_hdl/vivado/files/Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DEMO = re.findall(r"installed-demo: EXTRAS := (\S+)", MAKEFILE)[0].split(",")
ACTIVATE = ". .venv/bin/activate"
ELSEWHERE = ROOT / "examples/bare_metal/README.md"
"""Says in words that the installation of docs/boards.md comes first."""
ON_A_BOARD = ("sudo -E eftrain run", "eftrain run lenet.npz --device uio")
"""Begin lines that are typed on a board, whose packages are its own."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def lines(page: Path) -> list[str]:
    """Lines of the page's shell blocks, without comments, continued ones joined."""
    found = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join(found).replace("\\\n", " ")
    return [line for line in (one.split("  #")[0].strip() for one in text.splitlines()) if line]


def spans(page: Path) -> list[str]:
    """Commands between the words."""
    return re.findall(r"`((?:eftrain|python|make|pytest|pip) [^`]+)`", page.read_text())


def subcommands() -> dict[str, argparse.ArgumentParser]:
    return next(iter(parser()._subparsers._group_actions)).choices  # type: ignore[union-attr,return-value]


def extras(*names: str) -> set[str]:
    """With those that they ask for themselves."""
    found = set(names)
    for one in names:
        for requirement in EXTRAS[one]:
            inner = re.fullmatch(r"eftrain-hdl\[(.*)\]", requirement)
            found |= extras(*inner[1].split(",")) if inner else set()
    return found


def needed(arguments: list[str]) -> set[str]:
    """Extras that a command of ``eftrain`` takes."""
    command, given = arguments[0], set(arguments)
    need = {command} if command in ("area", "pnr") else set()
    if "--plot" in given:
        need.add("plot")
    if command in ("train", "run") and not [one for one in arguments if one.endswith(".npz") and one != arguments[1]]:
        need.add("data")
    return need


def parsed(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Lines of the page that run ``eftrain``, and its arguments."""
    for line in lines(page):
        words = shlex.split(line)
        if "eftrain" in words and "install" not in words:
            yield line, words[words.index("eftrain") + 1 :]


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line, _ in parsed(page)], ids=str)
def test_command_lines_are_understood(page, line, tmp_path, monkeypatch):
    """Files that they read are there: others have written them."""
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"[\w./-]+\.(?:npz|bit)\b", line):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (arguments,) = (found for other, found in parsed(page) if other == line)
    parser().parse_args(arguments)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_commands_need_is_installed_before(page):
    """On the same page: an environment that is active, and the extras that the command uses."""
    there: set[str] = set()
    active = False
    for line in lines(page):
        if line.startswith("make demo"):
            there |= extras(*DEMO)
        active |= line == ACTIVATE
        if "pip install" in line:
            found = re.search(r"\[([\w,]+)\]", line)
            there |= extras(*found[1].split(",")) if found else set()
            assert active or ".venv/bin/pip" in line or "--no-deps" in line, line
        if page == ELSEWHERE or line.startswith(ON_A_BOARD):
            continue
        for other, arguments in parsed(page):
            if other == line:
                assert active, f"{line}: is eftrain on the path?"
                assert needed(arguments) <= there, line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_between_the_words_exist(page):
    """A part of a command may be all that is said: what is said is there."""
    for span in spans(page):
        program, *words = span.replace("...", "").split()
        if program == "eftrain" and words[0] != "COMMAND":
            sub = subcommands()[words[0]]
            known = {option for action in sub._actions for option in action.option_strings}
            assert [word for word in words if word.startswith("--") and word not in known] == [], span
        if program == "make" and words[0] != "-C":
            assert re.search(rf"^{words[0]}:", MAKEFILE + PROJECT_MAKEFILE, re.MULTILINE), span
        if words[:2] and words[0] == "-m" and program == "python":
            module = ROOT / words[1].replace(".", "/")
            assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), span
        for word in words:
            if word.startswith(("tests/", "examples/", "boards/")):
                assert (ROOT / word.split("::")[0]).exists(), span


def test_pages_have_commands():
    """The checks above look at something."""
    assert sum(1 for page in PAGES for _ in parsed(page)) >= 18
    assert sum(len(spans(page)) for page in PAGES) >= 40
    assert extras("pnr") == {"pnr", "area"} and extras(*DEMO) == {"data", "plot"}
    assert needed(shlex.split("train --plot x.png")) == {"data", "plot"}
    assert needed(shlex.split("run plan.npz --device uio --data mnist.npz")) == set()
    assert needed(shlex.split("run plan.npz --device emulator")) == {"data"}
