"""Checks of what users give a trainer; every message names the argument, what came and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, shown
from eftrain_hdl.graph import Sequential, check_parameters

__all__ = ["finite_parameters", "labels_array", "samples_array"]

Array = NDArray[Any]


def samples_array(x: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Samples (count, *shape) as float32; TypeError for another type, ValueError for shape and values."""
    x = _array("x", x)
    if x.dtype.kind != "f":
        raise TypeError(f"x has dtype {x.dtype}: expected a floating type")
    if x.shape[1:] != shape or x.ndim == 0 or len(x) == 0:
        raise ValueError(f"x has shape {x.shape}: expected (count, {', '.join(map(str, shape))})")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise ValueError(f"x has {int((~np.isfinite(x)).sum())} values that are not finite as float32")
    return x


def labels_array(y: Any, samples: int, classes: int) -> Array:
    """Labels (samples,); TypeError unless they are integers, ValueError for shape and range."""
    y = _array("y", y)
    if y.dtype.kind not in "iu":
        raise TypeError(f"y has dtype {y.dtype}: expected integers")
    if y.shape != (samples,):
        raise ValueError(f"y has shape {y.shape}: expected ({samples},), one label for each sample")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels range from {y.min()} to {y.max()}: expected 0 to {classes - 1}")
    return y


def finite_parameters(
    model: Sequential, values: Mapping[str, Any], what: str = ""
) -> dict[str, NDArray[np.float32]]:
    """Arrays of a model's parameters as float32, each named ``what`` and its own name in messages.

    TypeError unless they are real numbers, GraphError for names or shapes that are not the model's, ValueError for
    values that are not finite.
    """
    check_kind("parameters", values, Mapping, "a dict of arrays by name")
    given = {name: _array(f"{what}{name}", value) for name, value in values.items()}
    for name, array in given.items():
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{what}{name} has dtype {array.dtype}: expected real numbers")
    check_parameters(model, given)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused just below
        arrays = {name: np.array(given[name], np.float32) for name in model.parameter_shapes()}
    for name, array in arrays.items():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise ValueError(f"{what}{name} has {bad} of {array.size} values that are not finite as float32")
    return arrays


def _array(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):  # what is masked would count
        raise TypeError(f"{name} is a masked array: expected one without a mask, such as its filled(0)")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is no array, but {shown(value)}: {error}") from None
