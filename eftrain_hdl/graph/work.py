"""How many multiply-accumulates a training step is made of, by layer and phase."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .layers import Conv2d, Linear
from .sequential import Node, Sequential

__all__ = ["step_macs"]


def step_macs(model: Sequential, batch: int) -> dict[tuple[int, str], int]:
    """Useful multiply-accumulates of one step: ``{(layer index, "FP" | "BP" | "WU"): count}``.

    What the network needs, whatever the array spends on it: no padding lanes, borders counted as if full (as is usual),
    no input gradient for the layers with weights that see the network's input, or what no weights have changed yet.
    Convolutions and linear layers inside of blocks count by their own index; nothing else has multiply-accumulates.
    """
    return _macs(model.nodes, batch, first=True)


def _macs(nodes: Sequence[Node], batch: int, first: bool) -> dict[tuple[int, str], int]:
    """Of layers one after another; ``first`` if nothing before them can be trained."""
    result: dict[tuple[int, str], int] = {}
    for node in nodes:
        layer, macs = node.layer, 0
        if isinstance(layer, Conv2d):
            macs = (
                batch * layer.in_channels * layer.out_channels * prod(layer.kernel_size) * prod(node.output_shape[1:])
            )
        elif isinstance(layer, Linear):
            macs = batch * layer.in_features * layer.out_features
        for branch in (node.body, node.shortcut):
            result |= _macs(branch, batch, first)
        for phase in ("FP", "BP", "WU") if macs else ():
            if not (first and phase == "BP"):
                result[node.index, phase] = macs
        first = first and not layer.parameter_shapes()
    return result
