"""Max pooling and its gradient in NumPy. Maps are (batch, channels, height, width).

Of equal maxima the first of the window in row-major order counts, as in PyTorch; a NaN counts as the maximum.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..graph import MaxPool2d
from .types import Array


def pool_forward(layer: MaxPool2d, x: Array) -> Array:
    """The maximum of every window."""
    windows = _windows(layer, x, -np.inf)
    return np.take_along_axis(windows, _choice(layer, x)[..., None], axis=4)[..., 0]


def pool_input_gradient(layer: MaxPool2d, x: Array, dy: Array) -> Array:
    """dL/dx: each output gradient goes to the one input that was its window's maximum; overlapping windows add up."""
    (pad_h, pad_w), (stride_h, stride_w) = layer.padding, layer.stride
    batch, channels, height, width = x.shape
    rows, columns = dy.shape[2:]
    choice = _choice(layer, x)
    padded = np.zeros((batch, channels, height + 2 * pad_h, width + 2 * pad_w), x.dtype)
    for place, (i, j) in enumerate(np.ndindex(layer.kernel_size)):
        last_row, last_column = i + (rows - 1) * stride_h, j + (columns - 1) * stride_w
        taken = np.where(choice == place, dy, 0)
        padded[:, :, i : last_row + 1 : stride_h, j : last_column + 1 : stride_w] += taken
    return np.ascontiguousarray(padded[:, :, pad_h : pad_h + height, pad_w : pad_w + width])


def _choice(layer: MaxPool2d, x: Array) -> Array:
    """Row-major place of the maximum within its window, for every output."""
    chosen = _windows(layer, x, -np.inf).argmax(axis=4)
    # Where all inputs of a window are -inf its padding ties with them, and the first real input must win.
    real = _windows(layer, np.ones_like(x, dtype=bool), False)
    is_real = np.take_along_axis(real, chosen[..., None], axis=4)[..., 0]
    return np.where(is_real, chosen, real.argmax(axis=4))


def _windows(layer: MaxPool2d, x: Array, pad_value: float | bool) -> Array:
    """(batch, channels, output rows, output columns, places of the window) of the padded input."""
    (pad_h, pad_w), (stride_h, stride_w) = layer.padding, layer.stride
    padded = np.pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)), constant_values=pad_value)
    windows = sliding_window_view(padded, layer.kernel_size, axis=(2, 3))[:, :, ::stride_h, ::stride_w]
    return windows.reshape(*windows.shape[:4], -1)
