"""Layouts: nothing is lost on the way to DRAM and back, and everything is where the documentation says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eftrain_hdl.compiler.layouts import MapLayout, PlanarLayout, WeightLayout

few = st.integers(1, 9)
lanes_of = st.sampled_from([2, 4, 8])


def ramp(*shape: int) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 3), channels=few, rows=few, columns=few, lanes=lanes_of)
def test_maps(batch: int, channels: int, rows: int, columns: int, lanes: int) -> None:
    layout = MapLayout(batch, channels, rows, columns, lanes)
    array = ramp(batch, channels, rows, columns)
    words = layout.pack(array)
    assert words.shape == (layout.words,)
    np.testing.assert_array_equal(layout.unpack(words), array)
    for b, c, r, k in np.ndindex(array.shape):
        place = (((b * layout.tiles + c // lanes) * rows + r) * columns + k) * lanes + c % lanes
        assert words[place] == array[b, c, r, k]
    assert np.count_nonzero(words) == array.size


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 3), rows=few, columns=few, stride=st.integers(1, 4), padding=st.integers(0, 5),
    beat=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_planar(channels: int, rows: int, columns: int, stride: int, padding: int, beat: int) -> None:
    layout = PlanarLayout(2, channels, rows, columns, stride, padding, beat)
    array = ramp(2, channels, rows, columns)
    words = layout.pack(array)
    assert words.shape == (layout.words,) and layout.segment % beat == 0
    np.testing.assert_array_equal(layout.unpack(words), array)
    for b, c, r, k in np.ndindex(array.shape):
        phase, position = (k + padding) % stride, (k + padding) // stride - padding // stride
        place = (((b * channels + c) * stride + phase) * rows + r) * layout.segment + position
        assert words[place] == array[b, c, r, k]
    assert np.count_nonzero(words) == array.size


@settings(max_examples=40, deadline=None)
@given(
    outputs=few,
    channels=few,
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    lanes=lanes_of,
    bias=st.booleans(),
)
def test_convolution_weights(outputs: int, channels: int, kernel: tuple[int, int], lanes: int, bias: bool) -> None:
    weight, offset = ramp(outputs, channels, *kernel), -ramp(outputs) if bias else None
    layout = WeightLayout(weight.shape, (channels, 1, 1), kernel, lanes, bias)
    words = layout.pack(weight, offset)
    back, back_bias = layout.unpack(words)
    np.testing.assert_array_equal(back, weight)
    assert (back_bias is None) if offset is None else np.array_equal(back_bias, offset)
    for m, n, kh, kw in np.ndindex(weight.shape):
        vector = ((n // lanes * kernel[0] + kh) * kernel[1] + kw) * layout.input_lanes + n % lanes
        assert words[(m // lanes * layout.pitch + vector) * lanes + m % lanes] == weight[m, n, kh, kw]


@settings(max_examples=40, deadline=None)
@given(outputs=few, channels=few, rows=st.integers(1, 4), columns=st.integers(1, 4), lanes=lanes_of)
def test_linear_weights_follow_the_map(outputs: int, channels: int, rows: int, columns: int, lanes: int) -> None:
    """Applied to the words of a map they give what PyTorch's order gives."""
    weight, maps = ramp(outputs, channels * rows * columns), ramp(1, channels, rows, columns)
    layout = WeightLayout(weight.shape, (channels, rows, columns), (1, 1), lanes, False)
    np.testing.assert_array_equal(layout.unpack(layout.pack(weight))[0], weight)
    features = MapLayout(1, channels, rows, columns, lanes).pack(maps).reshape(layout.input_tiles, lanes)
    matrix = layout.pack(weight).reshape(layout.output_tiles, layout.input_tiles, layout.input_lanes, lanes)
    ours = np.einsum("tn,mtnl->ml", features[:, : layout.input_lanes].astype(float), matrix.astype(float))
    np.testing.assert_allclose(ours.reshape(-1)[:outputs], weight.astype(float) @ maps.reshape(-1))


@settings(max_examples=40, deadline=None)
@given(
    outputs=few,
    channels=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 7)),
    stride=st.integers(1, 4),
)
def test_planar_weights(outputs: int, channels: int, kernel: tuple[int, int], stride: int) -> None:
    weight = ramp(outputs, channels, *kernel)
    layout = WeightLayout(weight.shape, (channels, 1, 1), kernel, 4, True, stride)
    words = layout.pack(weight, np.zeros(outputs))
    np.testing.assert_array_equal(layout.unpack(words)[0], weight)
    for m, n, kh, kw in np.ndindex(weight.shape):
        vector = ((kw % stride * channels + n) * kernel[0] + kh) * layout.tap_columns + kw // stride
        assert words[(m // 4 * layout.pitch + vector) * 4 + m % 4] == weight[m, n, kh, kw]
    assert np.count_nonzero(words) == weight.size
