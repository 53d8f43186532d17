"""What the pages say can be followed: links lead somewhere, the example runs, the commands exist."""

import re
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.cli import parser

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "examples/README.md", *sorted((ROOT / "docs").glob("*.md"))
]  # fmt: skip
README = (ROOT / "README.md").read_text()
BOARDS = (ROOT / "docs/boards.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    folders = "eftrain_hdl|rtl|compiler|runtime|docs|tests|examples"
    names = set(re.findall(rf"`((?:{folders})/[\w/.]+\.\w+)`", page.read_text()))
    missing = [name for name in names if not (ROOT / name).exists() and not (ROOT / "eftrain_hdl" / name).exists()]
    assert not missing


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    """On the emulator, in few steps: what is tested is that the example is right, not how well it learns."""
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(README, "python")
    assert "ef.SimDevice(config)" in example and "steps=60" in example
    names: dict[str, object] = {}
    exec(example.replace("ef.SimDevice(config)", "ef.EmulatorDevice(config)").replace("steps=60", "steps=2"), names)  # noqa: S102
    assert len(names["results"]) == 2
    assert 0 <= names["accuracy"] <= 1
    assert (tmp_path / "digits.npz").exists()


def test_verilog_of_one_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks((ROOT / "docs/library.md").read_text(), "python")
    exec(example, {})  # noqa: S102
    assert "module fused_dot(" in (tmp_path / "fused_dot.v").read_text()


def commands() -> list[str]:
    lines = (line.split("#")[0].strip() for block in blocks(README, "sh") for line in block.splitlines())
    return [line for line in lines if line.startswith("eftrain ")]


def test_the_readme_shows_every_command():
    shown = {line.split()[1] for line in commands()}
    assert shown == set(next(iter(parser()._subparsers._group_actions)).choices)


@pytest.mark.parametrize("name", boards.names())
def test_the_table_of_boards_says_what_the_boards_say(name):
    board = boards.get(name)
    (row,) = (line for line in BOARDS.splitlines() if f"| `{name}` |" in line)
    ports = ", ".join(f"HP{port}" for port in board.hp)
    arrays = ", ".join(f"{config.rows} x {config.lanes}" for config in board.configs.values())
    for cell in (board.title, board.part, ports, f"{board.clock_mhz:g} MHz", arrays):
        assert f"| {cell} |" in row
