"""How graphs are made: layers, gradient rules and optimizers add their nodes to a builder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import GraphError, named
from .graph import Graph, Node
from .operation import Operation
from .values import Origin, Role, Shape, Value
from .verify import verify


class GraphBuilder:
    """Grows a graph, from nothing or from ``graph``, which stays as it is.

    Names are put behind the present prefix: within ``layer("0", "Conv2d")`` the parameter "weight" is "0.weight".
    """

    def __init__(self, graph: Graph | None = None) -> None:
        self._inputs: list[Value] = list(graph.inputs) if graph else []
        self._nodes: list[Node] = list(graph.nodes) if graph else []
        self._updates: list[tuple[Value, Value]] = list(graph.updates) if graph else []
        self._names = {value.name for value in graph.values} if graph else set()
        self._prefix = ""
        self._origin: Origin | None = None

    @contextmanager
    def layer(self, name: str, kind: str) -> Iterator[None]:
        """Nodes of the forward pass of one layer; layers within layers join their names with a dot."""
        full = self._full(name)
        with self.at(Origin(f"layer {full} ({kind})", "FP"), full):
            yield

    @contextmanager
    def at(self, origin: Origin, prefix: str) -> Iterator[None]:
        """Nodes of ``origin``, names behind ``prefix``."""
        before = self._prefix, self._origin
        self._prefix, self._origin = prefix, origin
        try:
            yield
        finally:
            self._prefix, self._origin = before

    @property
    def origin(self) -> Origin:
        """Whose nodes are made now; GraphError outside of `layer` and `at`."""
        if self._origin is None:
            raise GraphError("a node needs an origin: add it within GraphBuilder.layer(name, kind)")
        return self._origin

    def input(self, name: str, shape: Shape, *, batched: bool = True) -> Value:
        """Something that the host writes. GraphError, as of all of these, if the name is taken."""
        return self._add_input(Value(self._full(name), shape, Role.INPUT, batched))

    def parameter(self, name: str, shape: Shape) -> Value:
        """Something that can be trained."""
        return self._add_input(Value(self._full(name), shape, Role.PARAMETER, batched=False))

    def state(self, name: str, shape: Shape) -> Value:
        """Something that is kept from step to step, and starts as zero."""
        return self._add_input(Value(self._full(name), shape, Role.STATE, batched=False))

    def add(self, operation: Operation, *inputs: Value, name: str = "", role: Role | None = None) -> Value:
        """A node that applies ``operation`` to ``inputs``; returns its first output.

        The output is called ``name``, or as the operation, with a number behind it if that is taken. Its role is
        ``role``, or ACTIVATION in the forward pass and GRADIENT behind it. GraphError, naming the layer and the rule,
        if the operation cannot take the inputs.
        """
        return self.add_all(operation, *inputs, name=name, role=role)[0]

    def add_all(
        self, operation: Operation, *inputs: Value, name: str = "", role: Role | None = None
    ) -> tuple[Value, ...]:
        """As `add`; returns all outputs, for those who read by-products."""
        origin = self.origin
        with named(f"{origin}: {operation}"):
            results = operation.check(inputs)
        role = role or (Role.ACTIVATION if origin.direction == "FP" else Role.GRADIENT)
        first = self._free(self._full(name or _snake(type(operation).__name__)))
        outputs = []
        for number, result in enumerate(results):
            taken = result.role or role
            own = self._free(f"{first}.{taken.name.lower()}") if number else first
            self._names.add(own)
            outputs.append(Value(own, result.shape, taken, result.batched))
        self._nodes.append(Node(operation, inputs, tuple(outputs), origin))
        return tuple(outputs)

    def update(self, value: Value, new: Value) -> None:
        """``new`` takes the place of ``value``, a PARAMETER or STATE, after a step."""
        self._updates.append((value, new))

    def finish(self, outputs: Sequence[Value], gradients: Sequence[tuple[Value, Value]] = ()) -> Graph:
        """The verified graph."""
        graph = Graph(
            tuple(self._nodes), tuple(self._inputs), tuple(outputs), tuple(gradients), tuple(self._updates)
        )  # fmt: skip
        verify(graph)
        return graph

    def _full(self, name: str) -> str:
        return f"{self._prefix}.{name}" if self._prefix else name

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}.{number}"
        return free

    def _add_input(self, value: Value) -> Value:
        if value.name in self._names:
            raise GraphError(f"{value.role.name} {value.name}: the name is taken")
        self._names.add(value.name)
        self._inputs.append(value)
        return value


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
