"""What users see of a trainer: results, checks before anything changes, files, and what happens after an error."""

from pathlib import Path

import numpy as np
import pytest

import eftrain_hdl as ef
from eftrain_hdl.data import batches
from eftrain_hdl.golden import GoldenStep
from eftrain_hdl.graph import cross_entropy, initial_parameters
from tests.runtime.training import CONFIG, data, make, model, same


def test_fit_follows_the_golden_steps_and_learns() -> None:
    optimizer = ef.SGD(lr=0.02, momentum=0.9)
    trainer = make(optimizer)
    x, y = data(40)
    before = trainer.evaluate(x, y)
    results = trainer.fit(x, y, epochs=3, progress=False)
    golden = GoldenStep(model(), ef.CrossEntropyLoss(), optimizer, initial_parameters(model(), 1))
    expected = [golden.step(*batch) for epoch in range(3) for batch in batches(x, y, 4, 1, epoch)]
    np.testing.assert_allclose([result.loss for result in results], expected, rtol=1e-4)
    assert results[0].cycles is None and results[0].phases == {}
    assert results[0].counters["MAC_CYCLES"] > 0
    after = trainer.evaluate(x, y)
    assert after[0] > before[0] and after[1] < before[1]


def test_epochs_count_whole_batches() -> None:
    x, y = data(11)
    assert len(make().fit(x, y, epochs=2)) == 4


def test_predict_pads_the_last_batch() -> None:
    trainer = make()
    x, y = data(7)
    logits = trainer.predict(x)
    assert logits.shape == (7, 3)
    np.testing.assert_array_equal(logits[5:6], trainer.predict(x[5:6]))
    accuracy, loss = trainer.evaluate(x, y)
    assert accuracy == (logits.argmax(1) == y).mean()
    assert loss == cross_entropy(logits, y)[0]


def test_starts_from_the_initial_parameters() -> None:
    assert same(make().parameters(), initial_parameters(model(), 1))


def test_gradients_change_nothing() -> None:
    trainer = make()
    before = trainer.parameters()
    gradients = trainer.gradients(*data(4))
    assert same(trainer.parameters(), before)
    assert {name: value.shape for name, value in gradients.items()} == model().parameter_shapes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, y: (x[:3], y[:3]), ValueError, "3 samples.*batches of 4"),
        (lambda x, y: (x[:, :, 1:], y), ValueError, r"x has shape \(4, 1, 3, 4\)"),
        (lambda x, y: (x.astype(np.int32), y), TypeError, "x has dtype int32"),
        (lambda x, y: (np.where(x > 2, np.nan, x), y), ValueError, "not finite"),
        (lambda x, y: (x.astype(np.float64) * 1e300, y), ValueError, "not finite as float32"),
        (lambda x, y: (x, y[:3]), ValueError, r"y has shape \(3,\)"),
        (lambda x, y: (x, y + 0.5), TypeError, "y has dtype float64"),
        (lambda x, y: (x, y + 1), ValueError, "labels range from 1 to 3: expected 0 to 2"),
        (lambda x, y: (x, y - 1), ValueError, "labels range from -1"),
    ],
)
def test_bad_data_change_nothing(change, error, message) -> None:  # type: ignore[no-untyped-def]
    trainer = make()
    x, _ = data(4)
    y = np.array([0, 1, 2, 0])
    memory = trainer.device.read(0, 1 << 20)
    with pytest.raises(error, match=message):
        trainer.step(*change(x, y))
    np.testing.assert_array_equal(trainer.device.read(0, 1 << 20), memory)


def test_saved_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    first, second = make(), make()
    first.step(*data(4, 1))
    first.save(tmp_path / "state.npz")
    second.step(*data(4, 8))
    second.load(tmp_path / "state.npz")
    for trainer in (first, second):
        trainer.step(*data(4, 2))
    assert same(first.parameters(), second.parameters())
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_load_refuses_what_does_not_fit(tmp_path: Path) -> None:
    trainer = make()
    before = trainer.parameters()
    wrong = {**before, "4.weight": before["4.weight"][:2]}
    np.savez(tmp_path / "wrong.npz", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ef.GraphError, match="4.weight"):
        trainer.load(tmp_path / "wrong.npz")
    with pytest.raises(ValueError, match="0.bias has 4 of 4 values that are not finite"):
        trainer.load_parameters({**before, "0.bias": np.full(4, np.inf)})
    with pytest.raises(FileNotFoundError):
        trainer.load(tmp_path / "missing.npz")
    assert same(trainer.parameters(), before)


def test_works_again_after_a_device_error() -> None:
    trainer = make()
    x, y = data(4)
    program = trainer.plan.programs["backward_update"]
    trainer.device.write(program.address, np.zeros(4, np.uint32))
    with pytest.raises(ef.DeviceError):
        trainer.step(x, y)
    with pytest.raises(ef.TrainerError, match="reset.*restore"):
        trainer.step(x, y)
    trainer.device.reset()
    trainer.restore()
    reference = make()
    assert trainer.step(x, y).loss == reference.step(x, y).loss
    assert same(trainer.parameters(), reference.parameters())


def test_memory_that_is_too_small() -> None:
    with pytest.raises(ValueError, match=r"training needs \d+ bytes of device memory, \d+ more"):
        ef.Trainer(
            model(), loss=ef.CrossEntropyLoss(), optimizer=ef.SGD(lr=0.1), batch=4,
            device=ef.EmulatorDevice(CONFIG, 8192),
        )  # fmt: skip


def test_a_network_that_no_memory_holds_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eftrain_hdl.runtime.trainer.compile_model", None)
    wide = ef.Sequential(
        ef.Conv2d(1, 10**7, 3), ef.Flatten(), ef.Linear(36 * 10**7, 10), input_shape=(1, 8, 8)
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"training needs \d{11} bytes of device memory"):
        ef.Trainer(
            wide, loss=ef.CrossEntropyLoss(), optimizer=ef.SGD(lr=0.1), batch=4, device=ef.EmulatorDevice(CONFIG)
        )  # fmt: skip


def test_memory_that_does_not_start_at_zero() -> None:
    device = ef.EmulatorDevice(CONFIG, 1 << 20, window_base=0x4000_0010)
    optimizer = ef.SGD(lr=0.1, momentum=0.9)
    trainer = ef.Trainer(model(), loss=ef.CrossEntropyLoss(), optimizer=optimizer, batch=4, device=device, seed=1)
    trainer.step(*data(4))
    reference = make()
    reference.step(*data(4))
    assert same(trainer.parameters(), reference.parameters())
