"""Layers of a network description: PyTorch's names and arguments, no arrays, no arithmetic.

A layer is an immutable value. It checks its own arguments when it is constructed (TypeError, GraphError) and its input
when a `Sequential` is built. Shapes leave the batch out: (channels, height, width) for maps, (features,) for vectors.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from eftrain_hdl.checks import boolean
from eftrain_hdl.ir import AddBias, Convolution, GraphBuilder, MaxPool, Rectify, Reshape, Shape, Value
from eftrain_hdl.ir.windows import window_count

from .checks import Pair, integer, pair, rate
from .errors import GraphError


class Layer(ABC):
    """What every layer answers about itself."""

    @abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """Output shape for ``input_shape``; GraphError, naming the parameter, if the layer cannot take it."""

    def parameter_shapes(self) -> dict[str, Shape]:
        """Shapes of the trainable parameters by PyTorch's short name, in PyTorch's order; empty if there are none."""
        return {}

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        """Add the layer's operations on ``x`` to ``builder``; returns what the layer delivers.

        GraphError, naming the layer, if it has none yet.
        """
        raise GraphError(f"{builder.origin.layer}: this layer can be planned but not trained yet")

    def _parameters(self, builder: GraphBuilder) -> dict[str, Value]:
        return {short: builder.parameter(short, shape) for short, shape in self.parameter_shapes().items()}


def _map_shape(input_shape: Shape) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        raise GraphError(f"input_shape={input_shape}: needs a (channels, height, width) map")
    channels, height, width = input_shape
    return channels, height, width


def _slide(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Output (height, width) of a window sliding over a map of ``size``."""
    padded = (size[0] + 2 * padding[0], size[1] + 2 * padding[1])
    if kernel[0] > padded[0] or kernel[1] > padded[1]:
        raise GraphError(f"kernel_size={kernel}: larger than the padded input {padded}")
    height, width = (window_count(*axis) for axis in zip(size, kernel, stride, padding, strict=True))
    return height, width


@dataclass(frozen=True, init=False)
class Conv2d(Layer):
    """Two-dimensional convolution (cross-correlation) with zero padding.

    Parameters: ``weight`` (out_channels, in_channels, kernel height, kernel width) and, with ``bias``, ``bias``
    (out_channels,). ``kernel_size``, ``stride`` and ``padding`` are ints or (height, width) and are kept as pairs.
    Raises GraphError if the padding exceeds kernel_size - 1: some windows would then see nothing but zeros.
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair
    bias: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
    ) -> None:
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        pads = pair("Conv2d", "padding", padding, 0)
        if pads[0] >= kernel[0] or pads[1] >= kernel[1]:
            raise GraphError(f"Conv2d: padding={padding!r}: must be at most kernel_size - 1 with kernel_size={kernel}")
        _assign(
            self,
            in_channels=integer("Conv2d", "in_channels", in_channels, 1),
            out_channels=integer("Conv2d", "out_channels", out_channels, 1),
            kernel_size=kernel,
            stride=pair("Conv2d", "stride", stride, 1),
            padding=pads,
            bias=_flag("Conv2d", "bias", bias),
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        channels, height, width = _map_shape(input_shape)
        if channels != self.in_channels:
            raise GraphError(f"in_channels={self.in_channels}: the input {input_shape} has {channels} channels")
        return self.out_channels, *_slide((height, width), self.kernel_size, self.stride, self.padding)

    def parameter_shapes(self) -> dict[str, Shape]:
        weight = {"weight": (self.out_channels, self.in_channels, *self.kernel_size)}
        return weight | ({"bias": (self.out_channels,)} if self.bias else {})

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        convolution = Convolution(self.kernel_size, self.stride, self.padding)
        return _convolve(builder, convolution, x, self._parameters(builder))


@dataclass(frozen=True, init=False)
class Linear(Layer):
    """Fully connected layer: ``weight`` (out_features, in_features) and, with ``bias``, ``bias`` (out_features,)."""

    in_features: int
    out_features: int
    bias: bool

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        _assign(
            self,
            in_features=integer("Linear", "in_features", in_features, 1),
            out_features=integer("Linear", "out_features", out_features, 1),
            bias=_flag("Linear", "bias", bias),
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise GraphError(f"input_shape={input_shape}: needs a feature vector: insert Flatten() before it")
        if input_shape[0] != self.in_features:
            raise GraphError(f"in_features={self.in_features}: the input has {input_shape[0]} features")
        return (self.out_features,)

    def parameter_shapes(self) -> dict[str, Shape]:
        weight: dict[str, Shape] = {"weight": (self.out_features, self.in_features)}
        return weight | ({"bias": (self.out_features,)} if self.bias else {})

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        pixel = builder.add(Reshape((self.in_features, 1, 1)), x)
        y = _convolve(builder, Convolution((1, 1)), pixel, self._parameters(builder))
        return builder.add(Reshape((self.out_features,)), y)


@dataclass(frozen=True)
class ReLU(Layer):
    """max(x, 0), element by element, on maps or vectors."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        return builder.add(Rectify(), x)


