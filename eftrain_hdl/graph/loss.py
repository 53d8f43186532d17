"""Softmax with cross-entropy: its place in the description, and its arithmetic on the host."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind

from .errors import GraphError
from .sequential import Sequential


@dataclass(frozen=True)
class CrossEntropyLoss:
    """Log-softmax and negative log-likelihood, averaged over the batch (PyTorch's default reduction)."""

    def classes(self, model: Sequential) -> int:
        """How many classes ``model`` tells apart; GraphError unless its last layer delivers a feature vector."""
        check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
        if len(model.output_shape) != 1:
            raise GraphError(
                f"{model[-1]}: output_shape={model.output_shape}: "
                "CrossEntropyLoss needs a feature vector: append Flatten()"
            )
        return model.output_shape[0]


def cross_entropy(logits: NDArray[Any], labels: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Mean cross-entropy of ``logits`` (batch, classes) for ``labels`` (batch,), and its gradient.

    Returns (loss, dlogits): dlogits has the shape and the floating type of ``logits``; the arithmetic in between is
    float64. Logits that are not finite give a NaN loss. Raises TypeError for types, ValueError for shapes and labels.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if not np.issubdtype(logits.dtype, np.floating):
        raise TypeError(f"logits have dtype {logits.dtype}: expected a floating type")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels have dtype {labels.dtype}: expected integers")
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits have shape {logits.shape}: expected (batch, classes), neither of them 0")
    batch, classes = logits.shape
    if labels.shape != (batch,):
        raise ValueError(f"labels have shape {labels.shape}: expected ({batch},), one for each row of logits")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels range from {labels.min()} to {labels.max()}: expected 0 to {classes - 1}")

    rows = np.arange(batch)
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf: the NaN that results is the report
        shifted = wide - wide.max(axis=1, keepdims=True)
        log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_softmax[rows, labels].mean()
    dlogits = np.exp(log_softmax)
    dlogits[rows, labels] -= 1
    return float(loss), (dlogits / batch).astype(logits.dtype)
