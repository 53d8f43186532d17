"""The command line without a simulator: help, messages, JSON, training on the emulator and in NumPy."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from eftrain_hdl.cli import main
from tests.cli.invoke import status

SMALL = ["--rows", "4", "--lanes", "4"]
SHORT = ["train", "--model", "shallow", "--batch", "8", "--steps", "3"]


def result(capsys, *arguments: str) -> dict:
    """Run a command with ``--json -``; its standard output must be JSON and nothing else."""
    assert main([*arguments, "--json", "-"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def error(capsys, *arguments: str) -> str:
    """Run a command that must fail; the one line it says."""
    code = status(*arguments)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    *progress, line = captured.err.splitlines()
    assert line.startswith("eftrain")
    assert [text for text in progress if not text.endswith(" ...")] == []  # what took long enough to be announced
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["train", "verilog", "area", "info", "examples"]),
        (["train"], ["--model", "--device", "emulator", "golden", "digits", "--json", "--plot", "--weight-decay"]),
        (["verilog"], ["--output", "m_axi_0_", "--board", "--rows"]),
        (["export"], ["--format", "systemrdl", "devicetree", "--board", "--buffer", "--output"]),
        (["area"], ["--board", "before place and route", "--json"]),
        (["info"], ["--model", "--input-shape"]),
    ],
)
def test_help(capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert [word for word in words if word not in text] == []


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "eftrain_hdl", "info"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "lenet" in done.stdout and "zcu102" in done.stdout


def test_a_reader_that_has_enough_is_no_error():
    """As in `eftrain info | head -1`, whatever is left to be written."""
    command = [sys.executable, "-m", "eftrain_hdl", "info", "--model", "lenet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(120)) == ("", 128 + signal.SIGPIPE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tarin"], "unknown 'tarin': did you mean train? choose from train, compile"),
        (["train", "--model", "vgg"], "unknown model 'vgg'"),
        (["train", "--model", "resnet20"], "layer 1 (BatchNorm2d): this layer can be planned but not trained yet"),
        (["train", "--data", "mnist"], "mnist"),
        (["train", "--data", "absent.npz"], "absent.npz"),
        (["train", "--device", "fpga"], "fpga"),
        (["train", "--batch", "0"], "at least 1"),
        (["train", "--batch", "many"], "many"),
        (["train", "--batch", "5000"], "batch=5000"),
        (["train", "--steps", "0"], "at least 1"),
        (["train", "--lr", "-1"], "lr"),
        (["train", "--lr", "nan"], "lr"),
        (["train", "--memory", "tape"], "unknown memory 'tape'"),
        (["train", "--clock", "0"], "--clock"),
        (["train", "--rows", "3", "--lanes", "8"], "rows"),
        (["train", "--lanes", "6"], "lanes must be a power of two"),
        (["train", "--operand", "int8"], "int8"),
        (["train", "--plot", "loss.txt"], "loss.txt"),
        (["train", "--save", "weights.txt"], "weights.txt"),
        (["verilog", "--board", "arty"], "unknown board 'arty'"),
        (["verilog", "--ports", "5"], "ports"),
        (["area", "--board", "arty"], "unknown board 'arty'"),
        (["info", "--model", "vgg"], "unknown model 'vgg'"),
        (["info", "--model", "lenet", "--input-shape", "1x8x8"], "1x8x8"),
        (["info", "--model", "lenet", "--input-shape", "1,2,2"], "input_shape"),
        (["info", "--model", "1x", "--streaming-depth", "64", "--accumulator-depth", "32"], "accumulator_depth"),
    ],
)
def test_mistakes_are_named_in_one_line(capsys, arguments, words):
    assert words in error(capsys, *arguments)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.array([[1.0, np.nan]] * 4), "y": np.arange(4)}, "NaN"),
        ({"x": np.ones((4, 2)), "y": np.array([0, 1, 2, -1])}, "labels start at 0"),
        ({"x": np.ones((4, 2)), "y": np.arange(3)}, "one label for each sample"),
        ({"x": np.ones((4, 2), np.int64), "y": np.arange(4)}, "floating point"),
        ({"x": np.ones((4, 2)), "y": np.arange(4)}, "needs (channels, height, width)"),
        ({"y": np.arange(4)}, "no array x"),
    ],
)
def test_bad_data_files_are_refused(capsys, tmp_path, arrays, words):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    assert words in error(capsys, "train", "--data", str(path), "--model", "shallow", "--device", "golden")


def test_a_model_that_does_not_fit_is_refused(capsys, tmp_path):
    path = tmp_path / "wide.npz"
    np.savez(path, x=np.ones((20, 1, 2, 400)), y=np.arange(20) % 2)
    small = [*SMALL, "--accumulator-depth", "32"]
    text = error(capsys, *SHORT, "--data", str(path), "--device", "emulator", *small)
    assert "layer 0" in text and "accumulator_depth" in text


def test_golden_training_learns(capsys):
    run = result(capsys, "train", "--model", "shallow", "--device", "golden", "--steps", "60", "--seed", "1")
    assert len(run["loss"]) == 60
    assert run["accuracy_before"] < 0.3 < 0.85 < run["accuracy"]
    assert np.mean(run["loss"][-10:]) < 0.5 * np.mean(run["loss"][:10])
    assert run["cycles"] == [] and run["utilization"] is None
    assert run["seed"] == 1 and run["model"] == "shallow" and run["config"]["rows"] == 8


def test_a_network_without_a_rate_of_its_own_trains(capsys, tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "noise.npz"
    np.savez(path, x=generator.normal(size=(40, 3, 8, 8)), y=generator.integers(0, 10, 40))
    options = ["--model", "2x", "--device", "golden", "--data", str(path), "--batch", "4", "--steps", "1"]
    assert np.isfinite(result(capsys, "train", *options)["loss"]).all()


def test_the_seed_decides(capsys):
    first, again, other = (result(capsys, *SHORT, "--device", "golden", "--seed", seed) for seed in ("3", "3", "4"))
    assert first["loss"] == again["loss"] != other["loss"]


def test_options_reach_the_optimizer(capsys):
    plain = result(capsys, *SHORT, "--device", "golden")
    assert (plain["lr"], plain["momentum"], plain["weight_decay"]) == (0.05, 0.9, 0.0)
    changed = result(capsys, *SHORT, "--device", "golden", "--lr", "0.01", "--momentum", "0", "--weight-decay", "0.1")
    assert (changed["lr"], changed["momentum"], changed["weight_decay"]) == (0.01, 0.0, 0.1)
    assert changed["loss"][0] == plain["loss"][0] and changed["loss"][2] != plain["loss"][2]


def test_the_emulator_follows_golden_training(capsys, tmp_path):
    saved = tmp_path / "out" / "weights.npz"
    emulated = result(capsys, *SHORT, "--device", "emulator", *SMALL, "--save", str(saved))
    golden = result(capsys, *SHORT, "--device", "golden")
    assert emulated["loss"] == pytest.approx(golden["loss"], rel=1e-4)
    assert emulated["accuracy"] == pytest.approx(golden["accuracy"], abs=0.01)
    assert emulated["cycles"] == [] and emulated["seconds"] is None
    assert emulated["flags"] == {"overflow": False, "invalid": False}
    with np.load(saved) as archive:
        assert {"0.weight", "0.bias", "4.weight", "4.bias"} <= set(archive.files)


def test_data_from_a_file(capsys, tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "noise.npz"
    np.savez(path, x=generator.normal(size=(40, 2, 4, 4)), y=generator.integers(0, 3, 40))
    run = result(capsys, *SHORT, "--device", "golden", "--data", str(path))
    assert len(run["loss"]) == 3 and run["data"] == str(path)


def test_json_to_a_file_leaves_the_text_on_standard_output(capsys, tmp_path):
    path = tmp_path / "new" / "result.json"
    assert main([*SHORT, "--device", "golden", "--json", str(path)]) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert len(json.loads(path.read_text())["loss"]) == 3


def test_plot(capsys, tmp_path):
    path = tmp_path / "new" / "loss.png"
    assert main([*SHORT, "--device", "golden", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_info_lists_what_there_is(capsys):
    found = result(capsys, "info")
    assert {"lenet", "shallow", "1x"} <= set(found["models"])
    assert "zcu102" in found["boards"] and "ideal" in found["memories"] and "bf16" in found["operands"]


def test_info_describes_a_network_that_is_planned_only(capsys):
    found = result(capsys, "info", "--model", "resnet20", "--batch", "1")
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"] == 272474
    assert sum(sum(layer["macs"].values()) for layer in found["layers"]) == found["macs_per_step"]
    assert "9.shortcut.0" in [layer["name"] for layer in found["layers"]]
    assert (found["memory_bytes"], found["program_bytes"]) == (None, {})


def test_info_describes_a_network(capsys):
    found = result(capsys, "info", "--model", "shallow", "--batch", "2", *SMALL)
    convolution, linear = 16 * 9 * 8 * 8 * 2, 16 * 16 * 10 * 2
    assert found["parameters"] == 16 * 9 + 16 + 256 * 10 + 10
    assert found["macs_per_step"] == 2 * convolution + 3 * linear
    assert found["layers"][0]["macs"] == {"FP": convolution, "WU": convolution}
    assert set(found["program_bytes"]) == {"forward", "backward_update", "backward", "update"}
    assert found["memory_bytes"] > sum(found["program_bytes"].values())
