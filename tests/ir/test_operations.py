"""What operations mean, against definitions written as loops, and at the corners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.ir import (
    OPERATIONS,
    Add,
    AddBias,
    Convolution,
    ConvolutionInputGradient,
    ConvolutionWeightGradient,
    GraphBuilder,
    GraphError,
    Mask,
    MaxPool,
    Operation,
    Rectify,
    Reshape,
    SumPositions,
    Unpool,
    Value,
    operations,
)
from eftrain_hdl.ir.values import Role

NOTHING = np.zeros(0)


def test_the_list_has_every_file() -> None:
    files = sorted(path.stem for path in Path(operations.__file__).parent.glob("[a-z]*.py"))
    assert sorted(kind.__module__.rpartition(".")[2] for kind in OPERATIONS) == files
    assert {kind.__name__ for kind in OPERATIONS} | {"OPERATIONS"} == set(operations.__all__)


def apply(operation: Operation, *inputs: Any) -> Any:
    outputs = operation.evaluate(tuple(np.asarray(one, np.float64) for one in inputs), NOTHING)
    return outputs[0] if len(outputs) == 1 else outputs


@pytest.mark.parametrize("seed", range(10))
def test_convolution_is_what_it_is_defined_to_be(seed: int) -> None:
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    kernel, stride, padding = (tuple(map(int, generator.integers(low, 4, 2))) for low in (1, 1, 0))
    x = generator.standard_normal((2, 3, *generator.integers(4, 7, 2)))
    w = generator.standard_normal((2, 3, *kernel))
    y = apply(Convolution(kernel, stride, padding), x, w)
    for b, m, r, c in np.ndindex(y.shape):
        total = 0.0
        for n, i, j in np.ndindex(w.shape[1:]):
            row, column = r * stride[0] + i - padding[0], c * stride[1] + j - padding[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += w[m, n, i, j] * x[b, n, row, column]
        assert y[b, m, r, c] == pytest.approx(total, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_pooling_takes_the_first_maximum_of_what_is_real(seed: int) -> None:
    """Ties, NaN, minus infinity, padding, overlaps and gaps."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    kernel, stride = (tuple(map(int, generator.integers(1, 4, 2))) for _ in range(2))
    padding = tuple(int(generator.integers(0, side // 2 + 1)) for side in kernel)
    x = generator.choice([-np.inf, -1, -0.0, 0.0, 1, np.nan], (2, 2, *generator.integers(3, 7, 2)))
    operation = MaxPool(kernel, stride, padding)
    maxima, index = apply(operation, x)
    dy = generator.standard_normal(maxima.shape)
    expected = np.zeros_like(x)
    for b, n, r, c in np.ndindex(maxima.shape):
        best, place = None, None
        for i, j in np.ndindex(kernel):
            row, column = r * stride[0] + i - padding[0], c * stride[1] + j - padding[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                here = x[b, n, row, column]
                if best is None or here > best or np.isnan(here) and not np.isnan(best):
                    best, place = here, (row, column)
                    assert_index = i * kernel[1] + j
        assert place is not None
        np.testing.assert_array_equal(maxima[b, n, r, c], best)
        assert index[b, n, r, c] == assert_index
        expected[(b, n, *place)] += dy[b, n, r, c]
    unpool = Unpool(kernel, stride, padding, x.shape[2:])
    np.testing.assert_allclose(unpool.evaluate((dy, index), NOTHING)[0], expected, rtol=1e-14)


def test_the_rectifier_at_its_corners() -> None:
    x = [[-1.0, -0.0, 0.0, 1e-300, np.inf, -np.inf, np.nan]]
    y = apply(Rectify(), x)
    np.testing.assert_array_equal(y, [[0, 0, 0, 1e-300, np.inf, 0, np.nan]])
    np.testing.assert_array_equal(apply(Mask(), np.arange(1, 8)[None], y), [[0, 0, 0, 4, 5, 0, 0]])


def test_sums_and_shapes() -> None:
    x = np.arange(24).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(apply(SumPositions(), x), [x[:, k].sum() for k in range(3)])
    np.testing.assert_array_equal(apply(SumPositions(), x[:, :, 0, 0]), x[:, :, 0, 0].sum(0))
    np.testing.assert_array_equal(apply(Reshape((12,)), x), x.reshape(2, 12))


def value(*shape: int, batched: bool = True, role: Role = Role.ACTIVATION, name: str = "v") -> Value:
    return Value(name, shape, role, batched)


W = value(4, 3, 2, 2, batched=False, role=Role.PARAMETER, name="w")
MAP, INDEX = value(3, 6, 6), value(3, 3, 3, role=Role.INDEX, name="index")
GRADIENT = ConvolutionInputGradient((2, 2), (1, 1), (0, 0), (6, 6))
WRONG: list[tuple[Operation, list[Value], str]] = [
    (Convolution((2, 2)), [MAP], "reads x, w, but 1 values are given"),
    (
        Convolution((2, 2)),
        [value(3, 6), W],
        r"x has to be \(batch, channels, rows, columns\), but v is \(b",
    ),
    (Convolution((2, 2)), [value(2, 6, 6), W], r"v has 2 channels, but w \(4, 3, 2, 2\) is for 3"),
    (Convolution((2, 2)), [MAP, value(4, 12)], r"w has to be one for all samples, but v is \(batch, 4, 12\)"),
    (Convolution((3, 2)), [value(2, 6, 6), value(4, 13, batched=False)], r"w .* channels of 3x2, but is \(4, 13\)"),
    (Convolution((2, 2), (1, 0)), [MAP, W], r"stride=\(1, 0\) has to be at least 1"),
    (Convolution((2, 2), padding=(-1, 0)), [MAP, W], r"padding=\(-1, 0\) has to be at least 0"),
    (
        Convolution((12, 1)),
        [value(1, 6, 6), W],
        r"kernel=\(12, 1\) is larger than the map \(6, 6\) with its padding of \(0, 0\)",
    ),
    (GRADIENT, [value(4, 5, 4), W], r"a place for each of \(5, 5\) windows: v is \(batch, 4, 5, 4\)"),
    (GRADIENT, [value(3, 5, 5), W], r"v has 3 channels, but w \(4, 3, 2, 2\) makes 4"),
    (
        ConvolutionWeightGradient((1, 1), (1, 1), (0, 0), (4, 2)),
        [MAP, value(4, 6, 6)],
        r"of \(4, 2\) are for 2",
    ),
    (ConvolutionWeightGradient((1, 1), (1, 1), (0, 0), (4, 3)), [MAP, value(5, 6, 6)], r"weights of \(4, 3\) another"),
    (ConvolutionWeightGradient((1, 1), (1, 1), (0, 0), (4, 3)), [MAP, value(4, 6, 5)], r"each of \(6, 6\) windows"),
    (AddBias(), [MAP, value(4, batched=False, name="b")], r"b has to be \(3,\), one for each channel, but b is \(4,\)"),
    (AddBias(), [MAP, value(3, name="b")], r"b has to be \(3,\), one for each channel, but b is \(batch, 3\)"),
    (AddBias(), [value(3, batched=False)] * 2, r"x has to be \(batch, channels, ...\), but v is \(3,\)"),
    (SumPositions(), [value(3, batched=False)], r"x has to be \(batch, channels, ...\), but v is \(3,\)"),
    (MaxPool((3, 3), (1, 1), (2, 1)), [MAP], r"padding=\(2, 1\) is more than half of kernel=\(3, 3\)"),
    (MaxPool((2, 2), (2, 2)), [INDEX], "x cannot be an INDEX, which index is"),
    (
        Unpool((2, 2), (2, 2), (0, 0), (6, 6)),
        [value(3, 3, 3), value(3, 3, 3)],
        "index has to be an INDEX, but v is A",
    ),
    (Unpool((2, 2), (2, 2), (0, 0), (6, 6)), [value(2, 3, 3), INDEX], "dy and index have to be of one shape"),
    (Unpool((2, 2), (2, 2), (0, 0), (8, 6)), [value(3, 3, 3), INDEX], r"each of \(4, 3\) windows"),
    (Reshape((5,)), [value(3, 2)], r"v \(batch, 3, 2\) has not as many elements as shape=\(5,\)"),
    (Reshape((6,)), [value(3, 2, batched=False)], r"x has to be a batch, but v is \(3, 2\)"),
    (Add(), [value(3), value(3, batched=False)], r"of one shape, but v is \(batch, 3\) and v is \(3,\)"),
    (Mask(), [value(3), value(4)], "dy and y have to be of one shape"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_rules_are_named(number: int) -> None:
    operation, inputs, rule = WRONG[number]
    with pytest.raises(GraphError, match=rule):
        operation.check(tuple(inputs))


def test_the_builder_names_layer_and_operation() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (3, 6, 6))
    with builder.layer("2", "Outer"), builder.layer("body.0", "Conv2d"):
        w = builder.parameter("weight", (4, 2, 3, 3))
        with pytest.raises(GraphError) as error:
            builder.add(Convolution((3, 3)), x, w)
    assert str(error.value) == (
        "layer 2.body.0 (Conv2d), FP: Convolution[kernel=(3, 3), stride=(1, 1), padding=(0, 0)]: "
        "x has 3 channels, but 2.body.0.weight (4, 2, 3, 3) is for 2"
    )
    with pytest.raises(GraphError, match=r"a node needs an origin: add it within GraphBuilder.layer\(name, kind\)"):
        builder.add(Rectify(), x)
    with (
        builder.layer("2.body", "Other"),
        pytest.raises(GraphError, match="PARAMETER 2.body.0.weight: the name is t"),
    ):
        builder.parameter("0.weight", (1,))


def test_names_of_nodes_are_free_ones() -> None:
    builder = GraphBuilder()
    x: Value = builder.input("x", (2, 4, 4))
    with builder.layer("0", "Test"):
        for _ in range(3):
            x = builder.add(MaxPool((1, 1), (1, 1)), x)
    values = [[one.name for one in node.outputs] for node in builder.finish([x]).nodes]
    assert values == [[f"0.max_pool{k}", f"0.max_pool{k}.index"] for k in ("", ".2", ".3")]
