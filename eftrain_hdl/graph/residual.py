"""The layer that contains layers: a body, and a shortcut around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eftrain_hdl.checks import shown
from eftrain_hdl.ir import Add, GraphBuilder, Value

from .errors import GraphError
from .layers import Layer, Shape


@dataclass(frozen=True, init=False)
class Residual(Layer):
    """A block: what ``body`` makes of the input plus what ``shortcut`` makes of it. It can be planned but not trained.

    ``body`` and ``shortcut`` are sequences of layers, kept as tuples; without a shortcut the input itself is added. A
    ReLU on the sum is a layer of its own behind the block. Parameters are named 'body.0.weight', 'shortcut.0.weight'
    and so on, as those of a PyTorch module with two Sequentials of these names.
    Raises TypeError for anything that is not a layer, and GraphError if one of the two has no layers, or if their
    shapes do not fit.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None

    def __init__(self, body: Sequence[Layer], shortcut: Sequence[Layer] | None = None) -> None:
        object.__setattr__(self, "body", _layers("body", body))
        object.__setattr__(self, "shortcut", None if shortcut is None else _layers("shortcut", shortcut))

    def branches(self) -> Iterator[tuple[str, tuple[Layer, ...]]]:
        """Name and layers of the body and, if there is one, of the shortcut."""
        yield "body", self.body
        if self.shortcut is not None:
            yield "shortcut", self.shortcut

    def output_shape(self, input_shape: Shape) -> Shape:
        shapes = {name: _shape(name, layers, input_shape) for name, layers in self.branches()}
        added = shapes.get("shortcut", input_shape)
        if shapes["body"] != added:
            what = "input" if self.shortcut is None else "output of the shortcut"
            raise GraphError(f"body: its output {shapes['body']} cannot be added to the {what} {added}")
        return added

    def parameter_shapes(self) -> dict[str, Shape]:
        return {
            f"{name}.{index}.{short}": shape
            for name, layers in self.branches()
            for index, layer in enumerate(layers)
            for short, shape in layer.parameter_shapes().items()
        }

    def trace(self, builder: GraphBuilder, x: Value) -> Value:
        ends = {name: _trace(builder, name, layers, x) for name, layers in self.branches()}
        return builder.add(Add(), ends["body"], ends.get("shortcut", x))


def _layers(name: str, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    if not isinstance(layers, Sequence) or isinstance(layers, (str, bytes)):
        raise TypeError(f"Residual: {name}={shown(layers)}: expected a sequence of layers")
    if not layers:
        raise GraphError(f"Residual: {name}: needs at least one layer")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"Residual: {name}.{index}: expected a layer such as ReLU(), got {shown(layer)}")
    return tuple(layers)


def _shape(name: str, layers: Sequence[Layer], shape: Shape) -> Shape:
    """Shape behind ``layers``."""
    for index, layer in enumerate(layers):
        try:
            shape = layer.output_shape(shape)
        except GraphError as error:
            raise GraphError(f"{name}.{index} ({type(layer).__name__}): {error}") from None
    return shape


def _trace(builder: GraphBuilder, name: str, layers: tuple[Layer, ...], x: Value) -> Value:
    for index, layer in enumerate(layers):
        with builder.layer(f"{name}.{index}", type(layer).__name__):
            x = layer.trace(builder, x)
    return x
