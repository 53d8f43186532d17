"""How tensors lie in DRAM: NumPy arrays to 32-bit words and back. Padding lanes are zero and stay zero.

Each layout has ``words`` (its size in 32-bit words), ``pack`` (a logical array to a flat array of 32-bit words) and
``unpack`` (the reverse).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class MapLayout:
    """Feature maps: [image][channel tile][row][column][lane].

    ``pack`` takes (batch, channels, rows, columns), or anything of that many elements in that order, such as flattened
    features; ``unpack`` returns that shape. ``dtype`` is float32, or uint32 for pooling indices.
    """

    batch: int
    channels: int
    rows: int
    columns: int
    lanes: int
    dtype: Any = np.float32

    @property
    def tiles(self) -> int:
        """Channel tiles."""
        return -(-self.channels // self.lanes)

    @property
    def vectors(self) -> int:
        """Lane vectors of one image."""
        return self.tiles * self.rows * self.columns

    @property
    def words(self) -> int:
        return self.batch * self.vectors * self.lanes

    def pack(self, array: Array) -> Array:
        array = np.asarray(array, self.dtype).reshape(self.batch, self.channels, self.rows, self.columns)
        out = np.zeros((self.batch, self.tiles * self.lanes, self.rows, self.columns), self.dtype)
        out[:, : self.channels] = array
        out = out.reshape(self.batch, self.tiles, self.lanes, self.rows, self.columns)
        return np.ascontiguousarray(out.transpose(0, 1, 3, 4, 2)).reshape(-1)

    def unpack(self, words: Array) -> Array:
        shape = (self.batch, self.tiles, self.rows, self.columns, self.lanes)
        array = np.asarray(words).view(self.dtype).reshape(shape).transpose(0, 1, 4, 2, 3)
        array = array.reshape(self.batch, self.tiles * self.lanes, self.rows, self.columns)
        return np.ascontiguousarray(array[:, : self.channels])


@dataclass(frozen=True)
class PlanarLayout:
    """Input images with fewer channels than lanes: [image][channel][column phase][row][position in the phase].

    Column ``x`` belongs to phase ``(x + padding) % stride`` and is element ``(x + padding) // stride - padding //
    stride`` of its row there. ``segment`` is the length of such a row, a multiple of the words of a beat. What no
    column
    fills is zero.
    """

    batch: int
    channels: int
    rows: int
    columns: int
    stride: int
    padding: int
    beat: int

    @property
    def segment(self) -> int:
        """Words of one row of one phase."""
        last = (self.columns - 1 + self.padding) // self.stride - self.padding // self.stride
        return -(-(last + 1) // self.beat) * self.beat

    @property
    def words(self) -> int:
        return self.batch * self.channels * self.stride * self.rows * self.segment

    def _place(self) -> tuple[Array, Array]:
        column = np.arange(self.columns) + self.padding
        return column % self.stride, column // self.stride - self.padding // self.stride

    def pack(self, array: Array) -> Array:
        array = np.asarray(array, np.float32).reshape(self.batch, self.channels, self.rows, self.columns)
        out = np.zeros((self.batch, self.channels, self.stride, self.rows, self.segment), np.float32)
        phase, position = self._place()
        out[:, :, phase, :, position] = array.transpose(3, 0, 1, 2)
        return out.reshape(-1)

    def unpack(self, words: Array) -> Array:
        shape = (self.batch, self.channels, self.stride, self.rows, self.segment)
        phase, position = self._place()
        array = np.asarray(words).view(np.float32).reshape(shape)[:, :, phase, :, position]
        return np.ascontiguousarray(array.transpose(1, 2, 3, 0))


@dataclass(frozen=True)
class WeightLayout:
    """Weights of a layer with their bias: per tile of output channels its lane vectors, the bias vector last.

    A vector holds the ``lanes`` output channels of a tile for one (input channel, kernel position); the order is
    [input tile][kh][kw][input lane]. ``input_map`` is (channels, rows, columns): for a convolution rows = columns = 1;
    for a linear layer behind a map, its flattened map, whose positions count as input tiles. With ``phases`` (planar
    first layer) the order is [phase][input channel][kh][kw of the phase], kernel columns filled up with zeros to a
    multiple of ``phases``.

    ``pack`` takes (out channels, in channels, kh, kw), or what a linear layer has, and the bias or None; ``unpack``
    returns both, the weight with the shape ``weight_shape``.
    """

    weight_shape: tuple[int, ...]
    input_map: tuple[int, int, int]
    kernel: tuple[int, int]
    lanes: int
    bias: bool
    phases: int = 0

    @property
    def outputs(self) -> int:
        return self.weight_shape[0]

    @property
    def output_tiles(self) -> int:
        return -(-self.outputs // self.lanes)

    @property
    def input_tiles(self) -> int:
        """Tiles of input channels; channels times phases if planar."""
        if self.phases:
            return self.phases * self.input_map[0]
        channels, rows, columns = self.input_map
        return -(-channels // self.lanes) * rows * columns

    @property
    def input_lanes(self) -> int:
        """Input channels of a tile: the lanes, fewer where a single tile is not full, 1 if planar."""
        if self.phases:
            return 1
        return self.lanes if self.input_tiles > 1 else self.input_map[0]

    @property
    def tap_columns(self) -> int:
        """Kernel columns stored per input tile."""
        return -(-self.kernel[1] // self.phases) if self.phases else self.kernel[1]

    @property
    def tile_vectors(self) -> int:
        """Weight vectors of one output tile, without the bias."""
        return self.input_tiles * self.kernel[0] * self.tap_columns * self.input_lanes

    @property
    def pitch(self) -> int:
        """Vectors from one output tile to the next."""
        return self.tile_vectors + self.bias

    @property
    def words(self) -> int:
        return self.output_tiles * self.pitch * self.lanes

    def pack(self, weight: Array, bias: Array | None = None) -> Array:
        weight = np.asarray(weight, np.float32)
        out = np.zeros((self.output_tiles * self.lanes, self.pitch), np.float32)
        out[: self.outputs, : self.tile_vectors] = self._to_rows(weight)
        if self.bias:
            if bias is None:
                raise ValueError("the layer has a bias: give one")
            out[: self.outputs, -1] = bias
        tiled = out.reshape(self.output_tiles, self.lanes, self.pitch).transpose(0, 2, 1)
        return np.ascontiguousarray(tiled).reshape(-1)

    def unpack(self, words: Array) -> tuple[Array, Array | None]:
        array = np.asarray(words).view(np.float32).reshape(self.output_tiles, self.pitch, self.lanes)
        rows = array.transpose(0, 2, 1).reshape(-1, self.pitch)[: self.outputs]
        bias = rows[:, -1].copy() if self.bias else None
        return self._from_rows(rows[:, : self.tile_vectors]), bias

    def _grid(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Padded (output, input channel, row, column, kh, kw) shape, and its order in a row of vectors."""
        channels, rows, columns = self.input_map
        if self.phases:
            return (self.outputs, channels, self.kernel[0], self.tap_columns, self.phases), (0, 4, 1, 2, 3)
        tiles = self.input_tiles // (rows * columns)
        return (self.outputs, tiles, self.input_lanes, rows, columns, *self.kernel), (0, 1, 3, 4, 5, 6, 2)

    def _to_rows(self, weight: Array) -> Array:
        shape, order = self._grid()
        channels, rows, columns = self.input_map
        if self.phases:
            wide = np.zeros((self.outputs, channels, self.kernel[0], self.tap_columns * self.phases), np.float32)
            wide[..., : self.kernel[1]] = weight
        else:
            padded = math.prod(shape[1:3])
            wide = np.zeros((self.outputs, padded, rows, columns, *self.kernel), np.float32)
            wide[:, :channels] = weight.reshape(self.outputs, channels, rows, columns, *self.kernel)
        return wide.reshape(shape).transpose(order).reshape(self.outputs, -1)

    def _from_rows(self, vectors: Array) -> Array:
        shape, order = self._grid()
        ordered = vectors.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
        channels = self.input_map[0]
        if self.phases:
            wide = ordered.reshape(self.outputs, channels, self.kernel[0], -1)[..., : self.kernel[1]]
        else:
            wide = ordered.reshape(self.outputs, -1, *shape[3:])[:, :channels]
        return np.ascontiguousarray(wide).reshape(self.weight_shape)
