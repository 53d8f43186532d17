"""Where a training is in its data: kept from one `fit` to the next, and in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eftrain_hdl as ef
from eftrain_hdl.data import Position, batches, batches_from
from tests.runtime.training import BATCH, data, make, same

COUNT = 22
X, Y = data(COUNT)


def seen(trainer: ef.Trainer, monkeypatch: pytest.MonkeyPatch, x: np.ndarray = X) -> list[list[int]]:
    """Fills up with the samples of each step, by their numbers in ``x``."""
    steps: list[list[int]] = []
    plain = trainer._differentiate

    def differentiate(some: np.ndarray, labels: np.ndarray) -> Any:
        steps.append([int(np.flatnonzero((x == one).all(axis=(1, 2, 3)))[0]) for one in some])
        return plain(some, labels)

    monkeypatch.setattr(trainer, "_differentiate", differentiate)
    return steps


def test_three_epochs_in_three_calls_are_three_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    apart, together = make(), make()
    ours, theirs = seen(apart, monkeypatch), seen(together, monkeypatch)
    for _ in range(3):
        apart.fit(X, Y, epochs=1)
    together.fit(X, Y, epochs=3)
    assert ours == theirs
    epochs = [tuple(map(tuple, ours[k : k + 5])) for k in (0, 5, 10)]
    assert len(set(epochs)) == 3
    assert all(len({number for step in epoch for number in step}) == 20 for epoch in epochs)
    assert {number for step in ours for number in step} == set(range(COUNT))
    assert same(apart.parameters(), together.parameters())


def test_ten_single_steps_see_ten_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make()
    steps = seen(trainer, monkeypatch)
    for _ in range(10):
        trainer.fit(X, Y, steps=1)
    assert steps == [
        [int(label) for label in labels]
        for epoch in range(2) for _, labels in batches(X, np.arange(COUNT), BATCH, 1, epoch)
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", [ef.SGD(lr=0.1), ef.SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)], ids=str)
@pytest.mark.parametrize("steps", [1, 2, 5, 7, 10])
def test_saved_and_loaded_training_goes_on_as_if_it_had_not_stopped(
    optimizer: ef.SGD, steps: int, tmp_path: Path
) -> None:
    whole, first, second = make(optimizer), make(optimizer), make(optimizer, seed=77)
    results = whole.fit(X, Y, steps=steps) + whole.fit(X, Y, epochs=2)
    before = first.fit(X, Y, steps=steps)
    first.save(tmp_path / "state.npz")
    first.fit(X, Y, steps=3)
    second.load(tmp_path / "state.npz")
    assert results == before + second.fit(X, Y, epochs=2)
    assert same(whole.parameters(), second.parameters())
    assert whole.position == second.position == Position(1, 2 + steps // 5, steps % 5 * BATCH, COUNT)
    first.restore()
    assert first.fit(X, Y, epochs=2) == results[steps:]


def test_steps_of_ones_own_leave_the_position() -> None:
    trainer = make()
    trainer.fit(X, Y, steps=2)
    place = trainer.position
    trainer.step(X[:4], Y[:4])
    trainer.gradients(X[:4], Y[:4])
    trainer.update()
    trainer.evaluate(X, Y)
    assert trainer.position == place == Position(1, 0, 8, COUNT)


def test_other_data_and_parameters_begin_anew(tmp_path: Path) -> None:
    trainer = make()
    trainer.fit(X, Y, steps=2)
    trainer.save(tmp_path / "state.npz")
    x, y = data(30, seed=5)
    trainer.fit(x, y, steps=1)  # another length: the next epoch
    assert trainer.position == Position(1, 1, 4, 30)
    trainer.fit(x[::-1], y[::-1], steps=1)
    assert trainer.position == Position(1, 1, 8, 30)
    trainer.load_parameters(trainer.parameters())
    assert trainer.position == Position(1)
    trainer.fit(X, Y, epochs=1)
    assert trainer.position == Position(1, 1, 0, COUNT)
    trainer.fit(x, y, steps=1)  # between two epochs there is nothing to leave
    assert trainer.position == Position(1, 1, 4, 30)
    larger = make(batch=6)
    larger.load(tmp_path / "state.npz")
    larger.fit(X, Y, steps=1)
    assert larger.position == Position(1, 0, 14, COUNT)


def test_a_file_of_parameters_alone_begins_anew(tmp_path: Path) -> None:
    trainer = make()
    trainer.fit(X, Y, steps=2)
    np.savez(tmp_path / "bare.npz", **trainer.parameters())  # type: ignore[arg-type]
    trainer.load(tmp_path / "bare.npz")
    assert trainer.position == Position(1)
    fresh = make()
    fresh.load_parameters(trainer.parameters())
    assert trainer.fit(X, Y, steps=3) == fresh.fit(X, Y, steps=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taken": np.uint64(23)}, "no position in data: seed 1, epoch 0, 23 of 22 samples"),
        ({"epoch": np.int64(-1)}, "epoch=-1: must be at least 0"),
        ({"seed": np.float64(1)}, "position/seed has dtype float64 and shape"),
        ({"seed": np.arange(2)}, "position/seed has dtype int64 and shape"),
        ({"seed": None}, "position/ has epoch, samples, taken: expected seed, epoch, taken, samples"),
        ({"other": np.int64(1)}, "position/ has epoch, other"),
    ],
)
def test_a_file_with_no_true_position_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    trainer = make()
    trainer.fit(X, Y, steps=2)
    trainer.save(tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as archive:
        arrays = dict(archive) | {f"position/{name}": value for name, value in change.items()}
    np.savez(tmp_path / "bad.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=f"bad.npz: {message}"):
        trainer.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("batch", [1, 3, 4, 22])
def test_batches_from_any_place_are_those_of_an_undisturbed_run(batch: int) -> None:
    def take(position: Position, number: int) -> tuple[list[list[int]], list[Position]]:
        stream = batches_from(position, np.arange(COUNT), np.arange(COUNT), batch)
        taken = [next(stream) for _ in range(number)]
        return [list(map(int, x)) for x, _, _ in taken], [then for _, _, then in taken]

    all_batches, positions = take(Position(9), 60)
    for k, position in enumerate(positions[:30]):
        assert take(position, 20)[0] == all_batches[k + 1 : k + 21]


@pytest.mark.parametrize("place", [(-1,), (0, -1), (0, 0, 1), (0, 0, 5, 4), (0, 0, -1, 4)])
def test_places_that_do_not_exist(place: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"no position in data|(seed|epoch|taken)=-1: must be at least 0"):
        Position(*place)


