"""Uses of a trainer that would silently do something else: wrong kinds, two trainers, other optimizers."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eftrain_hdl as ef
from tests.runtime.training import CONFIG, MEMORY, data, make, model, same

X, Y = data(22)


class Stranger:
    """Stands for an optimizer, a loss or a network of another library."""


Stranger.__module__, Stranger.__qualname__ = "torch.optim.sgd", "SGD"


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("device", "cpu", TypeError, r"device='cpu': expected a device such as EmulatorDevice"),
        ("device", None, TypeError, "device=None: expected a device"),
        ("device", ef.EmulatorDevice, TypeError, r"EmulatorDevice \(the class itself\): expected a device"),
        ("device", CONFIG, TypeError, "device=an object of eftrain_hdl.config.Config: expected a device"),
        ("optimizer", Stranger(), TypeError, r"optimizer=an object of torch.optim.sgd.SGD: expected an eftr"),
        ("optimizer", 0.1, TypeError, r"optimizer=0.1: expected an eftrain_hdl.SGD"),
        ("optimizer", "sgd", TypeError, r"optimizer='sgd': expected an eftrain_hdl.SGD"),
        ("loss", Stranger(), TypeError, r"loss=an object of torch.optim.sgd.SGD: expected an eftrain_hdl.Cro"),
        ("loss", ef.CrossEntropyLoss, TypeError, r"CrossEntropyLoss \(the class itself\)"),
        ("model", Stranger(), TypeError, r"model=an object of torch.optim.sgd.SGD: expected an eftrain_hdl.Sequential"),
        ("model", [ef.ReLU()], TypeError, r"model=an object of list: expected an eftrain_hdl.Sequential"),
        ("batch", "4", TypeError, "batch='4': expected an integer"),
        ("batch", 4.0, TypeError, "batch=4.0: expected an integer"),
        ("batch", True, TypeError, "batch=True: expected an integer"),
        ("batch", np.True_, TypeError, "batch=.*bool.*: expected an integer"),
        ("batch", 0, ValueError, "batch=0: must be at least 1"),
        ("batch", 10**9, ValueError, "batch=1000000000: must be at most 4096"),
        ("seed", -1, ValueError, "seed=-1: must be at least 0"),
        ("seed", 2**64, ValueError, "seed=18446744073709551616: must be at most"),
        ("seed", None, TypeError, "seed=None: expected an integer"),
        ("seed", 1.5, TypeError, "seed=1.5: expected an integer"),
    ],
)
def test_arguments_of_a_trainer(argument: str, value: Any, error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "model": model(), "loss": ef.CrossEntropyLoss(), "optimizer": ef.SGD(lr=0.1), "batch": 4, "seed": 0,
        "device": ef.EmulatorDevice(CONFIG, MEMORY),
    }  # fmt: skip
    with pytest.raises(error, match=message):
        ef.Trainer(**arguments | {argument: value})


def test_arguments_of_a_trainer_from_a_plan() -> None:
    plan, device = make().plan, ef.EmulatorDevice(CONFIG, MEMORY)
    for arguments, message in (
        (("plan.npz", device), "plan='plan.npz': expected a Plan such as load_plan"),
        ((plan, "sim"), "device='sim': expected a device"),
    ):
        with pytest.raises(TypeError, match=message):
            ef.Trainer.from_plan(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed=-3"):
        ef.Trainer.from_plan(plan, device, seed=-3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "epochs=None, steps=None: give one of them"),
        ({"epochs": 1, "steps": 1}, ValueError, "epochs=1, steps=1: give one of them"),
        ({"steps": "3"}, TypeError, "steps='3': expected an integer"),
        ({"epochs": 1.5}, TypeError, "epochs=1.5: expected an integer"),
        ({"epochs": True}, TypeError, "epochs=True: expected an integer"),
        ({"steps": 0}, ValueError, "steps=0: must be at least 1"),
        ({"epochs": -2}, ValueError, "epochs=-2: must be at least 1"),
        ({"epochs": 10**30}, ValueError, "epochs=.*: must be at most 1000000000"),
        ({"steps": 10**30}, ValueError, "steps=.*: must be at most 1000000000"),
        ({"steps": np.array([1, 2])}, TypeError, "steps=an object of numpy.ndarray: expected an integer"),
        ({"steps": 1, "progress": 0}, TypeError, "progress=0: expected True or False"),
        ({"steps": 1, "progress": "no"}, TypeError, "progress='no': expected True or False"),
        ({"steps": 1, "stop_if_diverged": None}, TypeError, "stop_if_diverged=None: expected True or False"),
        ({"steps": 1, "on_step": "log"}, TypeError, "on_step='log': expected a function"),
    ],
)
def test_arguments_of_fit(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    trainer = make()
    with pytest.raises(error, match=message):
        trainer.fit(X, Y, **arguments)
    assert trainer.position.samples == 0


@pytest.mark.parametrize("number", [np.int64(2), np.uint8(2), np.array(2)])
def test_integers_of_numpy_are_integers(number: Any) -> None:
    trainer = ef.Trainer(
        model(), loss=ef.CrossEntropyLoss(), optimizer=ef.SGD(lr=0.1), batch=number, seed=number,
        device=ef.EmulatorDevice(CONFIG, MEMORY),
    )  # fmt: skip
    assert len(trainer.fit(X, Y, steps=number)) == 2


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X.astype(str), Y, TypeError, "x has dtype <U32: expected a floating type"),
        (X.astype(complex), Y, TypeError, "x has dtype complex128: expected a floating type"),
        (X.astype(object), Y, TypeError, "x has dtype object: expected a floating type"),
        (np.ma.masked_less(X, 0), Y, TypeError, "x is a masked array: expected one without a mask"),
        (X, np.ma.masked_equal(Y, 0), TypeError, "y is a masked array: expected one without a mask"),
        (X > 0, Y, TypeError, "x has dtype bool: expected a floating type"),
        ([[1.0], [1.0, 2.0]], Y, TypeError, "x is no array, but an object of list"),
        (None, Y, TypeError, "x has dtype object"),
        ("data.npz", Y, TypeError, "x has dtype <U8"),
        (Stranger(), Y, TypeError, "x has dtype object"),
        (X, Y.astype(str), TypeError, "y has dtype <U21: expected integers"),
        (X, Y > 0, TypeError, "y has dtype bool: expected integers"),
        (X, Y.astype(object), TypeError, "y has dtype object: expected integers"),
        (X, Y.astype("timedelta64[s]"), TypeError, r"y has dtype timedelta64\[s\]: expected integers"),
        (X, Y + 0j, TypeError, "y has dtype complex128: expected integers"),
        (X, np.eye(3)[Y], TypeError, "y has dtype float64: expected integers"),
        (X, np.eye(3, dtype=int)[Y], ValueError, r"y has shape \(22, 3\): expected \(22,\)"),
        (X, Y[:, None], ValueError, r"y has shape \(22, 1\): expected \(22,\)"),
    ],
)
def test_data_of_the_wrong_kind(x: Any, y: Any, error: type[Exception], message: str) -> None:
    trainer = make()
    for call in (lambda: trainer.fit(x, y, steps=1), lambda: trainer.step(x, y), lambda: trainer.evaluate(x, y)):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_every_floating_type_will_do(dtype: type) -> None:
    x = np.round(X * 8) / 8
    assert make().fit(x.astype(dtype), Y, steps=2) == make().fit(x.tolist(), Y.tolist(), steps=2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w.astype(complex), TypeError, "0.weight has dtype complex128: expected real numbers"),
        (lambda w: w.astype(str), TypeError, "0.weight has dtype <U32: expected real numbers"),
        (lambda w: w.astype(object), TypeError, "0.weight has dtype object: expected real numbers"),
        (lambda w: w > 0, TypeError, "0.weight has dtype bool: expected real numbers"),
        (lambda w: [[1], [2, 3]], TypeError, "0.weight is no array"),
        (lambda w: w.astype(float) * 1e300, ValueError, "0.weight has 36 of 36 values that are not finite"),
        (lambda w: w[:2], ef.GraphError, "0.weight has shape"),
    ],
)
def test_parameters_of_the_wrong_kind(change: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    trainer = make()
    before = trainer.parameters()
    changed = {**before, "0.weight": change(before["0.weight"])}
    with pytest.raises(error, match=message):
        trainer.load_parameters(changed)
    with pytest.raises(TypeError, match="parameters='state.npz': expected a dict"):
        trainer.load_parameters("state.npz")  # type: ignore[arg-type]
    if not isinstance(changed["0.weight"], list):
        np.savez(tmp_path / "bad.npz", **changed)
        with pytest.raises(ValueError, match="bad.npz: "):
            trainer.load(tmp_path / "bad.npz")
    assert same(trainer.parameters(), before)


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_files_that_are_no_archives(content: bytes | None, tmp_path: Path) -> None:
    path, trainer = tmp_path / "state.npz", make()
    if content is None:
        trainer.save(path)
        content = path.read_bytes()[:-100]
    path.write_bytes(content)
    before = trainer.fit(X, Y, steps=2) and trainer.parameters()
    with pytest.raises(ValueError, match="state.npz: "):
        trainer.load(path)
    assert same(trainer.parameters(), before)
    assert trainer.position.taken == 8


def test_two_trainers_on_one_device(tmp_path: Path) -> None:
    device = ef.EmulatorDevice(CONFIG, MEMORY)
    first = make(device=device)
    first.fit(X, Y, steps=2)
    first.save(tmp_path / "first.npz")
    kept = first.parameters()
    second = make(ef.SGD(lr=0.5), device=device, seed=9)
    for call in (
        lambda: first.step(X[:4], Y[:4]), lambda: first.fit(X, Y, steps=1), first.parameters,
        lambda: first.save(tmp_path / "no.npz"), lambda: first.predict(X), lambda: first.gradients(X[:4], Y[:4]),
        first.update, lambda: first.set_lr(1), lambda: first.evaluate(X, Y),
    ):  # fmt: skip
        with pytest.raises(ef.TrainerError, match=r"another trainer has written to this device: restore\(\) takes"):
            call()
    assert second.fit(X, Y, steps=2) == make(ef.SGD(lr=0.5), seed=9).fit(X, Y, steps=2)
    first.restore()
    assert same(first.parameters(), kept) and first.position.taken == 8
    with pytest.raises(ef.TrainerError, match="another trainer"):
        second.parameters()
    second.restore()
    assert same(second.parameters(), make(seed=9).parameters())


def test_a_trainer_that_is_gone_has_taken_the_device_all_the_same() -> None:
    device = ef.EmulatorDevice(CONFIG, MEMORY)
    first = make(device=device)
    make(device=device, seed=9).fit(X, Y, steps=1)
    gc.collect()
    with pytest.raises(ef.TrainerError, match="another trainer"):
        first.parameters()
    first.restore()
    assert same(first.parameters(), make().parameters())


def test_a_cell_that_is_run_again_makes_a_trainer_anew() -> None:
    device = ef.EmulatorDevice(CONFIG, MEMORY)
    results = [make(device=device).fit(X, Y, steps=2) for _ in range(3)]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "name", ["optimizer", "lr", "batch", "model", "plan", "device", "seed", "position", "momentum"]
)
def test_attributes_cannot_be_replaced(name: str) -> None:
    trainer = make()
    with pytest.raises(AttributeError, match=rf"setting Trainer\.{name} would change nothing.*(set_lr|another )"):
        setattr(trainer, name, None)
    assert len(trainer.fit(X, Y, steps=1)) == 1


def test_a_new_rate_is_the_one_that_trains_also_after_restore_and_load(tmp_path: Path) -> None:
    trainer, reference = make(), make(ef.SGD(lr=0.02, momentum=0.9))
    trainer.save(tmp_path / "state.npz")
    trainer.set_lr(np.float64(0.02))
    expected = reference.fit(X, Y, steps=3)
    assert trainer.optimizer == reference.optimizer
    assert trainer.fit(X, Y, steps=3) == expected
    trainer.restore()
    assert trainer.fit(X, Y, steps=3) == expected
    trainer.load(tmp_path / "state.npz")
    assert trainer.fit(X, Y, steps=3) == expected
    trainer.gradients(X[:4], Y[:4])
    reference.gradients(X[:4], Y[:4])
    reference.set_lr(0.7)
    trainer.set_lr(0.7)
    for one in (trainer, reference):
        one.update()
    assert same(trainer.parameters(), reference.parameters())


def test_an_update_needs_gradients(tmp_path: Path) -> None:
    trainer, batch = make(), (X[:4], Y[:4])

    def refused() -> None:
        before = trainer.parameters()
        with pytest.raises(ef.TrainerError, match=r"no gradients to update with: call gradients\(x, y\) before"):
            trainer.update()
        assert same(trainer.parameters(), before)

    refused()
    trainer.gradients(*batch)
    trainer.predict(X)
    trainer.update()
    refused()
    for between in (
        lambda: trainer.step(*batch), lambda: trainer.fit(X, Y, steps=1), trainer.restore,
        lambda: trainer.load_parameters(trainer.parameters()),
    ):  # fmt: skip
        trainer.gradients(*batch)
        between()
        refused()


def test_momentum_does_not_get_lost_in_an_optimizer_without(tmp_path: Path) -> None:
    with_momentum, without = make(), make(ef.SGD(lr=0.1))
    with_momentum.save(tmp_path / "start.npz")
    with_momentum.fit(X, Y, steps=2)
    with_momentum.save(tmp_path / "state.npz")
    before = without.parameters()
    with pytest.raises(ValueError, match=r"state.npz: has momentum buffers.*SGD\(lr, momentum=.*load_parameters"):
        without.load(tmp_path / "state.npz")
    assert same(without.parameters(), before)
    without.load(tmp_path / "start.npz")  # nothing has gathered
    without.load_parameters(with_momentum.parameters())
    without.save(tmp_path / "plain.npz")
    with_momentum.load(tmp_path / "plain.npz")  # starts afresh
    fresh = make()
    fresh.load_parameters(without.parameters())
    assert with_momentum.fit(X, Y, steps=3) == fresh.fit(X, Y, steps=3)


def test_threads_share_a_trainer() -> None:
    trainer, reference = make(), make()
    x, y = data(22)
    expected = reference.fit(x, y, epochs=4)
    over = threading.Event()
    seen: list[np.ndarray] = []

    def look() -> None:
        while not over.is_set():
            seen.append(trainer.predict(x[:8]))
            trainer.parameters()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        results = trainer.fit(x, y, epochs=4)
    finally:
        over.set()
        thread.join()
    assert seen and results == expected and same(trainer.parameters(), reference.parameters())


def test_threads_share_the_steps_of_an_epoch() -> None:
    """Whoever comes next takes the next batch."""
    trainer, reference = make(), make()
    x, y = data(22)
    threads = [threading.Thread(target=trainer.fit, args=(x, y), kwargs={"steps": 10}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reference.fit(x, y, steps=20)
    assert trainer.position == reference.position and same(trainer.parameters(), reference.parameters())


@pytest.mark.parametrize("call", ["restore", "load", "load_parameters", "fit"])
def test_a_call_back_may_move_the_training(call: str, tmp_path: Path) -> None:
    """The next step is the one from there on."""
    trainer, reference = make(), make()
    x, y = data(22)
    for one in (trainer, reference):
        one.fit(x, y, steps=2)
        one.save(tmp_path / "saved.npz")
    first = reference.parameters()
    moves: dict[str, tuple[Any, ...]] = {"restore": (), "load": (tmp_path / "saved.npz",), "load_parameters": (first,)}

    def move(one: ef.Trainer) -> None:
        if call == "fit":
            one.fit(x, y, steps=1)
        else:
            getattr(one, call)(*moves[call])

    results: list[ef.StepResult] = []

    def on_step(result: ef.StepResult) -> None:
        results.append(result)
        if len(results) == 2:
            move(trainer)

    trainer.fit(x, y, steps=4, on_step=on_step)
    expected = reference.fit(x, y, steps=2)
    move(reference)
    expected += reference.fit(x, y, steps=2)
    assert results == expected and trainer.position == reference.position
    assert same(trainer.parameters(), reference.parameters())


def test_a_call_back_that_gives_the_device_to_another_trainer_ends_the_training() -> None:
    device = ef.EmulatorDevice(CONFIG, MEMORY)
    trainer = make(device=device)
    x, y = data(22)
    others: list[ef.Trainer] = []
    with pytest.raises(ef.TrainerError, match="another trainer has written to this device"):
        trainer.fit(x, y, steps=3, on_step=lambda result: others.append(make(device=device, seed=5)))
    assert len(others) == 1 and same(others[0].parameters(), make(seed=5).parameters())
    trainer.restore()
    assert trainer.fit(x, y, steps=1) == make().fit(x, y, steps=1)
