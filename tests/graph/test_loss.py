"""The host's cross-entropy: values, gradients, extremes and refusals."""

import math
import re
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import cross_entropy


def test_equal_logits_cost_the_log_of_the_classes() -> None:
    loss, dlogits = cross_entropy(np.zeros((2, 4)), np.array([1, 3]))
    assert loss == pytest.approx(math.log(4), rel=1e-15)
    np.testing.assert_allclose(dlogits, np.array([[1, -3, 1, 1], [1, 1, 1, -3]]) / 8, rtol=1e-15)


def test_gradient_is_the_slope_of_the_loss() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 5)) * 3
    labels = np.array([4, 0, 2])
    _, dlogits = cross_entropy(logits, labels)
    for place in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[place] += 1e-5
        down[place] -= 1e-5
        slope = (cross_entropy(up, labels)[0] - cross_entropy(down, labels)[0]) / 2e-5
        assert dlogits[place] == pytest.approx(slope, abs=1e-9)


def test_large_logits_neither_overflow_nor_vanish() -> None:
    loss, dlogits = cross_entropy(np.array([[1e4, 0.0], [1e4, 0.0]]), np.array([0, 1]))
    assert loss == pytest.approx(5e3, rel=1e-15)
    np.testing.assert_array_equal(dlogits, [[0, 0], [0.5, -0.5]])


def test_gradient_keeps_the_type_of_the_logits_and_float64_precision_inside() -> None:
    logits = np.random.default_rng(1).normal(size=(4, 10)).astype(np.float32)
    labels = np.array([1, 2, 3, 4])
    loss, dlogits = cross_entropy(logits, labels)
    wide_loss, wide_dlogits = cross_entropy(logits.astype(np.float64), labels)
    assert dlogits.dtype == np.float32
    assert wide_dlogits.dtype == np.float64
    assert loss == wide_loss
    np.testing.assert_array_equal(dlogits, wide_dlogits.astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_show_in_the_loss(value: float) -> None:
    loss, dlogits = cross_entropy(np.array([[0.0, value], [0.0, 1.0]]), np.array([0, 0]))
    assert math.isnan(loss)
    assert np.isnan(dlogits[0]).all()
    assert np.isfinite(dlogits[1]).all()


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (np.zeros((2, 3), int), [0, 1], TypeError, "logits have dtype int64: expected a floating type"),
        (np.zeros((2, 3)), [0.0, 1.0], TypeError, "labels have dtype float64: expected integers"),
        (np.zeros(3), [0], ValueError, "logits have shape (3,): expected (batch, classes), neither of them 0"),
        (
            np.zeros((0, 3)),
            np.zeros(0, int),
            ValueError,
            "logits have shape (0, 3): expected (batch, classes), neither of them 0",
        ),
        (
            np.zeros((2, 3)),
            [0],
            ValueError,
            "labels have shape (1,): expected (2,), one for each row of logits",
        ),
        (np.zeros((2, 3)), [0, 3], ValueError, "labels range from 0 to 3: expected 0 to 2"),
        (np.zeros((2, 3)), [-1, 2], ValueError, "labels range from -1 to 2: expected 0 to 2"),
    ],
)
def test_refusals(logits: Any, labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        cross_entropy(logits, np.asarray(labels))
