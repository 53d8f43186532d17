"""A graph of operations: immutable, in the order of execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .errors import GraphError
from .operation import Operation
from .values import Direction, Origin, Role, Value


@dataclass(frozen=True)
class Node:
    """One operation in its place: what it reads, what it makes, and whose work it is."""

    operation: Operation
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    origin: Origin

    @property
    def label(self) -> str:
        """How errors call it: ``layer 0 (Conv2d), FP: Convolution 0.convolution``."""
        return f"{self.origin}: {type(self.operation).__name__} {', '.join(value.name for value in self.outputs)}"

    def __str__(self) -> str:
        outputs = ", ".join(map(str, self.outputs))
        return f"{self.origin}: {outputs} = {self.operation}({', '.join(value.name for value in self.inputs)})"


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can be executed; `GraphBuilder` makes graphs, `verify` says what has to hold.

    Attributes
    ----------
    nodes : tuple of Node
    inputs : tuple of Value
        What no node makes: of role INPUT, PARAMETER or STATE.
    outputs : tuple of Value
        What the host reads after a step.
    gradients : tuple of (value, gradient)
        For all values that have one: activations, parameters, and outputs, whose gradients are inputs.
    updates : tuple of (value, new value)
        What replaces a PARAMETER or STATE after a step. Within the step everybody reads the old one.

    ``print(graph)`` shows one input or node a line.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    gradients: tuple[tuple[Value, Value], ...] = ()
    updates: tuple[tuple[Value, Value], ...] = ()

    @property
    def values(self) -> Iterator[Value]:
        """All values: the inputs, and what the nodes make, in order."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs

    @property
    def parameters(self) -> tuple[Value, ...]:
        """The parameters among the inputs."""
        return tuple(value for value in self.inputs if value.role is Role.PARAMETER)

    @property
    def results(self) -> tuple[Value, ...]:
        """What a step is run for: outputs, gradients of parameters, new values."""
        gradients = (gradient for value, gradient in self.gradients if value.role is Role.PARAMETER)
        return (*self.outputs, *gradients, *(new for _, new in self.updates))

    def value(self, name: str) -> Value:
        """The value of that name; GraphError if there is none."""
        if name not in self._by_name:
            raise GraphError(f"the graph has no value {name}")
        return self._by_name[name]

    def producer(self, value: Value) -> Node | None:
        """The node that makes ``value``, None for inputs."""
        return self._producers.get(value)

    def users(self, value: Value, *directions: Direction) -> tuple[Node, ...]:
        """The nodes that read ``value``, each once, in order; of the given directions, or all.

        ``graph.users(y, "FP")`` is what an activation goes to, whatever the backward pass reads it for. What the host
        reads, or an update takes, is in ``graph.results``.
        """
        users = self._users.get(value, ())
        return tuple(node for node in users if not directions or node.origin.direction in directions)

    def gradient(self, value: Value) -> Value | None:
        """The gradient of ``value``, None if it has none."""
        return self._gradients.get(value)

    def layer(self, value: Value) -> str:
        """The layer that ``value`` belongs to: the one that makes it, or for inputs the first that reads it."""
        node = self.producer(value) or next(iter(self.users(value)), None)
        return node.origin.layer if node else value.name

    def __str__(self) -> str:
        lines = [str(value) for value in self.inputs]
        lines += [str(node) for node in self.nodes]
        lines += [f"output {value.name}" for value in self.outputs]
        lines += [
            f"gradient of {value.name}: {gradient.name}"
            for value, gradient in self.gradients
            if value.role is Role.PARAMETER
        ]
        return "\n".join([*lines, *(f"update {value.name}: {new.name}" for value, new in self.updates)])

    @cached_property
    def _by_name(self) -> dict[str, Value]:
        return {value.name: value for value in self.values}

    @cached_property
    def _producers(self) -> dict[Value, Node]:
        return {value: node for node in self.nodes for value in node.outputs}

    @cached_property
    def _users(self) -> dict[Value, tuple[Node, ...]]:
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                users.setdefault(value, []).append(node)
        return {value: tuple(nodes) for value, nodes in users.items()}

    @cached_property
    def _gradients(self) -> dict[Value, Value]:
        return dict(self.gradients)
