"""`eftrain train` and `run` over more than one call: files, Ctrl-C, divergence, and paths that cannot be written."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.cli import main
from eftrain_hdl.cli.learners import DeviceLearner, GoldenLearner, Learner

BATCH = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With data, and a plan for them."""
    made = tmp_path_factory.mktemp("train")
    generator = np.random.default_rng(1)
    y = np.arange(30) % 3
    x = generator.standard_normal((30, 1, 6, 6)) + y[:, None, None, None] / 2
    np.savez(made / "data.npz", x=x, y=y)
    machine = ["--model", "shallow", "--input-shape", "1,6,6", "--classes", "3", "--rows", "4", "--lanes", "4"]
    plan = ["compile", *machine, "--batch", str(BATCH), "--momentum", "0.9", "--output", str(made / "plan.npz")]
    assert main(plan) == 0
    return made


Call = Callable[..., int]


@pytest.fixture(params=["golden", "emulator", "run"])
def train(request: pytest.FixtureRequest, folder: Path) -> Call:
    """`eftrain train` in NumPy, on the emulator, and `eftrain run`, on the same data."""

    def call(*options: Any) -> int:
        data = ["--data", str(folder / "data.npz")]
        if request.param == "run":
            first = ["run", str(folder / "plan.npz"), "--device", "emulator", *data]
        else:
            machine = ["--rows", "4", "--lanes", "4"] if request.param == "emulator" else []
            first = ["train", "--model", "shallow", "--device", request.param, *machine, "--batch", str(BATCH), *data]
        return main([*first, *map(str, options)])

    return call


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def assert_same(one: Path, other: Path) -> None:
    ours, theirs = arrays(one), arrays(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def losses(path: Path) -> list[float]:
    found: list[float] = json.loads(path.read_text())["loss"]
    return found


def test_a_training_in_parts_is_the_training_in_one(
    train: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """24 samples to train on: 6 batches an epoch, and the first part ends in the midst of the second one."""
    assert train("--steps", 16, "--json", tmp_path / "whole.json", "--save", tmp_path / "whole.npz") == 0
    parts = []
    for number, steps in enumerate((9, 1, 6)):
        load = ["--load", tmp_path / "part.npz", "--seed", 50 + number] if number else []
        report = tmp_path / f"{number}.json"
        assert train("--steps", steps, *load, "--save", tmp_path / "part.npz", "--json", report) == 0
        parts += losses(report)
        # The file's seed decides, not the option's.
        assert json.loads(report.read_text())["seed"] == 0
        assert (f"seed 0, not {50 + number} of --seed" in capsys.readouterr().out) == bool(number)
    assert parts == losses(tmp_path / "whole.json")
    assert_same(tmp_path / "part.npz", tmp_path / "whole.npz")
    assert (arrays(tmp_path / "part.npz")["position/epoch"], arrays(tmp_path / "part.npz")["position/taken"]) == (2, 16)


def test_golden_and_emulator_read_each_other_s_files(folder: Path, tmp_path: Path) -> None:
    common = ["--model", "shallow", "--batch", "4", "--data", str(folder / "data.npz")]
    files = ["--save", str(tmp_path / "state.npz"), "--json", str(tmp_path / "result.json")]
    assert main(["train", "--device", "golden", *common, *files, "--steps", "4"]) == 0
    for device in ("emulator", "golden"):
        load = ["--load", str(tmp_path / "state.npz"), "--json", str(tmp_path / f"{device}.json"), "--steps", "5"]
        assert main(["train", "--device", device, *common, *load]) == 0
    assert losses(tmp_path / "emulator.json") == pytest.approx(losses(tmp_path / "golden.json"), rel=1e-4)


def pressing(monkeypatch: pytest.MonkeyPatch, step: int, *, times: int = 1) -> None:
    """Press Ctrl-C at the end of a step."""
    for kind in (GoldenLearner, DeviceLearner):

        def fit(
            self: Learner, x: Any, y: Any, steps: int, on_step: Callable[[Any], None],
            plain: Callable[..., None] = kind.fit,
        ) -> None:  # fmt: skip
            done = 0

            def tell(result: Any) -> None:
                nonlocal done
                on_step(result)
                done += 1
                if done == step:
                    for _ in range(times):
                        signal.raise_signal(signal.SIGINT)

            plain(self, x, y, steps, tell)

        monkeypatch.setattr(kind, "fit", fit)


@pytest.fixture(autouse=True)
def own_handler() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_an_interrupted_training_is_kept_and_goes_on(
    train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--steps", 9, "--json", tmp_path / "whole.json", "--save", tmp_path / "whole.npz") == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        pressing(patch, 4)
        part = ["--save", tmp_path / "part.npz", "--json", tmp_path / "part.json"]
        assert train("--steps", 9, *part) == 130
    captured = capsys.readouterr()
    assert "The training was interrupted after 4 of 9 steps." in captured.out
    assert f"parameters     {tmp_path / 'part.npz'}" in captured.out and "-> not tested" in captured.out
    assert captured.err.endswith(": interrupted\n")
    report = json.loads((tmp_path / "part.json").read_text())
    assert (report["ended"], report["accuracy"], len(report["loss"])) == ("interrupted", None, 4)
    assert train("--steps", 5, "--load", tmp_path / "part.npz", *part) == 0
    assert report["loss"] + losses(tmp_path / "part.json") == losses(tmp_path / "whole.json")
    assert_same(tmp_path / "part.npz", tmp_path / "whole.npz")


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_interrupt_while_testing(
    place: str, train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = iter(("before", "after"))
    for kind in (GoldenLearner, DeviceLearner):

        def evaluate(self: Learner, x: Any, y: Any, plain: Callable[..., Any] = kind.evaluate) -> Any:
            if next(calls, None) == place:
                raise KeyboardInterrupt
            return plain(self, x, y)

        monkeypatch.setattr(kind, "evaluate", evaluate)
    assert train("--steps", 3, "--save", tmp_path / "state.npz", "--json", tmp_path / "result.json") == 130
    assert (tmp_path / "state.npz").exists() == (place == "after")
    if place == "after":
        assert int(arrays(tmp_path / "state.npz")["position/taken"]) == 12
        assert len(losses(tmp_path / "result.json")) == 3


def test_checkpoints_are_written_on_the_way(train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (plain(*names), seen.append(arrays(Path(names[1])))))
    path = tmp_path / "state.npz"
    assert train("--steps", 5, "--save", path, "--checkpoint-every", 2) == 0
    assert [int(one["position/taken"]) for one in seen] == [8, 16, 20]


def test_a_full_disk_at_the_end_takes_the_file_but_not_the_report(
    train: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "state.npz"))

    monkeypatch.setattr(os, "replace", full)
    assert train("--steps", 3, "--save", tmp_path / "state.npz") == 2
    captured = capsys.readouterr()
    assert "test accuracy" in captured.out and "state.npz" not in captured.out
    assert re.search(r"^eftrain \w+: .*state\.npz: No space left on device$", captured.err, re.M)
    assert not list(tmp_path.glob("*state*"))


@pytest.mark.parametrize("first", [[], ["--load"]])
def test_a_training_that_diverges_keeps_the_good_file(
    first: list[str], train: Call, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    path = tmp_path / "state.npz"
    assert train("--steps", 2, "--save", path) == 0
    good = path.read_bytes()
    if "run" in request.node.callspec.params.values():
        machine = ["--model", "shallow", "--input-shape", "1,6,6", "--classes", "3", "--rows", "4", "--lanes", "4"]
        more = ["--batch", "4", "--momentum", "0.9", "--lr", "1e20", "--output", str(tmp_path / "plan.npz")]
        assert main(["compile", *machine, *more]) == 0
        command = ["run", str(tmp_path / "plan.npz"), "--device", "emulator", "--data", str(folder / "data.npz")]

        def call(*options: Any) -> int:
            return main([*command, *map(str, options)])
    else:

        def call(*options: Any) -> int:
            return train("--lr", "1e20", *options)

    capsys.readouterr()
    load = [*first, path] if first else []
    assert call("--steps", 9, *load, "--save", path, "--json", "-") == 2
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["ended"] == "diverged" and 0 < len(report["loss"]) < 9 and None not in report["loss"]
    assert "diverged" in captured.err and "at lr 1e+20; a smaller --lr may help" in captured.err
    assert path.read_bytes() == good
    # The last update alone may be too much: the losses of all steps are finite.
    for more in ([], ["--checkpoint-every", 1]):
        assert call("--steps", len(report["loss"]), *load, "--save", path, *more) == 2
        assert "the training has diverged: the loss on test data is" in capsys.readouterr().err
        assert path.read_bytes() == good
    assert call("--steps", 9) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save", "{0}/file/state.npz"], "argument --save: {0}/file/state.npz: Not a directory"),
        (["--save", "{0}/folder.npz"], "argument --save: {0}/folder.npz: Is a directory"),
        (["--save", "{0}/state.txt"], "the name must end in .npz"),
        (["--json", "{0}"], "argument --json: {0}: Is a directory"),
        (["--json", "{0}/file/result.json"], "argument --json: {0}/file/result.json: Not a directory"),
        (["--checkpoint-every", "2"], "--checkpoint-every needs --save"),
        (["--checkpoint-every", "0", "--save", "{0}/state.npz"], "must be at least 1"),
        (["--load", "{0}/none.npz"], "none.npz"),
        (["--load", "{0}/file"], "{0}/file: not an .npz archive"),
        (["--load", "{0}/other.npz"], "{0}/other.npz: parameters: missing 0.weight"),
    ],
)
def test_paths_are_checked_before_anything_begins(
    options: list[str], message: str, train: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder.npz").mkdir()
    np.savez(tmp_path / "other.npz", a=np.zeros(3))

    def begin(*arguments: Any) -> None:
        raise AssertionError("it began")

    for kind in (GoldenLearner, DeviceLearner):
        monkeypatch.setattr(kind, "__init__", begin)
    try:
        status = train(*(option.format(tmp_path) for option in options))
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 2
    assert message.format(tmp_path) in capsys.readouterr().err


def test_a_plan_for_larger_batches_than_there_are_samples(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "few.npz", x=np.ones((4, 1, 6, 6)), y=np.arange(4) % 3)
    assert main(["run", str(folder / "plan.npz"), "--device", "emulator", "--data", str(tmp_path / "few.npz")]) == 2
    assert "few has 3 training samples, the plan takes batches of 4" in capsys.readouterr().err
