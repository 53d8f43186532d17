"""Random forward graphs with branches, shared parameters and several outputs."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.ir import Add, AddBias, Array, Convolution, Graph, GraphBuilder, MaxPool, Rectify, Reshape, Value

_CHANNELS = 2
_SHAPE = (_CHANNELS, 4, 5)


def random_graph(seed: int) -> Graph:
    """Three to ten operations on maps of one shape, each on any values that there are; the same for the same seed.

    Whatever nobody reads is an output; now and then something that is read is one as well.
    """
    generator = np.random.default_rng(seed)
    builder = GraphBuilder()
    values = [builder.input("input", _SHAPE)]
    weights: list[Value] = []
    unread: dict[Value, None] = {}

    def pick(low: int, high: int) -> int:
        return int(generator.integers(low, high + 1))

    def any_value() -> Value:
        value = values[max(pick(0, len(values) - 1), pick(0, len(values) - 1))]
        unread.pop(value, None)
        return value

    for number in range(pick(3, 10)):
        with builder.layer(str(number), "Random"):
            kind = pick(0, 5) if number else 0
            if kind < 2:
                if not weights or pick(0, 2):
                    weights.append(builder.parameter("weight", (_CHANNELS, _CHANNELS, 3, 3)))
                    weight = weights[-1]
                else:
                    weight = weights[pick(0, len(weights) - 1)]
                value = builder.add(Convolution((3, 3), (1, 1), (1, 1)), any_value(), weight)
            elif kind == 2:
                value = builder.add(AddBias(), any_value(), builder.parameter("bias", (_CHANNELS,)))
            elif kind == 3:
                value = builder.add((Rectify(), MaxPool((3, 3), (1, 1), (1, 1)))[pick(0, 1)], any_value())
            elif kind == 4:
                flat = builder.add(Reshape((_SHAPE[0] * _SHAPE[1] * _SHAPE[2],)), any_value())
                value = builder.add(Reshape(_SHAPE), flat)
            else:
                value = builder.add(Add(), any_value(), any_value())
            values.append(value)
            unread[value] = None
    return builder.finish([value for value in values[1:] if value in unread or pick(0, 5) == 0])


def random_values(graph: Graph, seed: int, batch: int = 2) -> dict[str, Array]:
    """Arrays for all inputs of ``graph``."""
    generator = np.random.default_rng(seed)
    return {
        value.name: generator.standard_normal(((batch,) if value.batched else ()) + value.shape)
        for value in graph.inputs
    }


def output_gradients(graph: Graph) -> dict[str, str]:
    """A name for the gradient of every output."""
    return {value.name: f"d.{value.name}" for value in graph.outputs}
