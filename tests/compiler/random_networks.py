"""Random networks that the compiler has to take; the gateware's tests use them too."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.graph import Conv2d, GraphError, Layer, Linear, MaxPool2d, ReLU, Sequential, Shape
from tests.compiler.networks import Network, classifier


def random_network(seed: int) -> Network:
    """A network of one to four blocks on a small map, the same for the same seed."""
    generator = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(generator.integers(low, high + 1))

    shape: Shape = (pick(1, 12), pick(1, 14), pick(1, 14))
    layers: list[Layer] = []
    for _ in range(pick(1, 4)):
        channels = Sequential(*layers, input_shape=shape).output_shape[0] if layers else shape[0]
        kernel = (pick(1, 5), pick(1, 5))
        padding = (pick(0, kernel[0] - 1), pick(0, kernel[1] - 1))
        block: list[Layer] = [
            Conv2d(channels, pick(1, 20), kernel, (pick(1, 3), pick(1, 3)), padding, bias=bool(pick(0, 1)))
        ]
        window = (pick(1, 3), pick(1, 3))
        pool = MaxPool2d(window, (pick(1, 3), pick(1, 3)), (pick(0, window[0] // 2), pick(0, window[1] // 2)))
        block += [[], [ReLU()], [pool], [ReLU(), pool], [pool, ReLU()]][pick(0, 4)]
        try:
            Sequential(*layers, *block, input_shape=shape)
        except GraphError:  # the map has become too small for this block
            continue
        layers += block
    if not any(isinstance(layer, Conv2d) for layer in layers):
        layers = [Conv2d(shape[0], 3, 1)]
    model = classifier(*layers, input_shape=shape, classes=pick(2, 9))
    if pick(0, 2) == 0:
        hidden = model.layers[-1]
        assert isinstance(hidden, Linear)
        model = Sequential(*model.layers, ReLU(), Linear(hidden.out_features, 3), input_shape=shape)
    return Network(model, pick(1, 5))
