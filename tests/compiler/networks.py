"""Small networks that together reach every shape the compiler has to handle; the gateware's tests use them too."""

from __future__ import annotations

from dataclasses import dataclass

from eftrain_hdl.graph import Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Shape


@dataclass(frozen=True)
class Network:
    """A model and the batch it is trained with."""

    model: Sequential
    batch: int


def classifier(*layers: Layer, input_shape: Shape, classes: int) -> Sequential:
    """``layers`` with a linear layer behind that tells ``classes`` apart."""
    features = Sequential(*layers, Flatten(), input_shape=input_shape).output_shape[0]
    return Sequential(*layers, Flatten(), Linear(features, classes), input_shape=input_shape)


def _network(*layers: Layer, shape: Shape, classes: int, batch: int) -> Network:
    return Network(classifier(*layers, input_shape=shape, classes=classes), batch)


C, P = Conv2d, MaxPool2d

NETWORKS: dict[str, Network] = {
    "lenet": _network(
        C(1, 8, 3, padding=1), ReLU(), P(2), C(8, 16, 3, padding=1), ReLU(), P(2), shape=(1, 8, 8), classes=10, batch=4
    ),
    "one_pixel": _network(C(1, 4, 1), shape=(1, 1, 1), classes=3, batch=1),
    "pointwise_strides": _network(
        C(9, 12, 1, stride=2), ReLU(), C(12, 5, 1, stride=3), ReLU(), shape=(9, 9, 10), classes=3, batch=2
    ),
    "kernel_5_rectangular": _network(
        C(3, 20, 5, stride=(2, 3), padding=(1, 2)), P(3, 2, 1), ReLU(), ReLU(), C(20, 17, (1, 3), stride=2,
        padding=(0, 1)),
        shape=(3, 23, 19), classes=7, batch=2,
    ),
    "kernel_7_stride_4": _network(
        C(2, 5, 7, stride=4, padding=3), ReLU(), C(5, 6, 2, padding=1), P(2, 2, 1), ReLU(),
        shape=(2, 17, 21), classes=4, batch=2,
    ),
    "kernel_11": _network(
        C(3, 6, 11, stride=4, padding=2), ReLU(), P(3, 2), C(6, 9, 5, padding=4), ReLU(), P(3, 2, 1),
        C(9, 9, 3, stride=2, padding=2), shape=(3, 35, 40), classes=4, batch=1,
    ),
    "relu_and_pool_first": Network(
        Sequential(
            ReLU(), P(2), C(3, 5, 3), P(2), P(2, 1), ReLU(), C(5, 6, 1), ReLU(), Flatten(), input_shape=(3, 12, 12)
        ),
        3,
    ),
    "map_2x2": _network(
        C(5, 18, 3, padding=1), ReLU(), C(18, 3, 3, padding=2), ReLU(), P(2), shape=(5, 2, 2), classes=5, batch=5
    ),
    "linear": Network(
        Sequential(
            Linear(37, 50), ReLU(), Linear(50, 21, bias=False), ReLU(), Linear(21, 4, bias=False), input_shape=(37,)
        ),
        6,
    ),
    "flatten_first": Network(
        Sequential(Flatten(), Linear(75, 19), ReLU(), Linear(19, 4), input_shape=(3, 5, 5)), 3
    ),
    "gaps_between_windows": _network(
        C(4, 8, 3, bias=False), P(2, 3), C(8, 8, 3, padding=1), ReLU(), P((1, 3), (2, 3)),
        shape=(4, 14, 14), classes=4, batch=3,
    ),
    "overlapping_windows": _network(
        C(4, 8, 3), ReLU(), P(3, 1, 1), C(8, 8, 3, padding=1), ReLU(), P((3, 2), (1, 2)), P(2),
        shape=(4, 9, 9), classes=4, batch=3,
    ),
    "relu_last": Network(Sequential(C(1, 4, 3), Flatten(), ReLU(), input_shape=(1, 4, 4)), 2),
    "stride_above_kernel": _network(
        C(1, 4, 2, stride=3, padding=1), ReLU(), C(4, 4, 2, stride=3), shape=(1, 16, 16), classes=3, batch=2
    ),
    "padding_all_but_one": _network(
        C(6, 7, 5, padding=(4, 0)), ReLU(), C(7, 10, 3, stride=2, padding=2), shape=(6, 6, 7), classes=9, batch=2
    ),
    "wide": _network(
        C(17, 33, 3, padding=1), ReLU(), P(2), C(33, 20, 1), ReLU(), shape=(17, 7, 6), classes=11, batch=2
    ),
}  # fmt: skip
