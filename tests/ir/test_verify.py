"""Every rule of `verify`, broken: the message names the node, its layer and the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eftrain_hdl.graph import SGD, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Residual, Sequential, trace
from eftrain_hdl.ir import Add, Graph, GraphError, Mask, Node, Origin, Rectify, Role, Value, verify
from tests.ir.random_graphs import random_graph
from tests.ir.steps import training_graph

MODEL = Sequential(
    Conv2d(1, 2, 3, padding=1), ReLU(), MaxPool2d(2), Residual([Conv2d(2, 2, 1)]), Flatten(), Linear(8, 3),
    input_shape=(1, 4, 4),
)  # fmt: skip
GRAPH = training_graph(MODEL, SGD(0.1, 0.9))


def place(name: str) -> int:
    """Where the node is that makes ``name``."""
    node = GRAPH.producer(GRAPH.value(name))
    assert node is not None
    return GRAPH.nodes.index(node)


def with_node(name: str, **changes: Any) -> Graph:
    """The graph, with changes in the node that makes ``name``."""
    nodes = list(GRAPH.nodes)
    nodes[place(name)] = replace(nodes[place(name)], **changes)
    return replace(GRAPH, nodes=tuple(nodes))


def with_value(name: str, /, **changes: Any) -> Graph:
    """The graph, with changes in a value wherever it is."""
    old = GRAPH.value(name)
    new = replace(old, **changes)

    def swap(values: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(new if value == old else value for value in values)

    nodes = tuple(replace(node, inputs=swap(node.inputs), outputs=swap(node.outputs)) for node in GRAPH.nodes)
    gradients, updates = ([swap(pair) for pair in pairs] for pairs in (GRAPH.gradients, GRAPH.updates))
    return Graph(nodes, swap(GRAPH.inputs), swap(GRAPH.outputs), tuple(gradients), tuple(updates))  # type: ignore[arg-type]


def with_nodes(change: Callable[[list[Node]], object]) -> Graph:
    nodes = list(GRAPH.nodes)
    change(nodes)
    return replace(GRAPH, nodes=tuple(nodes))


def swapped(first: str, second: str) -> Graph:
    """The graph, with the new values of two exchanged."""
    new = {value.name: new for value, new in GRAPH.updates}
    new[first], new[second] = new[second], new[first]
    return replace(GRAPH, updates=tuple((GRAPH.value(name), one) for name, one in new.items()))


def extra(name: str, role: Role, direction: Any, *inputs: str) -> Node:
    """A node behind all others that adds two values."""
    values = tuple(GRAPH.value(one) for one in inputs)
    output = replace(values[0], name=name, role=role)
    return Node(Add(), values, (output,), Origin("layer 9 (Extra)", direction))


RECTIFY, POOL = GRAPH.value("1.rectify"), GRAPH.value("2.max_pool")
INDEX = GRAPH.value("2.max_pool.index")
W, NEW_W = GRAPH.value("0.weight"), GRAPH.value("0.weight.new")
FIRST = r"layer 1 \(ReLU\), FP: Rectify 1.rectify: "
NEW = r"layer 0 \(Conv2d\), WU: ScaledAdd 0.weight.new: "
UPDATE = r"layer 0 \(Conv2d\): update of 0.weight: "
GRADIENT = r"layer 0 \(Conv2d\): gradient of 0.weight: "

BROKEN: dict[str, tuple[Callable[[], Graph], str]] = {
    "input of a wrong role": (
        lambda: with_value("input", role=Role.ACTIVATION),
        "input input: no node makes it, so it cannot be ACTIVATION",
    ),
    "batched parameter": (lambda: with_value("0.bias", batched=True), "input 0.bias: a PARAMETER is not batched"),
    "batched state": (lambda: with_value("0.bias.velocity", batched=True), "a STATE is not batched"),
    "two inputs of a name": (
        lambda: replace(GRAPH, inputs=(*GRAPH.inputs, GRAPH.inputs[0])),
        "input input: input is defined twice",
    ),
    "size 0": (
        lambda: with_value("input", shape=(1, 0, 4)),
        r"input input: input has the shape \(1, 0, 4\): sizes have to be positive integers",
    ),
    "size of a fraction": (lambda: with_value("input", shape=(1, 4.0, 4)), "sizes have to be positive integers"),
    "order": (
        lambda: with_nodes(lambda nodes: nodes.insert(0, nodes.pop(place("1.rectify")))),
        FIRST + "0.add_bias is read before anything has defined it",
    ),
    "unknown value": (
        lambda: with_node("1.rectify", inputs=(replace(RECTIFY, name="other"),)),
        FIRST + "other is read before anything has defined it",
    ),
    "another shape than defined": (
        lambda: with_node("1.rectify", inputs=(Value("0.add_bias", (2, 4, 5), Role.ACTIVATION),)),
        FIRST + r"reads 0.add_bias ACTIVATION \(batch, 2, 4, 5\), which is defined as .* \(batch, 2, 4, 4\)",
    ),
    "two nodes make one value": (
        lambda: with_nodes(lambda nodes: nodes.insert(3, nodes[2])),
        FIRST + "1.rectify is defined twice",
    ),
    "output of a wrong shape": (
        lambda: with_value("1.rectify", shape=(2, 4, 3)),
        FIRST + r"1.rectify ACTIVATION \(batch, 2, 4, 3\) is listed, but the operation makes .* \(batch, 2, 4, 4\)",
    ),
    "output that is not batched": (
        lambda: with_value("1.rectify", batched=False),
        FIRST + ".* but the operation makes",
    ),
    "rule of an operation": (
        lambda: with_node("2.max_pool", operation=replace(GRAPH.nodes[place("2.max_pool")].operation, kernel=(9, 9))),
        r"layer 2 \(MaxPool2d\), FP: MaxPool 2.max_pool, 2.max_pool.index: kernel=\(9, 9\) is larger than the map",
    ),
    "number of inputs": (
        lambda: with_node("1.rectify", operation=Add()),
        r"layer 1 \(ReLU\), FP: Add 1.rectify: reads a, b, but 1 values are given",
    ),
    "number of outputs": (
        lambda: with_node("2.max_pool", outputs=(POOL,)),
        r"layer 2 \(MaxPool2d\), FP: MaxPool 2.max_pool: makes 2 values, but 1 are listed",
    ),
    "index that is none": (
        lambda: with_value("1.rectify", role=Role.INDEX),
        FIRST + "1.rectify is an INDEX, which the operation does not make",
    ),
    "index of another role": (
        lambda: with_value("2.max_pool.index", role=Role.ACTIVATION),
        "2.max_pool.index ACTIVATION .* is listed, but the operation makes 2.max_pool.index INDEX",
    ),
    "index read by others": (
        lambda: with_node("3.add", inputs=(INDEX, INDEX)),
        r"layer 3 \(Residual\), FP: Add 3.add: a cannot be an INDEX, which 2.max_pool.index is",
    ),
    "unpooling without index": (
        lambda: with_node("1.rectify.unpool", inputs=(GRAPH.value("2.max_pool.gradient"), POOL)),
        r"layer 2 \(MaxPool2d\), BP: Unpool 1.rectify.unpool: index has to be an INDEX, but 2.max_pool is ACTIVATION",
    ),
    "forward node that reads a gradient": (
        lambda: with_nodes(
            lambda nodes: nodes.append(extra("x", Role.ACTIVATION, "FP", "0.add_bias.mask", "1.rectify"))
        ),
        r"layer 9 \(Extra\), FP: Add x: a forward node cannot read 0.add_bias.mask, a GRADIENT",
    ),
    "forward node that makes a gradient": (
        lambda: with_value("1.rectify", role=Role.GRADIENT),
        FIRST + "1.rectify has to be ACTIVATION, but is GRADIENT",
    ),
    "backward node that makes an activation": (
        lambda: with_value("0.add_bias.mask", role=Role.ACTIVATION),
        r"layer 1 \(ReLU\), BP: Mask 0.add_bias.mask: 0.add_bias.mask has to be GRADIENT, but is ACTIVATION",
    ),
    "node that makes an input": (
        lambda: with_value("1.rectify", role=Role.INPUT),
        FIRST + "1.rectify is an INPUT, which no node can make",
    ),
    "parameter that replaces nothing": (
        lambda: replace(GRAPH, updates=tuple(pair for pair in GRAPH.updates if pair[0] != W)),
        NEW + "0.weight.new is a PARAMETER, but replaces nothing",
    ),
    "state that replaces nothing": (
        lambda: replace(GRAPH, updates=tuple(pair for pair in GRAPH.updates if pair[0].role is not Role.STATE)),
        r"ScaledAdd 0.weight.velocity.new: 0.weight.velocity.new is a STATE, but replaces nothing",
    ),
    "update of an activation": (
        lambda: replace(GRAPH, updates=(*GRAPH.updates, (RECTIFY, POOL))),
        r"layer 1 \(ReLU\): update of 1.rectify: only a PARAMETER or STATE among the inputs can be replaced",
    ),
    "update of a new value": (
        lambda: replace(GRAPH, updates=(*GRAPH.updates, (NEW_W, NEW_W))),
        "update of 0.weight.new: only a PARAMETER or STATE among the inputs can be replaced",
    ),
    "two updates": (
        lambda: replace(GRAPH, updates=(*GRAPH.updates, (W, NEW_W))),
        UPDATE + "it is replaced twice",
    ),
    "update by nothing": (
        lambda: replace(trace(MODEL), updates=((W, replace(NEW_W, name="other")),)),
        UPDATE + "other is read before anything has defined it",
    ),
    "update by an input": (
        lambda: replace(trace(MODEL), updates=((W, W),)),
        UPDATE + "no node makes 0.weight",
    ),
    "update of another shape": (
        lambda: swapped("0.weight", "0.bias"),
        UPDATE + r"0.bias.new PARAMETER \(2,\) cannot replace 0.weight PARAMETER \(2, 1, 3, 3\)",
    ),
    "update of another role": (
        lambda: swapped("0.weight", "0.weight.velocity"),
        r"0.weight.velocity: 0.weight.new PARAMETER .* cannot replace 0.weight.velocity STATE",
    ),
    "gradient of another shape": (
        lambda: replace(GRAPH, gradients=((W, GRAPH.value("0.bias.sum_positions")), *GRAPH.gradients)),
        GRADIENT + r"0.bias.sum_positions GRADIENT \(2,\) has not the shape of 0.weight PARAMETER",
    ),
    "two gradients": (
        lambda: replace(GRAPH, gradients=(*GRAPH.gradients, GRAPH.gradients[-1])),
        r"layer 5 \(Linear\): gradient of 5.bias: there are two",
    ),
    "gradient that is none": (
        lambda: replace(GRAPH, gradients=((RECTIFY, RECTIFY),)),
        r"layer 1 \(ReLU\): gradient of 1.rectify: 1.rectify is ACTIVATION",
    ),
    "gradient of what is not there": (
        lambda: replace(GRAPH, gradients=((replace(W, name="other"), W),)),
        "gradient of other: other is read before anything has defined it",
    ),
    "gradient that is not there": (
        lambda: replace(GRAPH, gradients=((RECTIFY, replace(POOL, name="other")),)),
        r"layer 1 \(ReLU\): gradient of 1.rectify: other is read before anything has defined it",
    ),
    "unused node": (
        lambda: with_nodes(lambda nodes: nodes.append(extra("x", Role.ACTIVATION, "FP", "1.rectify", "1.rectify"))),
        r"layer 9 \(Extra\), FP: Add x: nothing needs what it makes",
    ),
    "unused input": (
        lambda: replace(GRAPH, inputs=(*GRAPH.inputs, Value("more", (1,), Role.INPUT))),
        "input more: nothing reads it",
    ),
    "unknown output": (
        lambda: replace(GRAPH, outputs=(Value("other", (1,), Role.ACTIVATION),)),
        "output other: other is read before anything has defined it",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_rule(rule: str) -> None:
    breaking, message = BROKEN[rule]
    with pytest.raises(GraphError, match=f"^.*{message}"):
        verify(breaking())


def test_what_is_whole_passes() -> None:
    verify(GRAPH)
    verify(with_value("1.rectify", name="renamed"))
    verify(trace(MODEL))
    for seed in range(20):
        verify(random_graph(seed))


def test_a_dead_chain_is_named_at_its_end() -> None:
    node = extra("x", Role.GRADIENT, "BP", "0.add_bias.mask", "0.add_bias.mask")
    more = Node(Mask(), (node.outputs[0], RECTIFY), (replace(node.outputs[0], name="y"),), node.origin)
    with pytest.raises(GraphError, match="Mask y: nothing needs what it makes"):
        verify(with_nodes(lambda nodes: nodes.extend([node, more])))


def test_an_operation_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(GraphError, match=r"layer 1 \(ReLU\), FP: Mask 1.rectify: reads dy, y"):
        verify(with_node("1.rectify", operation=Mask()))
    assert isinstance(GRAPH.nodes[place("1.rectify")].operation, Rectify)
