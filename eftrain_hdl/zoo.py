"""Networks to train: ``models[name](input_shape, classes)`` builds one."""

from collections.abc import Callable

from .graph import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    GraphError,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Shape,
)
from .graph.checks import integer
from .graph.sequential import checked_input_shape


def lenet(input_shape: Shape = (1, 8, 8), classes: int = 10) -> Sequential:
    """A small LeNet: two 3x3 convolutions (8 and 16 channels), each with ReLU and 2x2 pooling, two linear layers.

    Takes any (channels, height, width) from 4x4 up; GraphError below.
    'digits', batches of 16, SGD(lr=0.02, momentum=0.9), float32 golden steps, seeds 0 to 9: after 270 steps (three
    epochs) test accuracy is 91.4 % at worst, 94.4 % in the median; after 60 steps only 50 % in the median. The default
    initialisation of four layers starts slowly; `shallow` is the network for short runs.
    """
    channels, height, width = _map_input("lenet", input_shape, 4, classes)
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
    channels, height, width = _map_input("shallow", input_shape, 2, classes)
    return Sequential(
        Conv2d(channels, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(16 * (height // 2) * (width // 2), classes),
        input_shape=input_shape,
    )


def _cifar(name: str, width: int) -> Callable[[Shape, int], Sequential]:
    filters = tuple(16 * width * factor for factor in (1, 2, 4))

    def build(input_shape: Shape = (3, 32, 32), classes: int = 10) -> Sequential:
        channels, height, columns = _map_input(name, input_shape, 8, classes)
        layers: list[Layer] = []
        for count in filters:
            layers += [Conv2d(channels, count, 3, padding=1), ReLU(), Conv2d(count, count, 3, padding=1), ReLU()]
            layers.append(MaxPool2d(2))
            channels = count
        layers += [Flatten(), Linear(channels * (height // 8) * (columns // 8), classes)]
        return Sequential(*layers, input_shape=input_shape)

    build.__doc__ = f"""EF-Train's '{name.upper()}' network for CIFAR-10, ReLU after each convolution:

    {"-P-".join(f"{count}C3-{count}C3" for count in filters)}-P-FC. Takes any (channels, height, width) from 8x8 up;
    GraphError below.
    """
    return build


def lenet10(input_shape: Shape = (1, 28, 28), classes: int = 10) -> Sequential:
    """LeNet-5 with ReLU and max pooling: 6C5-P-16C5-P-120-84-10. Takes any map from 12x12 up; GraphError below."""
    channels, height, width = _map_input("lenet10", input_shape, 12, classes)
    rows, columns = ((size // 2 - 4) // 2 for size in (height, width))
    return Sequential(
        Conv2d(channels, 6, 5, padding=2), ReLU(), MaxPool2d(2),
        Conv2d(6, 16, 5), ReLU(), MaxPool2d(2),
        Flatten(), Linear(16 * rows * columns, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, classes),
        input_shape=input_shape,
    )  # fmt: skip


def alexnet(input_shape: Shape = (3, 227, 227), classes: int = 1000) -> Sequential:
    """AlexNet without groups, normalisation and dropout: 96C11/4-P-256C5-P-384C3-384C3-256C3-P and 3 linear layers.

    Takes any map from 67x67 up; GraphError below.
    """
    channels, height, width = _map_input("alexnet", input_shape, 67, classes)
    features: list[Layer] = [
        Conv2d(channels, 96, 11, stride=4), ReLU(), MaxPool2d(3, 2),
        Conv2d(96, 256, 5, padding=2), ReLU(), MaxPool2d(3, 2),
        Conv2d(256, 384, 3, padding=1), ReLU(), Conv2d(384, 384, 3, padding=1), ReLU(),
        Conv2d(384, 256, 3, padding=1), ReLU(), MaxPool2d(3, 2), Flatten(),
    ]  # fmt: skip
    (size,) = Sequential(*features, input_shape=(channels, height, width)).output_shape
    head: list[Layer] = [Linear(size, 4096), ReLU(), Linear(4096, 4096), ReLU(), Linear(4096, classes)]
    return Sequential(*features, *head, input_shape=input_shape)


def vgg16(input_shape: Shape = (3, 224, 224), classes: int = 1000) -> Sequential:
    """VGG-16 without batch norm and dropout: 13 3x3 convolutions in five blocks, 3 linear layers.

    Takes any map from 32x32 up; GraphError below.
    """
    channels, height, width = _map_input("vgg16", input_shape, 32, classes)
    layers: list[Layer] = []
    for count, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [Conv2d(channels, filters, 3, padding=1), ReLU()]
            channels = filters
        layers.append(MaxPool2d(2))
    layers += [Flatten(), Linear(channels * (height // 32) * (width // 32), 4096), ReLU()]
    layers += [Linear(4096, 4096), ReLU(), Linear(4096, classes)]
    return Sequential(*layers, input_shape=input_shape)


def resnet20(input_shape: Shape = (3, 32, 32), classes: int = 10) -> Sequential:
    """ResNet-20 of He et al. 2015 (section 4.2): 16C3, three stages of three blocks (16, 32, 64 channels), FC.

    Every convolution is followed by batch normalisation and has no bias. The shortcuts are the paper's option B: the
    input itself, and where a stage halves the map a 1x1 convolution of stride 2 with batch normalisation. The paper
    takes option A for CIFAR-10, padding with zero channels, which has 2,752 parameters and 0.26 M multiply-accumulates
    fewer. It can be planned but not trained yet. Takes any (channels, height, width); GraphError for anything else.
    """
    channels, _, _ = _map_input("resnet20", input_shape, 1, classes)
    layers: list[Layer] = [Conv2d(channels, 16, 3, padding=1, bias=False), BatchNorm2d(16), ReLU()]
    channels = 16
    for filters in (16, 32, 64):
        for number in range(3):
            layers += [_basic_block(channels, filters, 2 if number == 0 and filters > 16 else 1), ReLU()]
            channels = filters
    height, width = Sequential(*layers, input_shape=input_shape).output_shape[1:]
    layers += [AvgPool2d((height, width)), Flatten(), Linear(channels, classes)]
    return Sequential(*layers, input_shape=input_shape)


def _basic_block(channels: int, filters: int, stride: int) -> Residual:
    """Two 3x3 convolutions with batch normalisation; a projection where the shape changes."""
    body = [
        Conv2d(channels, filters, 3, stride, padding=1, bias=False), BatchNorm2d(filters), ReLU(),
        Conv2d(filters, filters, 3, padding=1, bias=False), BatchNorm2d(filters),
    ]  # fmt: skip
    if stride == 1 and channels == filters:
        return Residual(body)
    return Residual(body, [Conv2d(channels, filters, 1, stride, bias=False), BatchNorm2d(filters)])


models: dict[str, Callable[[Shape, int], Sequential]] = {
    "shallow": shallow,
    "lenet": lenet,
    "lenet10": lenet10,
    "1x": _cifar("1x", 1),
    "2x": _cifar("2x", 2),
    "4x": _cifar("4x", 4),
    "alexnet": alexnet,
    "vgg16": vgg16,
    "resnet20": resnet20,
}


def _map_input(name: str, input_shape: Shape, smallest: int, classes: int) -> tuple[int, int, int]:
    """Channels, height and width; TypeError or GraphError, naming the argument, unless a network can be made of it."""
    integer(name, "classes", classes, 1)
    shape = checked_input_shape(name, input_shape)
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise GraphError(
            f"{name}: input_shape={shape}: needs (channels, height, width) of at least {smallest}x{smallest}"
        )
    channels, height, width = shape
    return channels, height, width
