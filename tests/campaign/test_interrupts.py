"""KeyboardInterrupt at many places of a training step: the trainer refuses, or its step is made, or not made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.runtime import sim
from eftrain_hdl.runtime.emulator import EmulatorDevice
from eftrain_hdl.runtime.trainer import Trainer, TrainerError
from tests.system.machines import MEMORY_BYTES, WIDE, samples, sim_device, trainer

MODEL = Sequential(Conv2d(2, 5, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(45, 3), input_shape=(2, 8, 8))
BATCH = 2
CHUNK = 200
"""Cycles between two places on RTL."""
LATER = 50_000
"""Cycles in which a program that was left would end."""
FULL, SHORT = 50, 6

State = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


class Places:
    """Raises KeyboardInterrupt at a place: before a call of what it wraps, or behind it for odd numbers."""

    def __init__(self, place: int | None) -> None:
        self.seen = 0
        self._place = place

    def _pass(self) -> None:
        self.seen += 1
        if self._place is not None and self.seen - 1 == self._place:
            raise KeyboardInterrupt

    def wrap(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._pass()
            result = plain(*arguments)
            self._pass()
            return result

        return call


@contextmanager
def interrupted(training: Trainer, place: int | None, patch: pytest.MonkeyPatch) -> Iterator[Places]:
    """All that the device does passes places: calls of the model on RTL, instructions on the emulator, and copies."""
    places, device = Places(place), training.device
    with patch.context() as here:
        if isinstance(device, sim.SimDevice):
            here.setattr(sim, "_CHUNK", CHUNK)
            for name in ("run", "read32", "write32"):
                here.setattr(device.model, name, places.wrap(getattr(device.model, name)))
        else:
            here.setattr(device, "_execute", places.wrap(device._execute))  # type: ignore[attr-defined]
        for name in ("read", "write"):
            here.setattr(device, name, places.wrap(getattr(device, name)))
        yield places


def state(training: Trainer) -> State:
    return training.parameters(), training._memory.parameters("velocity")


def same(ours: State, theirs: State) -> bool:
    return all(
        one.keys() == other.keys() and all(np.array_equal(one[name].view(np.uint32), other[name].view(np.uint32))
                                           for name in one)
        for one, other in zip(ours, theirs, strict=True)
    )  # fmt: skip


def campaign(kind: str, number: int, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Interrupt the second of three steps at ``number`` places; how it ended each time."""
    device = sim_device(WIDE) if kind == "rtl" else EmulatorDevice(WIDE, MEMORY_BYTES)
    training = trainer(device, MODEL, BATCH)
    initial = training.parameters()
    states = []
    for step in range(3):
        with interrupted(training, None, patch) as places:
            training.step(*samples(MODEL, BATCH, step))
        states.append(state(training))
    verdicts: Counter[str] = Counter()
    for place in np.linspace(0, places.seen - 1, number).astype(int):
        training.load_parameters(initial)
        training.step(*samples(MODEL, BATCH, 0))
        with pytest.raises(KeyboardInterrupt), interrupted(training, int(place), patch):
            training.step(*samples(MODEL, BATCH, 1))
        if isinstance(device, sim.SimDevice):
            device.model.run(LATER)
        verdicts[verdict(training, initial, states)] += 1
    print(f"{kind}, {number} of {places.seen} places of a step: {dict(verdicts)}")
    return verdicts


def verdict(training: Trainer, initial: dict[str, np.ndarray], states: list[State]) -> str:
    """How a step was left, with the training gone on to the state after the third step."""
    refused = ""
    try:
        training._memory.check_usable()
    except TrainerError as error:
        assert "device.reset()" in str(error)
        with pytest.raises(TrainerError):
            training.step(*samples(MODEL, BATCH, 1))
        training.device.reset()
        refused = "refused"
    try:
        found = state(training)
    except TrainerError:
        training.restore()
        assert same((training.parameters(),) * 2, (initial,) * 2)
        training.step(*samples(MODEL, BATCH, 0))
        found, refused = state(training), "refused, to be restored"
    made = [k for k in (0, 1) if same(found, states[k])]
    if not made:
        return "another state"
    for step in range(made[0] + 1, 3):
        training.step(*samples(MODEL, BATCH, step))
    if not same(state(training), states[2]):
        return "another state later"
    return refused or ("made" if made[0] else "not made")


def check(verdicts: Counter[str], number: int) -> None:
    assert verdicts.total() == number
    assert set(verdicts) <= {"refused", "refused, to be restored", "made", "not made"}, verdicts
    assert verdicts["refused"] and verdicts["refused, to be restored"]


@pytest.mark.parametrize("kind", ["rtl", "emulator"])
def test_a_few_places(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(campaign(kind, SHORT, monkeypatch), SHORT)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["rtl", "emulator"])
def test_fifty_places(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(campaign(kind, FULL, monkeypatch), FULL)
