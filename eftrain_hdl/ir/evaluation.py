"""What a graph computes, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eftrain_hdl.checks import check_kind, shown

from .errors import GraphError, named, need
from .graph import Graph
from .values import Array, Role, Value


def evaluate(
    graph: Graph, values: Mapping[str, Array], scalars: Sequence[float] = (), dtype: Any = np.float64
) -> dict[str, Array]:
    """Arrays of all values of ``graph`` by name, from those of its inputs.

    All arithmetic is in ``dtype``, float64 or float32, to which inputs and ``scalars``, the table of scalars, are
    rounded first. Batched values have the batch as their first axis. Updates are values like others: who runs a step
    after the other takes ``new`` for ``value`` of each pair in ``graph.updates``.

    Raises GraphError for inputs that are missing, unknown or of another shape, TypeError for another dtype.
    """
    check_kind("graph", graph, Graph, "a Graph")
    check_kind("values", values, Mapping, "a dict of arrays by name")
    if not isinstance(dtype, (type, np.dtype)) or dtype not in (np.float64, np.float32):
        raise TypeError(f"dtype={shown(dtype)}: expected numpy.float64 or numpy.float32")
    arrays = _inputs(graph, values, np.dtype(dtype))
    batch = next((len(arrays[value.name]) for value in graph.inputs if value.batched), None)
    table = np.asarray(scalars, dtype)
    for node in graph.nodes:
        inputs = tuple(arrays[value.name] for value in node.inputs)
        with named(node.label):
            outputs = node.operation.evaluate(inputs, table)
        for value, array in zip(node.outputs, outputs, strict=True):
            shape = (batch, *value.shape) if value.batched else value.shape
            if array.shape != shape or array.dtype != dtype and value.role is not Role.INDEX:
                made = f"{array.dtype} {array.shape}"
                raise GraphError(f"{node.label}: the operation's evaluation made {made} where its rule says {shape}")
            arrays[value.name] = array
    return arrays


def _inputs(graph: Graph, values: Mapping[str, Array], dtype: np.dtype[Any]) -> dict[str, Array]:
    names = [value.name for value in graph.inputs]
    missing = [name for name in names if name not in values]
    unknown = [shown(name) for name in values if name not in names]
    need(not missing, f"values: missing {', '.join(missing)}")
    need(not unknown, f"values: the graph has no input {', '.join(unknown)}")
    arrays: dict[str, Array] = {}
    first: Value | None = None
    for value in graph.inputs:
        array = np.asarray(values[value.name])
        shape = array.shape[1:] if value.batched else array.shape
        fits = shape == value.shape and array.shape[:1] != (0,)
        need(fits, f"values: {value.name} has the shape {array.shape}: expected {value.size}")
        if value.batched:
            first = first or value
            batch = len(arrays.get(first.name, array))
            need(len(array) == batch, f"values: {value.name} has {len(array)} samples, but {first.name} has {batch}")
        arrays[value.name] = array.astype(dtype)
    return arrays
