"""Convolution and its two gradients in NumPy. Maps are (batch, channels, height, width)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..graph import Conv2d
from .types import Array


def conv_forward(layer: Conv2d, x: Array, weight: Array, bias: Array | None) -> Array:
    """y[b, m, r, c] = bias[m] + sum over n, i, j of weight[m, n, i, j] * x[b, n, r*stride + i, c*stride + j]."""
    y = np.tensordot(_windows(layer, x), weight, axes=([1, 4, 5], [1, 2, 3]))
    if bias is not None:
        y += bias
    return np.ascontiguousarray(np.moveaxis(y, 3, 1))


def conv_input_gradient(layer: Conv2d, x: Array, weight: Array, dy: Array) -> Array:
    """dL/dx: every output gradient goes back, tap by tap, to the inputs that its window covered."""
    (pad_h, pad_w), (stride_h, stride_w) = layer.padding, layer.stride
    batch, channels, height, width = x.shape
    rows, columns = dy.shape[2:]
    padded = np.zeros((channels, batch, height + 2 * pad_h, width + 2 * pad_w), x.dtype)
    for i, j in np.ndindex(layer.kernel_size):
        tap = np.tensordot(weight[:, :, i, j], dy, axes=(0, 1))
        last_row, last_column = i + (rows - 1) * stride_h, j + (columns - 1) * stride_w
        padded[:, :, i : last_row + 1 : stride_h, j : last_column + 1 : stride_w] += tap
    inner = padded[:, :, pad_h : pad_h + height, pad_w : pad_w + width]
    return np.ascontiguousarray(inner.swapaxes(0, 1))


def conv_weight_gradient(layer: Conv2d, x: Array, dy: Array) -> Array:
    """dL/dweight: every input window times the gradient of the output it made, over all outputs of the batch."""
    return np.tensordot(dy, _windows(layer, x), axes=([0, 2, 3], [0, 2, 3]))


def _windows(layer: Conv2d, x: Array) -> Array:
    """View (batch, channels, output rows, output columns, kernel height, kernel width) of the zero-padded input."""
    (pad_h, pad_w), (stride_h, stride_w) = layer.padding, layer.stride
    padded = np.pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    return sliding_window_view(padded, layer.kernel_size, axis=(2, 3))[:, :, ::stride_h, ::stride_w]
