"""Data sets from files, the split, shuffled batches, and every complaint about bad data."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.data import DataError, batches, load_data


def arrays(**changes: Any) -> dict[str, Any]:
    """Ten good samples, with some arrays replaced, or left out where the value is None."""
    generator = np.random.default_rng(0)
    good = {"x": generator.normal(size=(10, 2, 4, 3)), "y": np.arange(10) % 3}
    return {name: value for name, value in (good | changes).items() if value is not None}


def saved(folder: Path, **changes: Any) -> Path:
    path = folder / "samples.npz"
    np.savez(path, **arrays(**changes))
    return path


def test_digits_are_scaled_and_split() -> None:
    pytest.importorskip("sklearn")
    data = load_data("digits")
    assert (data.x_train.shape, data.x_test.shape) == ((1438, 1, 8, 8), (359, 1, 8, 8))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int64)
    assert (data.classes, data.input_shape) == (10, (1, 8, 8))
    assert abs(data.x_train.mean()) < 1e-6
    assert data.x_train.std() == pytest.approx(1, abs=1e-6)
    assert set(data.y_train) == set(data.y_test) == set(range(10))
    again = load_data("digits")
    np.testing.assert_array_equal(data.x_test, again.x_test)
    np.testing.assert_array_equal(data.y_test, again.y_test)


def test_every_digit_is_in_one_part_only() -> None:
    sklearn_data = pytest.importorskip("sklearn.datasets")
    data = load_data("digits")
    images, labels = sklearn_data.load_digits(return_X_y=True)
    ours = np.concatenate([data.x_train, data.x_test]).reshape(len(images), -1)
    scale = (images.max() - images.min()) / (ours.max() - ours.min())
    pixels = np.rint((ours - ours.min()) * scale).astype(int)
    rows = np.column_stack([pixels, np.concatenate([data.y_train, data.y_test])])
    expected = np.column_stack([images.astype(int), labels])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_file_without_a_test_part_is_split(tmp_path: Path) -> None:
    data = load_data(saved(tmp_path))
    assert (data.name, data.classes, data.input_shape) == ("samples", 3, (2, 4, 3))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int64)
    assert (len(data.x_train), len(data.x_test)) == (8, 2)
    x = np.concatenate([data.x_train, data.x_test])
    y = np.concatenate([data.y_train, data.y_test])
    original = arrays()
    order = [int(np.flatnonzero((original["x"].astype(np.float32) == sample).all(axis=(1, 2, 3)))[0]) for sample in x]
    assert sorted(order) == list(range(10))
    np.testing.assert_array_equal(y, original["y"][order])


def test_file_with_a_test_part_keeps_it(tmp_path: Path) -> None:
    x_test, y_test = np.full((2, 2, 4, 3), 0.5), np.array([4, 0], np.uint8)
    data = load_data(str(saved(tmp_path, x_test=x_test, y_test=y_test)))
    np.testing.assert_array_equal(data.x_train, arrays()["x"].astype(np.float32))
    np.testing.assert_array_equal(data.x_test, x_test)
    np.testing.assert_array_equal(data.y_test, y_test)
    assert data.classes == 5


def with_value(place: tuple[int, ...], value: float) -> Any:
    x = arrays()["x"]
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"x": None}, "has no array x"),
        ({"y": None}, "has no array y"),
        ({"x_test": np.zeros((1, 2, 4, 3))}, "has no array y_test"),
        ({"y_test": np.zeros(1, int)}, "has no array x_test"),
        ({"x": np.zeros((10, 2, 4, 3), np.uint8)}, "x has dtype uint8: expected floating point, already scaled"),
        (
            {"x": np.zeros((10, 4, 3))},
            "x has shape (10, 4, 3): expected (samples, channels, height, width) or (samples, features)",
        ),
        (
            {"x": np.zeros((0, 2, 4, 3))},
            "x has shape (0, 2, 4, 3): expected (samples, channels, height, width) or (samples, features)",
        ),
        ({"x": with_value((3, 1, 0, 2), np.nan)}, "x has 1 NaN or infinite values (as float32), one at (3, 1, 0, 2)"),
        ({"x": with_value((0, 0, 0, 1), -np.inf)}, "x has 1 NaN or infinite values (as float32), one at (0, 0, 0, 1)"),
        ({"x": with_value((9, 0, 0, 1), 1e39)}, "x has 1 NaN or infinite values (as float32), one at (9, 0, 0, 1)"),
        ({"y": np.zeros(10)}, "y has dtype float64: expected integer labels"),
        ({"y": np.zeros(9, int)}, "y has shape (9,): expected (10,), one label for each sample"),
        ({"y": np.zeros((10, 1), int)}, "y has shape (10, 1): expected (10,), one label for each sample"),
        ({"y": np.arange(10) - 2}, "y has the label -2: labels start at 0"),
        ({"y": np.arange(10) + 65530}, "y has the label 65539: labels must be below 65536"),
        (
            {"x": np.zeros((1, 4)), "y": np.zeros(1, int)},
            "x has 1 sample: at least 2 are needed to split off a test part",
        ),
        (
            {"x_test": np.zeros((1, 2, 4, 4)), "y_test": np.zeros(1, int)},
            "x_test has samples of shape (2, 4, 4) but x of (2, 4, 3)",
        ),
        (
            {"x_test": np.zeros((2, 2, 4, 3)), "y_test": np.zeros(1, int)},
            "y_test has shape (1,): expected (2,), one label for each sample",
        ),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, changes: dict[str, Any], cause: str) -> None:
    path = saved(tmp_path, **changes)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {cause}')}$"):
        load_data(path)


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, np.zeros(3))
    empty = tmp_path / "empty.npz"
    empty.touch()
    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(saved(tmp_path).read_bytes()[:-100])
    objects = tmp_path / "objects.npz"
    np.savez(objects, x=np.array([None, "a"], dtype=object), y=np.zeros(2, int))
    causes = {
        text: "not an .npz archive",
        single: "a single array (.npy), not an .npz archive",
        empty: "not an .npz archive",
        truncated: "not an .npz archive, or a damaged one",
        objects: "x has dtype object: expected plain numbers or text, no Python objects",
    }
    for path, cause in causes.items():
        with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {cause}')}"):
            load_data(path)


def test_unknown_sources() -> None:
    message = "letters: unknown data set: expected 'digits' or the path of an .npz file"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_data("letters")
    with pytest.raises(FileNotFoundError):
        load_data("nowhere.npz")


def test_batches_shuffle_and_drop_the_rest() -> None:
    x, y = np.arange(11) * 10, np.arange(11)
    first = list(batches(x, y, batch=4, seed=3, epoch=0))
    assert [(len(xs), len(ys)) for xs, ys in first] == [(4, 4), (4, 4)]
    labels = np.concatenate([ys for _, ys in first])
    assert len(set(labels)) == 8
    np.testing.assert_array_equal(np.concatenate([xs for xs, _ in first]), labels * 10)


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    x = y = np.arange(100)

    def order(seed: int, epoch: int) -> list[int]:
        return [int(label) for _, labels in batches(x, y, 10, seed, epoch) for label in labels]

    assert order(1, 0) == order(1, 0)
    assert sorted(order(1, 0)) == list(range(100))
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize(
    ("samples", "labels", "batch", "message"),
    [
        (5, 4, 2, "x has 5 samples but y has 4 labels"),
        (5, 5, 6, "batch=6: must be from 1 to the number of samples, 5"),
        (5, 5, 0, "batch=0: must be at least 1"),
    ],
)
def test_batches_refuse_before_the_first_one(samples: int, labels: int, batch: int, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        batches(np.zeros(samples), np.zeros(labels, int), batch, seed=0, epoch=0)
