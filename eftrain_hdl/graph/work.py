"""How many multiply-accumulates a training step is made of, by layer and phase."""

from __future__ import annotations

from math import prod

from .layers import Conv2d, Linear
from .sequential import Sequential

__all__ = ["step_macs"]


def step_macs(model: Sequential, batch: int) -> dict[tuple[int, str], int]:
    """Useful multiply-accumulates of one step: ``{(layer index, "FP" | "BP" | "WU"): count}``.

    What the network needs, whatever the array spends on it: no padding lanes, borders counted as if full (as is usual),
    no input gradient for the first
    layer with weights.
    """
    result: dict[tuple[int, str], int] = {}
    first = True
    for node in model.nodes:
        layer = node.layer
        if isinstance(layer, Conv2d):
            macs = (
                batch * layer.in_channels * layer.out_channels * prod(layer.kernel_size) * prod(node.output_shape[1:])
            )
        elif isinstance(layer, Linear):
            macs = batch * layer.in_features * layer.out_features
        else:
            continue
        for phase in ("FP", "BP", "WU"):
            if not (first and phase == "BP"):
                result[node.index, phase] = macs
        first = False
    return result
