"""Numbers that leave FP32, too large or too small: found, named, and never over a good file."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import eftrain_hdl as ef
from eftrain_hdl.numerics import FP16
from tests.runtime.training import CONFIG, MEMORY, data, make, same

X, Y = data(22)
HUGE = ef.SGD(lr=1e20, momentum=0.9)


def test_fit_stops_at_the_first_loss_that_is_not_finite() -> None:
    trainer, reference = make(HUGE), make(HUGE)
    with pytest.raises(ef.Diverged, match=r"the loss of step (\d+) is nan at lr 1e\+20.*set_lr") as caught:
        trainer.fit(X, Y, epochs=4)
    results = caught.value.results
    assert re.search(rf"step {len(results) + 1} is", str(caught.value))
    assert results and all(math.isfinite(result.loss) for result in results)
    # The step that found it was not made.
    assert reference.fit(X, Y, steps=len(results)) == results
    assert same(trainer.parameters(), reference.parameters()) and trainer.position == reference.position
    trainer.restore()
    trainer.set_lr(0.01)
    assert len(trainer.fit(X, Y, epochs=1)) == 5


def test_fit_goes_on_if_it_is_told_so() -> None:
    results = make(HUGE).fit(X, Y, epochs=2, stop_if_diverged=False)
    assert len(results) == 10 and math.isnan(results[-1].loss)


def test_a_step_of_ones_own_reports_and_raises_nothing() -> None:
    trainer = make(HUGE)
    losses = [trainer.step(X[:4], Y[:4]).loss for _ in range(4)]
    assert math.isfinite(losses[0]) and math.isnan(losses[-1])


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_save_keeps_the_good_file(momentum: float, stops: bool, tmp_path: Path) -> None:
    """Where fit stops at once, the parameters are huge, and finite."""
    path = tmp_path / "state.npz"
    trainer = make(ef.SGD(lr=0.1, momentum=momentum))
    trainer.fit(X, Y, steps=2)
    trainer.save(path)
    good, parameters = path.read_bytes(), trainer.parameters()
    trainer.set_lr(1e20)
    with contextlib.suppress(ef.Diverged):
        trainer.fit(X, Y, steps=6, stop_if_diverged=stops)
    assert np.isfinite(trainer.parameters()["0.weight"]).all() == stops
    with pytest.raises(ef.Diverged, match="state.npz is left as it was.*diverged, its latest loss is not finite"):
        trainer.save(path)
    assert path.read_bytes() == good and [one.name for one in tmp_path.iterdir()] == ["state.npz"]
    trainer.restore()
    assert same(trainer.parameters(), parameters)
    trainer.save(path)
    make(ef.SGD(lr=0.1, momentum=momentum)).load(path)


@pytest.mark.parametrize("back", ["restore", "load", "load_parameters", "step"])
def test_what_has_diverged_can_be_saved_again_when_it_is_well(back: str, tmp_path: Path) -> None:
    trainer = make()
    trainer.save(tmp_path / "good.npz")
    good = trainer.parameters()
    weights = trainer.plan.tensors["weights.0"]
    words = trainer.device.read(weights.address, weights.nbytes)
    trainer.device.write(weights.address, np.full(weights.nbytes // 4, np.inf, np.float32))
    trainer.gradients(X[:4], Y[:4])
    with pytest.raises(ef.Diverged, match="latest loss"):
        trainer.save(tmp_path / "state.npz")
    if back == "step":
        trainer.device.write(weights.address, words)
        trainer.step(X[:4], Y[:4])
    else:
        getattr(trainer, back)(*{"load": [tmp_path / "good.npz"], "load_parameters": [good]}.get(back, []))
    trainer.save(tmp_path / "state.npz")


def test_momentum_that_is_not_finite_is_not_saved_either(tmp_path: Path) -> None:
    trainer = make()
    trainer.fit(X, Y, steps=1)
    tensor = trainer.plan.tensors["velocity.0"]
    trainer.device.write(tensor.address, np.full(4, np.inf, np.float32))
    with pytest.raises(ef.Diverged, match=r"velocity/0\.weight has \d of 36 values that are not finite"):
        trainer.save(tmp_path / "state.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [1e39, 3.5e38, 1e60, 1e300, 10**400, 1e-39, 1.1e-38, 5e-324, np.float64(1e-45)])
def test_rates_that_fp32_cannot_hold(name: str, value: float) -> None:
    with pytest.raises(ef.GraphError, match=f"SGD: {name}=.*(FP32 cannot hold it|must be finite)"):
        ef.SGD(**({"lr": 0.1} | {name: value}))


@pytest.mark.parametrize("value", [0, 1, 3.4e38, 1.1754944e-38, np.float32(0.1), np.float64(0.1), np.int64(2)])
def test_rates_at_the_limits_of_fp32(value: float) -> None:
    assert ef.SGD(lr=value).lr == value


@pytest.mark.parametrize("value", [True, np.True_, "0.1", b"0.1", 1j, None, [0.1], np.array([0.1]), object()])
def test_rates_that_are_no_numbers(value: object) -> None:
    with pytest.raises(TypeError, match="SGD: lr=.*: expected a number"):
        ef.SGD(lr=value)  # type: ignore[arg-type]


def test_a_new_rate_is_checked_and_changes_nothing_if_it_is_wrong() -> None:
    trainer = make()
    for value in (1e39, 1e-39, -1):
        with pytest.raises(ef.GraphError, match="lr="):
            trainer.set_lr(value)
    for value in ("1", None):
        with pytest.raises(TypeError, match="lr="):
            trainer.set_lr(value)  # type: ignore[arg-type]
    assert trainer.optimizer.lr == 0.1
    assert trainer.fit(X, Y, steps=2) == make().fit(X, Y, steps=2)


def fp16_trainer() -> ef.Trainer:
    return make(ef.SGD(lr=0.1), device=ef.EmulatorDevice(replace(CONFIG, operand=FP16), MEMORY))


def test_gradients_that_fp16_flushes_are_told_once() -> None:
    trainer = fp16_trainer()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(X, Y, steps=1)
        assert not caught  # the classes are still equally likely
        large = {name: value * 4 for name, value in trainer.parameters().items()}
        trainer.load_parameters(large)
        for _ in range(3):
            trainer.gradients(X[:4], Y[:4])
    (warning,) = caught
    assert warning.category is UserWarning and warning.filename == __file__
    text = str(warning.message)
    found = re.match(r"(\d+) of 12 gradients by the logits are below 6\.1e-05, the least that fp16 operands hold", text)
    assert found and 0 < int(found[1]) <= 12


def test_other_formats_hold_them() -> None:
    trainer = make()
    trainer.load_parameters({name: value * 4 for name, value in trainer.parameters().items()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.gradients(X[:4], Y[:4])
