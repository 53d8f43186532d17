"""Gradients by finite differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eftrain_hdl.ir import Array, Graph, evaluate

_STEP = 1e-6


def numerical_gradient(
    graph: Graph, values: Mapping[str, Array], weights: Mapping[str, Array], name: str, places: int
) -> tuple[list[tuple[int, ...]], Array]:
    """Places of the input ``name``, at most ``places`` spread over it, and the derivatives there, in float64, of the
    sum of all outputs of ``graph`` in ``weights``, each times its weights.
    """
    chosen = [np.unravel_index(k, values[name].shape) for k in _spread(values[name].size, places)]
    slopes = []
    for place in chosen:
        sums = []
        for sign in (1, -1):
            moved = values[name].copy()
            moved[place] += sign * _STEP
            found = evaluate(graph, {**values, name: moved})
            sums.append(sum(float((found[output] * weight).sum()) for output, weight in weights.items()))
        slopes.append((sums[0] - sums[1]) / (2 * _STEP))
    return [tuple(map(int, place)) for place in chosen], np.array(slopes)


def _spread(count: int, places: int) -> list[int]:
    return sorted({int(k) for k in np.linspace(0, count - 1, min(count, places))})