@dataclass(frozen=True, init=False)
class MaxPool2d(Layer):
    """Maximum over windows; ``stride`` defaults to the kernel; padding counts as minus infinity.

    ``kernel_size``, ``stride`` and ``padding`` are ints or (height, width) and are kept as pairs.
    Raises GraphError if the padding exceeds half the kernel (PyTorch's rule).
    """

    kernel_size: Pair
    stride: Pair
    padding: Pair

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        kernel = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        pads = pair("MaxPool2d", "padding", padding, 0)
        if pads[0] > kernel[0] // 2 or pads[1] > kernel[1] // 2:
            raise GraphError(
                f"MaxPool2d: padding={padding!r}: must be at most kernel_size // 2 with kernel_size={kernel}"
            )
        _assign(
            self,
            kernel_size=kernel,
            stride=kernel if stride is None else pair("MaxPool2d", "stride", stride, 1),
            padding=pads,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        channels, height, width = _map_shape(input_shape)
        return channels, *_slide((height, width), self.kernel_size, self.stride, self.padding)

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        return builder.add(MaxPool(self.kernel_size, self.stride, self.padding), x)


@dataclass(frozen=True, init=False)
class AvgPool2d(Layer):
    """Mean over windows without padding; ``stride`` defaults to the kernel. It can be planned but not trained yet.

    ``kernel_size`` and ``stride`` are ints or (height, width) and are kept as pairs; a kernel of the map's size is
    global pooling.
    """

    kernel_size: Pair
    stride: Pair

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None) -> None:
        kernel = pair("AvgPool2d", "kernel_size", kernel_size, 1)
        _assign(self, kernel_size=kernel, stride=kernel if stride is None else pair("AvgPool2d", "stride", stride, 1))

    def output_shape(self, input_shape: Shape) -> Shape:
        channels, height, width = _map_shape(input_shape)
        return channels, *_slide((height, width), self.kernel_size, self.stride, (0, 0))


@dataclass(frozen=True, init=False)
class BatchNorm2d(Layer):
    """Batch normalisation of maps, channel by channel. It can be planned but not trained yet.

    Parameters: ``weight`` and ``bias`` (num_features,). ``eps`` is added to the variance; ``momentum`` is the weight of
    a batch in the running statistics. Raises GraphError unless both are finite and not negative.
    """

    num_features: int
    eps: float
    momentum: float

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        _assign(
            self,
            num_features=integer("BatchNorm2d", "num_features", num_features, 1),
            eps=rate("BatchNorm2d", "eps", eps),
            momentum=rate("BatchNorm2d", "momentum", momentum),
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        channels, _, _ = _map_shape(input_shape)
        if channels != self.num_features:
            raise GraphError(f"num_features={self.num_features}: the input {input_shape} has {channels} channels")
        return input_shape

    def parameter_shapes(self) -> dict[str, Shape]:
        return {"weight": (self.num_features,), "bias": (self.num_features,)}


@dataclass(frozen=True)
class Flatten(Layer):
    """A map as a vector, channel by channel, row by row (PyTorch's order); a vector passes unchanged."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        return x if len(x.shape) == 1 else builder.add(Reshape(self.output_shape(x.shape)), x)


def _convolve(builder: GraphBuilder, convolution: Convolution, x: Value, parameters: dict[str, Value]) -> Value:
    y = builder.add(convolution, x, parameters["weight"])
    return builder.add(AddBias(), y, parameters["bias"]) if "bias" in parameters else y


def _assign(layer: Layer, **fields: Any) -> None:
    """Set the fields of a frozen dataclass from its own constructor."""
    for name, value in fields.items():
        object.__setattr__(layer, name, value)


def _flag(owner: str, name: str, value: Any) -> bool:
    return boolean(f"{owner}: {name}", value)
