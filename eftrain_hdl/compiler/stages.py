"""From layers to stages: a convolution or linear layer with the ReLU and the pooling behind it is one stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eftrain_hdl.config import Config
from eftrain_hdl.graph import Conv2d, Flatten, Linear, MaxPool2d, Node, ReLU, Sequential, Shape

from .errors import CompileError
from .layouts import WeightLayout
from .limits import check_layer

Map = tuple[int, int, int]


@dataclass
class Stage:
    """One pass over the data.

    Attributes
    ----------
    nodes : list of Node
        The layers; the first one is a Conv2d or Linear if ``weights`` is set.
    input_map, result_map, output_map : (channels, rows, columns)
        What comes in, what the array makes of it, and what is left behind the pooling.
    input_tiles, input_rows, input_columns : int
        The input as the array takes it: a linear layer sees every position of a map as a tile of its own.
    kernel, stride, padding : pairs
        Of the convolution; 1, 1 and 0 for a linear layer.
    relu : bool
        A ReLU acts on the result.
    pool : MaxPool2d or None
    gated : bool
        Pooling: positions whose maximum is not above zero get no gradient.
    masked : bool
        The gradient of the output has to be masked where the output is not above zero.
    planar : bool
        The input is stored by channels (`PlanarLayout`).
    """

    nodes: list[Node]
    input_map: Map
    result_map: Map
    output_map: Map
    weights: WeightLayout | None = None
    input_tiles: int = 0
    input_rows: int = 1
    input_columns: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    relu: bool = False
    pool: MaxPool2d | None = None
    gated: bool = False
    masked: bool = False
    planar: bool = False

    @property
    def product(self) -> tuple[Any, ...]:
        """What the array computes: stages that are equal in it ask for the same work of it."""
        return (
            self.input_map, self.result_map, self.weights, self.input_tiles, self.input_rows, self.input_columns,
            self.kernel, self.stride, self.padding, self.planar,
        )  # fmt: skip

    @property
    def drain(self) -> tuple[Any, ...]:
        """What becomes of the result: stages that are equal in it treat results and their gradients alike."""
        return self.result_map, self.output_map, self.relu, self.pool, self.gated, self.masked

    @property
    def name(self) -> str:
        """What tables and messages call it."""
        return str(self.nodes[0])

    @property
    def parameter(self) -> str:
        """Prefix of its parameters' names."""
        return self.nodes[0].name

    @property
    def passes_through(self) -> bool:
        """The gradient of the output is that of the result."""
        return self.pool is None and not self.masked

    @property
    def input_is_map(self) -> bool:
        """The array sees the input as the map that it is."""
        return (self.input_rows, self.input_columns) == self.input_map[1:]


def tiles(channels: int, lanes: int) -> int:
    """Channel tiles."""
    return -(-channels // lanes)


def build_stages(model: Sequential, config: Config) -> list[Stage]:
    """Cut ``model`` into stages. Raises CompileError for a layer that the compiler does not know."""
    stages = cut_stages(model.nodes, model.input_shape, config, first=True)
    if not any(stage.weights for stage in stages):
        raise CompileError("the network has nothing to train: it needs a Conv2d or a Linear layer")
    return stages


def cut_stages(nodes: Iterable[Node], input_shape: Shape, config: Config, first: bool) -> list[Stage]:
    """Cut layers one after another into stages; ``first`` if their input is the network's."""
    stages: list[Stage] = []
    shape: Map = _as_map(input_shape)
    for node in nodes:
        layer = node.layer
        check_layer(node)
        last = stages[-1] if stages else None
        if isinstance(layer, (Conv2d, Linear)):
            stages.append(_matrix_stage(node, shape, config, first=first and last is None))
            shape = stages[-1].output_map
        elif isinstance(layer, ReLU):
            if last is None:
                stages.append(Stage([node], shape, shape, shape))
            else:
                last.nodes.append(node)
            stages[-1].relu = True
        elif isinstance(layer, MaxPool2d):
            out = _as_map(node.output_shape)
            if last is None or last.pool is not None:
                stages.append(Stage([node], shape, shape, out))
            else:
                last.nodes.append(node)
            stages[-1].pool, stages[-1].output_map = layer, out
            shape = out
        elif isinstance(layer, Flatten):
            if last is not None:
                last.nodes.append(node)
        else:
            raise CompileError(f"{node}: the compiler does not know this layer")
    for stage in stages:
        stage.gated = stage.pool is not None and stage.relu
        stage.masked = stage.pool is None and stage.relu
    return stages


def first_trainable(stages: Sequence[Stage]) -> int:
    """Index of the first stage with weights, or behind the last if none has: no gradient goes further."""
    return next((k for k, stage in enumerate(stages) if stage.weights), len(stages))


def _as_map(shape: tuple[int, ...]) -> Map:
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def _matrix_stage(node: Node, shape: Map, config: Config, first: bool) -> Stage:
    layer, lanes = node.layer, config.lanes
    out = _as_map(node.output_shape)
    channels, rows, columns = shape
    if isinstance(layer, Linear):
        weights = WeightLayout((layer.out_features, layer.in_features), shape, (1, 1), lanes, layer.bias)
        count = tiles(channels, lanes) * rows * columns
        return Stage([node], shape, out, out, weights, count)
    assert isinstance(layer, Conv2d)
    planar = first and channels < lanes
    weights = WeightLayout(
        (layer.out_channels, channels, *layer.kernel_size), (channels, 1, 1), layer.kernel_size, lanes, layer.bias,
        phases=layer.stride[1] if planar else 0,
    )  # fmt: skip
    return Stage(
        [node], shape, out, out, weights, weights.input_tiles, rows, columns,
        layer.kernel_size, layer.stride, layer.padding, planar=planar,
    )  # fmt: skip
