"""Training data: one built-in set, or an .npz file; and shuffled batches."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer, shown
from eftrain_hdl.files import read_arrays

_NAMES = ("x", "y", "x_test", "y_test")
_TEST_FRACTION = 0.2
_SPLIT_SEED = 0
MOST_CLASSES = 65536  # a label beyond is damage, and would ask for a last layer of that size


class DataError(ValueError):
    """Data that cannot be trained on; the message names the file, if there is one, the array and the cause."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples and labels: x float32 (samples, channels, height, width) or (samples, features), y int64 (samples,)."""

    name: str
    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: what `Sequential` takes."""
        return self.x_train.shape[1:]


def load_data(source: str | Path) -> Dataset:
    """The data set called ``source``: 'digits', or the path of an .npz file.

    'digits': scikit-learn's 1797 scanned digits, (1, 8, 8), ten classes, shifted and scaled to zero mean and unit
    variance over the training part. ImportError without scikit-learn.

    An .npz file holds ``x`` (samples, channels, height, width) or (samples, features), floating point and already
    scaled, and ``y`` (samples,), integer labels from 0. ``x_test`` and ``y_test`` are the test part if present;
    otherwise a fifth of the samples is. The split is random, the same in every run.

    Raises OSError if there is no such file, or it cannot be read, and DataError for a file or arrays that do not fit
    this: damaged ones, and arrays of Python objects among those four.
    """
    check_kind("source", source, (str, os.PathLike), "'digits' or the path of an .npz file")
    if str(source) == "digits":
        return _digits()
    path = Path(source)
    if path.suffix != ".npz":
        raise DataError(f"{source or repr(source)}: unknown data set: expected 'digits' or the path of an .npz file")
    return _from_file(path)


@dataclass(frozen=True)
class Position:
    """Where a training is in its data: it decides all batches that come.

    Attributes
    ----------
    seed : int
        Decides the order of the samples in every epoch.
    epoch : int
        Epochs that are over.
    taken : int
        Samples of the present epoch that were trained on.
    samples : int
        Length of the data set of the latest batch; 0 before the first one.

    Raises ValueError for values that no training reaches, TypeError for what is no integer.
    """

    seed: int
    epoch: int = 0
    taken: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "epoch", "taken", "samples"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 0))
        if self.taken > self.samples:
            raise ValueError(
                f"no position in data: seed {self.seed}, epoch {self.epoch}, {self.taken} of {self.samples} samples"
            )


def batches(
    x: NDArray[Any], y: NDArray[Any], batch: int, seed: int, epoch: int, taken: int = 0
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Batches of exactly ``batch`` samples in an order that ``seed`` and ``epoch`` determine.

    The first ``taken`` samples of the order are passed over; those left over at the end are dropped, in another epoch
    others. Raises DataError unless 1 <= ``batch`` <= samples and ``x`` and ``y`` are equally long.
    """
    for name, values in (("x", x), ("y", y)):
        if not isinstance(values, np.ndarray) or not values.ndim:
            raise DataError(f"{name}={shown(values)}: expected an array of samples or labels")
    batch, taken = integer("batch", batch, 1, error=DataError), integer("taken", taken, 0)
    seed, epoch = integer("seed", seed, 0), integer("epoch", epoch, 0)
    if len(x) != len(y):
        raise DataError(f"x has {len(x)} samples but y has {len(y)} labels")
    if batch > len(x):
        raise DataError(f"batch={batch}: must be from 1 to the number of samples, {len(x)}")
    order = np.random.default_rng([seed, epoch]).permutation(len(x))
    starts = range(taken, len(x) - batch + 1, batch)
    return ((x[chosen], y[chosen]) for chosen in (order[start : start + batch] for start in starts))


def batches_from(
    position: Position, x: NDArray[Any], y: NDArray[Any], batch: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any], Position]]:
    """Batches without end, epoch after epoch, each with the position behind it. Raises what `batches` raises.

    In a data set of another length than before, the next epoch begins: the order of the present one means nothing
    there.
    """
    seed, epoch, taken, samples = position.seed, position.epoch, position.taken, len(x)
    if taken and (position.samples != samples or samples - taken < batch):
        epoch, taken = epoch + 1, 0
    while True:
        for some, labels in batches(x, y, batch, seed, epoch, taken):
            taken += batch
            over = samples - taken < batch
            yield some, labels, Position(seed, epoch + over, 0 if over else taken, samples)
        epoch, taken = epoch + 1, 0


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the data set 'digits' comes with scikit-learn: pip install scikit-learn") from error
    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 1, 8, 8)
    train, test = _split(len(x))
    mean, deviation = x[train].mean(), x[train].std()
    x = ((x - mean) / deviation).astype(np.float32)
    y = labels.astype(np.int64)
    return Dataset("digits", x[train], y[train], x[test], y[test], classes=10)


def _from_file(path: Path) -> Dataset:
    arrays = read_arrays(path, DataError, names=_NAMES)
    has_test = "x_test" in arrays or "y_test" in arrays
    for name in _NAMES if has_test else _NAMES[:2]:
        if name not in arrays:
            raise DataError(f"{path}: has no array {name}")
    x = _samples(path, "x", arrays["x"])
    y = _labels(path, "y", arrays["y"], len(x))
    if not has_test:
        if len(x) < 2:
            raise DataError(f"{path}: x has 1 sample: at least 2 are needed to split off a test part")
        train, test = _split(len(x))
        x, x_test, y, y_test = x[train], x[test], y[train], y[test]
    else:
        x_test = _samples(path, "x_test", arrays["x_test"])
        y_test = _labels(path, "y_test", arrays["y_test"], len(x_test))
        if x_test.shape[1:] != x.shape[1:]:
            raise DataError(f"{path}: x_test has samples of shape {x_test.shape[1:]} but x of {x.shape[1:]}")
    classes = int(max(y.max(), y_test.max())) + 1
    return Dataset(path.stem, x, y, x_test, y_test, classes)


def _samples(path: Path, name: str, x: NDArray[Any]) -> NDArray[np.float32]:
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{path}: {name} has dtype {x.dtype}: expected floating point, already scaled")
    if x.ndim not in (2, 4) or 0 in x.shape:
        raise DataError(
            f"{path}: {name} has shape {x.shape}: expected (samples, channels, height, width) or (samples, features)"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is reported just below
        x = x.astype(np.float32)
    bad = ~np.isfinite(x)
    if bad.any():
        raise DataError(f"{path}: {name} has {bad.sum()} NaN or infinite values (as float32), one at {_first(bad)}")
    return x


def _labels(path: Path, name: str, y: NDArray[Any], samples: int) -> NDArray[np.int64]:
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: {name} has dtype {y.dtype}: expected integer labels")
    if y.shape != (samples,):
        raise DataError(f"{path}: {name} has shape {y.shape}: expected ({samples},), one label for each sample")
    if y.min() < 0:
        raise DataError(f"{path}: {name} has the label {y.min()}: labels start at 0")
    if y.max() >= MOST_CLASSES:
        raise DataError(f"{path}: {name} has the label {y.max()}: labels must be below {MOST_CLASSES}")
    return y.astype(np.int64)


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(int(index) for index in np.unravel_index(mask.argmax(), mask.shape))


def _split(samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training and of the test samples."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(samples)
    tests = max(1, round(samples * _TEST_FRACTION))
    return order[tests:], order[:tests]
