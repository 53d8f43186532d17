"""A training step in order: programs of the layers that the compiler knows, passes of those that are planned only.

A network is cut into parts: runs of layers that the compiler knows, each with programs of its own, and single layers
between them. What has to wait for a layer that is planned only starts when that has ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

from eftrain_hdl.config import Config
from eftrain_hdl.graph import (
    SGD,
    AvgPool2d,
    BatchNorm2d,
    CrossEntropyLoss,
    Node,
    ReLU,
    Residual,
    Sequential,
    Shape,
    planned_only,
)
from eftrain_hdl.planner.passes import (
    Pass,
    addition,
    average_pool_backward,
    average_pool_forward,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_update,
    map_beats,
    rectify_backward,
)
from eftrain_hdl.planner.tiling import Tiling

from .context import Context
from .errors import CompileError
from .plan import Compilation, check_batch, check_step
from .sample import Detail
from .stages import Stage, cut_stages

__all__ = ["Passes", "Step"]


@dataclass(frozen=True)
class Passes:
    """One phase (FP, BP or WU) of a layer that is planned only."""

    node: Node
    phase: str
    passes: list[Pass]


Work = Context | Passes


class Step:
    """One training step of ``model``: `forward`, then `backward` with the update.

    Raises CompileError and GraphError as ``compile_model`` does, but not for layers that can be planned only. Programs
    are sampled, since only their timing is of interest, or left out.
    """

    def __init__(
        self, model: Sequential, config: Config, batch: int, optimizer: SGD, detail: Detail = Detail.SAMPLED
    ) -> None:
        check_step(model, config, optimizer)
        batch = check_batch(batch)
        CrossEntropyLoss().classes(model)
        if not model.parameter_shapes():
            raise CompileError("the network has nothing to train: it needs a Conv2d or a Linear layer")
        self._parts = _Cutter(config, batch, optimizer, detail).parts(model.nodes, behind=False, first=True)

    def forward(self) -> Iterator[Work]:
        """From inputs to logits."""
        for part in self._parts:
            yield from part.forward()

    def backward(self) -> Iterator[Work]:
        """From the gradient of the logits to new parameters."""
        for part in reversed(self._parts):
            yield from part.backward()

    def memory_bytes(self) -> int:
        """DRAM for tensors, once both directions have been gone through; maps belong to the layer that makes them."""
        return sum(part.memory_bytes() for part in self._parts)


class _Part(ABC):
    @abstractmethod
    def forward(self) -> Iterator[Work]:
        """Its phases, in order."""

    @abstractmethod
    def backward(self) -> Iterator[Work]:
        """Its phases, in order."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """DRAM for its tensors."""


@dataclass
class _Run(_Part):
    """Layers that the compiler knows, one after another."""

    compilation: Compilation

    def forward(self) -> Iterator[Work]:
        yield self.compilation.forward()

    def backward(self) -> Iterator[Work]:
        yield self.compilation.backward(fused=True)

    def memory_bytes(self) -> int:
        return self.compilation.memory.end


@dataclass
class _Planned(_Part):
    """A layer that is planned only: the passes of each of its phases."""

    node: Node
    passes: dict[str, list[Pass]]
    nbytes: int = 0

    def forward(self) -> Iterator[Work]:
        yield from self._phases("FP")

    def backward(self) -> Iterator[Work]:
        yield from self._phases("BP", "WU")

    def memory_bytes(self) -> int:
        return self.nbytes

    def _phases(self, *phases: str) -> Iterator[Work]:
        for phase in phases:
            if phase in self.passes:
                yield Passes(self.node, phase, self.passes[phase])


@dataclass
class _Block(_Part):
    """A residual block: its branches one after the other and then their sum; backward, where their gradients meet."""

    branches: list[_Part]
    sum: _Planned

    def forward(self) -> Iterator[Work]:
        for part in self.branches:
            yield from part.forward()
        yield from self.sum.forward()

    def backward(self) -> Iterator[Work]:
        for part in reversed(self.branches):
            yield from part.backward()
        yield from self.sum.backward()

    def memory_bytes(self) -> int:
        return self.sum.memory_bytes() + sum(part.memory_bytes() for part in self.branches)


class _Cutter:
    """Cuts layers into parts."""

    def __init__(self, config: Config, batch: int, optimizer: SGD, detail: Detail) -> None:
        self._config, self._batch, self._optimizer, self._detail = config, batch, optimizer, detail
        self._tilings: dict[tuple[Any, ...], Tiling] = {}

    def parts(self, nodes: Sequence[Node], behind: bool, first: bool = False) -> list[_Part]:
        """Parts of layers one after another; ``behind`` others that train, or ``first`` of the network."""
        parts: list[_Part] = []
        before: Node | None = None
        for planned, group in groupby(nodes, planned_only):
            some = list(group)
            if planned:
                for before in some:
                    parts.append(self._planned(before, behind))
                    behind = behind or bool(before.parameter_shapes())
                continue
            if before is not None and isinstance(some[0].layer, ReLU):
                parts += self._rectified(some.pop(0), before, behind)
            stages = cut_stages(some, some[0].input_shape, self._config, first and not parts) if some else []
            if stages:
                parts.append(_Run(self._compilation(stages, behind)))
            behind = behind or any(node.parameter_shapes() for node in some)
        return parts

    def _compilation(self, stages: list[Stage], behind: bool) -> Compilation:
        compilation = Compilation(
            stages, self._config, self._batch, self._optimizer, 0, detail=self._detail, behind=behind
        )
        compilation.tilings = self._tilings  # equal work of two runs is cut once
        return compilation

    def _rectified(self, node: Node, before: Node, behind: bool) -> list[_Part]:
        """A ReLU behind a layer that is planned only: part of its passes, but for the gradient behind sum and mean."""
        if isinstance(before.layer, BatchNorm2d) or not behind:
            return []
        return [_Planned(node, {"BP": rectify_backward(self._beats(node.output_shape))})]

    def _planned(self, node: Node, behind: bool) -> _Part:
        inputs, outputs, layer = self._beats(node.input_shape), self._beats(node.output_shape), node.layer
        held = 2 * outputs * self._config.beat_bytes  # the output and its gradient
        if isinstance(layer, BatchNorm2d):
            vectors = self._beats((layer.num_features, 1, 1)) // self._batch
            momentum = bool(self._optimizer.momentum)
            passes = {
                "FP": batch_norm_forward(outputs), "BP": batch_norm_backward(outputs, behind),
                "WU": batch_norm_update(vectors, momentum),
            }  # fmt: skip
            return _Planned(node, passes, held + 2 * (2 + momentum) * vectors * self._config.beat_bytes)
        if isinstance(layer, Residual):
            passes = {"FP": addition(outputs)} | ({"BP": addition(inputs)} if behind else {})
            second = inputs * self._config.beat_bytes if node.shortcut else 0  # the gradient that the shortcut makes
            branches = self.parts(node.body, behind) + self.parts(node.shortcut, behind)
            return _Block(branches, _Planned(node, passes, held + second))
        assert isinstance(layer, AvgPool2d)
        window = prod(layer.kernel_size)
        passes = {"FP": average_pool_forward(inputs, outputs, window)}
        if behind:
            passes["BP"] = average_pool_backward(inputs, outputs, window)
        return _Planned(node, passes, held)

    def _beats(self, shape: Shape) -> int:
        return map_beats(self._config, self._batch, shape)
