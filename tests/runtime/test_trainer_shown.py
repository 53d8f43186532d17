"""What a trainer shows of itself: its bar, and itself in a line."""

from __future__ import annotations

import io
import sys

import pytest

import eftrain_hdl as ef
from eftrain_hdl.cli.common import progress_bar
from tests.runtime.training import data, make


class Screen(io.StringIO):
    """Standard error, on a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("eftrain_hdl.runtime.trainer._PROGRESS_DELAY", 0)
    monkeypatch.setattr("eftrain_hdl.cli.common._QUIET_SECONDS", 0)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def shown_by_fit(monkeypatch, terminal: bool) -> str:
    monkeypatch.setattr(sys, "stderr", Screen(terminal))
    trainer = make()
    assert len(trainer.fit(*data(12), steps=2)) == 2
    return sys.stderr.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    assert "2/2" in shown_by_fit(monkeypatch, True)


def test_a_bar_in_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert "2/2" in shown_by_fit(monkeypatch, False)


def test_no_bar_in_a_log(monkeypatch):
    assert shown_by_fit(monkeypatch, False) == ""


def test_training_without_tqdm(monkeypatch):
    """As on a board, where the package is installed without its dependencies."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown_by_fit(monkeypatch, True) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_of_commands(monkeypatch, terminal):
    """A log gets whole lines: a bar would be drawn into it over and over again."""
    monkeypatch.setattr(sys, "stderr", Screen(terminal))
    with progress_bar(2, "training", "step") as bar:
        bar.set_postfix(loss="1.5", refresh=False)
        bar.update()
    text = sys.stderr.getvalue()
    assert ("\r" in text) == terminal
    assert terminal or text == "training: step 1 of 2, loss 1.5\n"


def test_a_trainer_in_a_line():
    trainer = make(ef.SGD(lr=0.1, momentum=0.9))
    start = (
        "Trainer(5 layers from (1, 4, 4) to 3 classes; EmulatorDevice(4 x 4 fp32, 1 MiB at 0x0); batch 4; "
        "CrossEntropyLoss(); SGD(lr=0.1, momentum=0.9, weight_decay=0.0); epoch 0, "
    )
    assert repr(trainer) == start + "no sample taken)"
    trainer.fit(*data(12), steps=2)
    assert repr(trainer) == start + "8 of 12 samples taken)"
    trainer.set_lr(0.05)
    assert "lr=0.05" in repr(trainer)
