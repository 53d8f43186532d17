"""Training steps of a graph, evaluated in NumPy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from eftrain_hdl.graph import SGD, Sequential, trace
from eftrain_hdl.ir import Array, Graph, Role, add_optimizer, differentiate, evaluate


def training_graph(model: Sequential, optimizer: SGD, trainable: Collection[str] | None = None) -> Graph:
    """A whole step of ``model``; the host writes "logits_gradient"."""
    graph = trace(model)
    return add_optimizer(differentiate(graph, {graph.outputs[0].name: "logits_gradient"}, trainable), optimizer)


class GraphStep:
    """What `GoldenStep` does, by evaluation of the graph."""

    def __init__(
        self, model: Sequential, optimizer: SGD, parameters: Mapping[str, Array], dtype: Any = np.float64
    ) -> None:
        self.forward_graph = trace(model)
        self.graph = training_graph(model, optimizer)
        self.scalars, self.dtype = optimizer.scalars, dtype
        self.held = {value.name: np.zeros(value.shape) for value in self.graph.inputs if value.role is Role.STATE}
        self.held |= parameters
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        names = [value.name for value in self.forward_graph.parameters]
        values = evaluate(self.forward_graph, {"input": x, **{name: self.held[name] for name in names}}, (), self.dtype)
        return values[self.forward_graph.outputs[0].name]

    def step(self, x: Array, dlogits: Array) -> Array:
        """The logits before the step."""
        given = {"input": x, "logits_gradient": dlogits, **self.held}
        values = evaluate(self.graph, given, self.scalars, self.dtype)
        self.gradients = {
            value.name: values[gradient.name]
            for value, gradient in self.graph.gradients
            if value.role is Role.PARAMETER
        }
        self.held |= {value.name: values[new.name] for value, new in self.graph.updates}
        return values[self.graph.outputs[0].name]


def difference(ours: Array, theirs: Array) -> float:
    """Largest difference relative to the largest value."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-300))
