"""Evaluated graphs and their gradients against PyTorch's autograd in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eftrain_hdl.graph import initial_parameters, trace
from eftrain_hdl.ir import (
    Add,
    AddBias,
    Array,
    Convolution,
    Graph,
    MaxPool,
    Node,
    Rectify,
    Reshape,
    Role,
    differentiate,
    evaluate,
)
from tests.compiler.random_networks import random_network
from tests.ir.random_graphs import output_gradients, random_graph, random_values
from tests.ir.steps import difference
from tests.ir.test_branches import RESIDUAL

torch = pytest.importorskip("torch")
TOLERANCE = 1e-12


def torch_result(node: Node, inputs: list[Any]) -> Any:
    operation, functional = node.operation, torch.nn.functional
    match operation:
        case Convolution():
            x, w = inputs
            w = w.reshape(w.shape[0], x.shape[1], *operation.kernel)
            return functional.conv2d(x, w, None, operation.stride, operation.padding)
        case AddBias():
            x, b = inputs
            return x + b.reshape(-1, *[1] * (x.ndim - 2))
        case Rectify():
            return functional.relu(inputs[0])
        case MaxPool():
            return functional.max_pool2d(inputs[0], operation.kernel, operation.stride, operation.padding)
        case Reshape():
            return inputs[0].reshape(-1, *operation.shape)
        case Add():
            return inputs[0] + inputs[1]
        case _:
            raise TypeError(operation)


def check(forward: Graph, values: dict[str, Array]) -> None:
    """All activations and all gradients."""
    graph = differentiate(forward, output_gradients(forward))
    ours = evaluate(graph, values)
    theirs = {value.name: torch.tensor(values[value.name]) for value in forward.inputs}
    for value in forward.parameters:
        theirs[value.name].requires_grad_()
    for node in forward.nodes:
        theirs[node.outputs[0].name] = torch_result(node, [theirs[value.name] for value in node.inputs])
        if theirs[node.outputs[0].name].requires_grad:
            theirs[node.outputs[0].name].retain_grad()
    # One sum of all outputs in the weights that the host would write as their gradients.
    ends = [(theirs[name], values[d]) for name, d in output_gradients(forward).items() if d in values]
    sum((end * torch.tensor(weights)).sum() for end, weights in ends).backward()
    for node in forward.nodes:
        name = node.outputs[0].name
        assert difference(ours[name], theirs[name].detach().numpy()) <= TOLERANCE, name
    for value, gradient in graph.gradients:
        assert difference(ours[gradient.name], theirs[value.name].grad.numpy()) <= TOLERANCE, value.name
    assert {value for value, _ in graph.gradients if value.role is Role.PARAMETER} == set(forward.parameters)


def all_values(forward: Graph, seed: int) -> dict[str, Array]:
    return random_values(differentiate(forward, output_gradients(forward)), seed)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    print(f"random_graph({seed})")
    forward = random_graph(seed)
    check(forward, all_values(forward, seed))


@pytest.mark.parametrize("seed", range(20))
def test_random_networks(seed: int) -> None:
    print(f"random_network({seed})")
    model = random_network(seed).model
    forward = trace(model)
    parameters = {name: value.astype(np.float64) for name, value in initial_parameters(model, seed).items()}
    check(forward, all_values(forward, seed) | parameters)


def test_blocks_within_blocks() -> None:
    forward = trace(RESIDUAL)
    check(forward, all_values(forward, 1))
