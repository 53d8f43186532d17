"""Ctrl-C: a step is finished first, training can go on; a second one stops at once."""

from __future__ import annotations

import functools
import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import eftrain_hdl as ef
from eftrain_hdl.data import Position
from eftrain_hdl.runtime.interrupts import DeferredInterrupt
from tests.runtime.training import data, make, same

X, Y = data(22)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler() -> Iterator[Any]:
    """Python's own handler, which has to be there again at the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    left = signal.signal(signal.SIGINT, before)
    assert left is signal.default_int_handler


def pressing(trainer: ef.Trainer, monkeypatch: pytest.MonkeyPatch, run: int, times: int = 1) -> None:
    """Press Ctrl-C in the midst of a program: of the first one that runs if ``run`` is 0, and so on."""
    runs = iter(range(run + 1))
    plain = trainer.device._execute  # type: ignore[attr-defined]
    count = 0

    def start(*arguments: Any) -> Any:
        nonlocal count
        number, count = next(runs, None), 0
        if number == run:
            count = 10
        return whole(*arguments)

    def execute(*arguments: Any) -> None:
        nonlocal count
        count -= 1
        if count == 0:
            for _ in range(times):
                press()
        plain(*arguments)

    whole = trainer.device._run
    monkeypatch.setattr(trainer.device, "_run", start)
    monkeypatch.setattr(trainer.device, "_execute", execute)


@pytest.mark.parametrize("run", range(6))
def test_fit_finishes_its_step_and_can_go_on(
    run: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer, reference = make(), make()
    results: list[ef.StepResult] = []
    with monkeypatch.context() as patch:
        pressing(trainer, patch, run)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, Y, epochs=2, on_step=results.append)
    assert len(results) == run // 2 + 1
    assert "the step is finished first; once more stops at once" in capfd.readouterr().err
    assert trainer.position == Position(1, 0, 4 * len(results), 22) and not trainer.device.needs_reset
    results += trainer.fit(X, Y, steps=10 - len(results))
    assert results == reference.fit(X, Y, epochs=2)
    assert same(trainer.parameters(), reference.parameters())


@pytest.mark.parametrize("call", ["step", "gradients", "predict", "update", "evaluate"])
def test_every_other_use_ends_its_batch_as_well(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, reference = make(), make()
    for one in (trainer, reference):
        one.gradients(X[:4], Y[:4])
    batch = (X[:4], Y[:4])
    arguments = {"step": batch, "gradients": batch, "predict": (X[:4],), "update": (), "evaluate": batch}[call]
    with monkeypatch.context() as patch:
        pressing(trainer, patch, 0)
        with pytest.raises(KeyboardInterrupt):
            getattr(trainer, call)(*arguments)
    getattr(reference, call)(*arguments)
    assert same(trainer.parameters(), reference.parameters())
    assert trainer.fit(X, Y, steps=2) == reference.fit(X, Y, steps=2)


def test_a_second_one_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for run in (0, 1):
        trainer = make()
        before = trainer.parameters()
        with monkeypatch.context() as patch:
            pressing(trainer, patch, run, times=2)
            with pytest.raises(KeyboardInterrupt):
                trainer.fit(X, Y, epochs=1)
        assert trainer.device.needs_reset
        with pytest.raises(ef.TrainerError, match=r"call device\.reset\(\)"):
            trainer.fit(X, Y, epochs=1)
        if run:
            with pytest.raises(ef.TrainerError, match=r"device\.reset\(\) and then restore\(\)"):
                trainer.parameters()
            with pytest.raises(ef.DeviceNotReady, match="needs a reset"):
                trainer.restore()
            trainer.device.reset()
            trainer.restore()
        else:
            # The forward program changes no parameters.
            assert same(trainer.parameters(), before)
            trainer.device.reset()
        assert trainer.fit(X, Y, steps=2) == make().fit(X, Y, steps=2)


def test_a_call_back_is_part_of_the_step() -> None:
    trainer = make()
    seen = []

    def on_step(result: ef.StepResult) -> None:
        press()
        seen.append(trainer.evaluate(X, Y))

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=1, on_step=on_step)
    assert len(seen) == 1 and trainer.position.taken == 4


def test_what_a_call_back_raises_ends_the_training_behind_the_step() -> None:
    trainer, reference = make(), make()

    def stop(result: ef.StepResult) -> None:
        raise StopIteration

    with pytest.raises(StopIteration):
        trainer.fit(X, Y, epochs=1, on_step=stop)
    reference.fit(X, Y, steps=1)
    assert trainer.position == reference.position and same(trainer.parameters(), reference.parameters())


@pytest.mark.parametrize("call", ["restore", "load_parameters", "set_lr"])
def test_an_interrupt_in_a_write_of_state(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every write, and behind the last one."""
    reference = make()
    reference.fit(X, Y, steps=1)
    values = reference.parameters()
    arguments: dict[str, tuple[Any, ...]] = {"restore": (), "load_parameters": (values,), "set_lr": (0.5,)}
    for place in itertools.count():
        trainer = make()
        trainer.fit(X, Y, steps=2)
        left = iter(range(place))

        def interrupted(plain: Callable[..., None], *given: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            plain(*given)

        with monkeypatch.context() as patch:
            for name in ("write", "set_scalars"):
                patch.setattr(trainer.device, name, functools.partial(interrupted, getattr(trainer.device, name)))
            try:
                getattr(trainer, call)(*arguments[call])
                break
            except KeyboardInterrupt:
                pass
        for use in (trainer.parameters, lambda: trainer.step(X[:4], Y[:4])):  # noqa: B023
            with pytest.raises(ef.TrainerError, match=r"restore\(\)"):
                use()
        trainer.restore()
        expected = values if call == "load_parameters" else make().parameters()
        assert trainer.position == Position(1) and same(trainer.parameters(), expected)
        if call == "set_lr":
            assert trainer.fit(X, Y, steps=3) == make(ef.SGD(lr=0.5, momentum=0.9)).fit(X, Y, steps=3)
    assert place == (1 if call == "set_lr" else 9)  # four programs, two layers' weights and momentum, and the rates


def test_threads_have_no_signals() -> None:
    trainer, results = make(), []

    def work() -> None:
        results.extend(trainer.fit(X, Y, steps=2))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == make().fit(X, Y, steps=2)


def test_a_handler_of_ones_own_is_called_when_the_step_is_over() -> None:
    called: list[int] = []

    def own(number: int, frame: FrameType | None) -> None:
        called.append(number)

    before = signal.signal(signal.SIGINT, own)
    try:
        with DeferredInterrupt():
            press()
            assert not called
        assert called == [signal.SIGINT] and signal.getsignal(signal.SIGINT) is own
        with DeferredInterrupt():
            press()
            press()
            assert len(called) == 2
            press()
        assert len(called) == 3
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("action", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_signal_that_is_ignored_or_final_stays_so(action: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, action)
    try:
        with DeferredInterrupt():
            assert signal.getsignal(signal.SIGINT) is action
    finally:
        signal.signal(signal.SIGINT, before)


def test_blocks_in_blocks_take_two_presses_as_one_block_does() -> None:
    with DeferredInterrupt():
        with DeferredInterrupt():
            press()
        with pytest.raises(KeyboardInterrupt), DeferredInterrupt():
            press()


def test_an_error_is_not_hidden_by_an_interrupt() -> None:
    with pytest.raises(ZeroDivisionError), DeferredInterrupt():
        press()
        raise ZeroDivisionError


def test_a_new_rate_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, reference = make(), make()
    plain = trainer.device.set_scalars

    def pressed(*values: float) -> None:
        press()
        plain(*values)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.device, "set_scalars", pressed)
        with pytest.raises(KeyboardInterrupt):
            trainer.set_lr(0.5)
    reference.set_lr(0.5)
    assert trainer.fit(X, Y, steps=2) == reference.fit(X, Y, steps=2)


def test_without_a_standard_error_nothing_is_written_to_its_number(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Any file of the process may have the number then."""
    monkeypatch.setattr("sys.__stderr__", None)
    with pytest.raises(KeyboardInterrupt), DeferredInterrupt():
        press()
    assert not capfd.readouterr().err
