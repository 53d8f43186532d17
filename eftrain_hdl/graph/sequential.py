"""A chain of layers with every shape known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eftrain_hdl.checks import shown

from .checks import integer
from .errors import GraphError
from .layers import Layer, Shape
from .residual import Residual


@dataclass(frozen=True)
class Node:
    """One layer in its place in the network.

    ``index`` counts all layers from 0, those of a block before the block itself; ``name`` is what PyTorch's Sequential
    calls it ('0', '1', ..., '1.body.0' in a block); the shapes leave the batch out. ``body`` and ``shortcut`` are the
    layers of a `Residual`, both empty for any other layer and the shortcut for one that adds its input.
    """

    index: int
    name: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    body: tuple[Node, ...] = ()
    shortcut: tuple[Node, ...] = ()

    def __str__(self) -> str:
        """How error messages and tables name the layer: ``layer 2 (MaxPool2d)``, ``layer 3.body.0 (Conv2d)``."""
        return f"layer {self.name} ({type(self.layer).__name__})"

    def flat(self) -> Iterator[Node]:
        """The layers of the block, if it is one, and the layer itself: in the order of their indices."""
        for node in (*self.body, *self.shortcut):
            yield from node.flat()
        yield self

    def parameter_shapes(self) -> dict[str, Shape]:
        """Shapes of the layer's parameters by their name in the network ('0.weight', '0.bias')."""
        return {f"{self.name}.{short}": shape for short, shape in self.layer.parameter_shapes().items()}


@dataclass(frozen=True, init=False, repr=False)
class Sequential:
    """Layers one after another, on inputs of ``input_shape``: (channels, height, width) or (features,).

    Iterating yields the `Node` of every layer, ``model[i]`` one of them; ``model.flat`` has those inside of blocks too.
    Raises TypeError for anything that is not a layer or a shape, and GraphError, naming the layer's index, class and
    parameter, where a layer cannot take what the one before it delivers.
    """

    nodes: tuple[Node, ...]
    input_shape: Shape

    def __init__(self, *layers: Layer, input_shape: Shape) -> None:
        if not layers:
            raise GraphError("Sequential: needs at least one layer")
        shape = checked_input_shape("Sequential", input_shape)
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "nodes", _nodes(layers, shape))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers as they were given."""
        return tuple(node.layer for node in self.nodes)

    @property
    def flat(self) -> tuple[Node, ...]:
        """All layers, those of a block before the block itself: ``model.flat[k].index`` is k."""
        return tuple(inner for node in self.nodes for inner in node.flat())

    @property
    def output_shape(self) -> Shape:
        """Shape of what the last layer delivers, without the batch."""
        return self.nodes[-1].output_shape

    def parameter_shapes(self) -> dict[str, Shape]:
        """Shapes of all parameters by name ('0.weight', '0.bias', ...), in the order of PyTorch's state dict."""
        return {name: shape for node in self.nodes for name, shape in node.parameter_shapes().items()}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    def __repr__(self) -> str:
        layers = ", ".join(repr(layer) for layer in self.layers)
        return f"Sequential({layers}, input_shape={self.input_shape})"


def _nodes(layers: Sequence[Layer], shape: Shape, prefix: str = "", first: int = 0) -> tuple[Node, ...]:
    """Nodes of ``layers`` on an input of ``shape``; ``prefix`` is what stands before their names, and ``first`` the
    index of the first one.
    """
    nodes: list[Node] = []
    for number, layer in enumerate(layers):
        name = f"{prefix}{number}"
        if not isinstance(layer, Layer):
            raise TypeError(f"layer {name}: expected a layer such as ReLU(), got {shown(layer)}")
        try:
            output_shape = layer.output_shape(shape)
        except GraphError as error:
            raise GraphError(f"layer {name} ({type(layer).__name__}): {error}") from None
        branches: dict[str, tuple[Node, ...]] = {}
        if isinstance(layer, Residual):
            for branch, inner in layer.branches():
                branches[branch] = _nodes(inner, shape, f"{name}.{branch}.", first)
                first = branches[branch][-1].index + 1
        nodes.append(Node(first, name, layer, shape, output_shape, **branches))
        first, shape = first + 1, output_shape
    return tuple(nodes)


def checked_input_shape(owner: str, input_shape: Shape) -> Shape:
    """``input_shape`` as a tuple of ints: TypeError for anything else, GraphError for sizes below 1."""
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) not in (1, 3):
        raise TypeError(
            f"{owner}: input_shape={shown(input_shape)}: expected (channels, height, width) or (features,), no batch"
        )
    return tuple(integer(owner, "input_shape", size, 1) for size in input_shape)
