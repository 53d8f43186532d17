"""Networks to train: ``models[name](input_shape, classes)`` builds one."""

from collections.abc import Callable

from .graph import Conv2d, Flatten, GraphError, Layer, Linear, MaxPool2d, ReLU, Sequential, Shape


def lenet(input_shape: Shape = (1, 8, 8), classes: int = 10) -> Sequential:
    """A small LeNet: two 3x3 convolutions (8 and 16 channels), each with ReLU and 2x2 pooling, two linear layers.

    Takes any (channels, height, width) from 4x4 up; GraphError below.
    'digits', batches of 16, SGD(lr=0.02, momentum=0.9), float32 golden steps, seeds 0 to 9: after 270 steps (three
    epochs) test accuracy is 91.4 % at worst, 94.4 % in the median; after 60 steps only 50 % in the median. The default
    initialisation of four layers starts slowly; `shallow` is the network for short runs.
    """
    channels, height, width = _map_input("lenet", input_shape, 4)
    return Sequential(
        Conv2d(channels, 8, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(8, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(16 * (height // 4) * (width // 4), 64),
        ReLU(),
        Linear(64, classes),
        input_shape=input_shape,
    )


def shallow(input_shape: Shape = (1, 8, 8), classes: int = 10) -> Sequential:
    """One 3x3 convolution (16 channels) with ReLU and 2x2 pooling, one linear layer: learns 'digits' in few steps.

    Takes any (channels, height, width) from 2x2 up; GraphError below.
    'digits', batches of 16, SGD(lr=0.05, momentum=0.9), float32 golden steps, seeds 0 to 9: after 60 steps test
    accuracy is 91.4 % at worst, 95.1 % in the median.
    """
    channels, height, width = _map_input("shallow", input_shape, 2)
    return Sequential(
        Conv2d(channels, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(16 * (height // 2) * (width // 2), classes),
        input_shape=input_shape,
    )


def cifar_1x(input_shape: Shape = (3, 32, 32), classes: int = 10) -> Sequential:
    """EF-Train's '1X' network for CIFAR-10: 16C3-16C3-P-32C3-32C3-P-64C3-64C3-P-FC, ReLU after each convolution.

    Takes any (channels, height, width) from 8x8 up; GraphError below.
    """
    channels, height, width = _map_input("1x", input_shape, 8)
    layers: list[Layer] = []
    for filters in (16, 32, 64):
        layers += [Conv2d(channels, filters, 3, padding=1), ReLU(), Conv2d(filters, filters, 3, padding=1), ReLU()]
        layers.append(MaxPool2d(2))
        channels = filters
    layers += [Flatten(), Linear(channels * (height // 8) * (width // 8), classes)]
    return Sequential(*layers, input_shape=input_shape)


models: dict[str, Callable[[Shape, int], Sequential]] = {"shallow": shallow, "lenet": lenet, "1x": cifar_1x}


def _map_input(name: str, input_shape: Shape, smallest: int) -> tuple[int, int, int]:
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise GraphError(
            f"{name}: input_shape={input_shape}: needs (channels, height, width) of at least {smallest}x{smallest}"
        )
    channels, height, width = input_shape
    return channels, height, width
