"""From a network to programs: what `compile_model` returns is all that a host needs to train on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind, integer
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, CrossEntropyLoss, Sequential, check_parameters, check_trainable
from eftrain_hdl.planner.tiling import Tiling

from .backward import Backward, backward_without_weights, can_fuse
from .context import Context
from .emit import assemble_aligned, move_program
from .errors import CompileError
from .forward import Forward, forward_without_weights
from .layouts import MapLayout, PlanarLayout
from .limits import MOST_RUN
from .memory import Memory, Tensor, check_base
from .optimize import Parameters, update_from_gradient
from .sample import Detail
from .stages import Map, Stage, build_stages, first_trainable
from .update import Update

__all__ = ["Plan", "PlannedProgram", "check_batch", "check_step", "compile_model"]

_MOST_BATCH = 4096


@dataclass(frozen=True)
class PlannedProgram:
    """One program: its words, where they belong, and the (layer index, phase) that ends at each stamp and at END."""

    name: str
    address: int
    words: NDArray[np.uint32]
    labels: list[tuple[int, str]]

    @property
    def nbytes(self) -> int:
        return 4 * len(self.words)


@dataclass
class Plan:
    """Everything about one network on one configuration.

    Attributes
    ----------
    programs : dict
        ``forward`` (inputs to logits), ``backward_update`` (gradient of the logits to new weights), and the same in
        two steps: ``backward`` (to stored gradients) and ``update``.
    tensors : dict
        ``input``, ``logits`` and ``logits_gradient`` for the host; ``weights.N``, ``gradient.N`` and ``velocity.N``
        for each layer N with weights; and those between the layers.
    memory_base, memory_bytes : int
        The part of the memory that programs and tensors take.
    """

    model: Sequential
    config: Config
    batch: int
    optimizer: SGD
    memory_base: int
    memory_bytes: int = 0
    programs: dict[str, PlannedProgram] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, list[tuple[int, str]]]:
        """(layer index, phase) that ends at each time stamp, by program."""
        return {name: program.labels for name, program in self.programs.items()}

    def relocated(self, memory_base: int) -> Plan:
        """The same plan for another place in memory, a multiple of 4096.

        ValueError if it is not, or if the addresses would not fit the configuration.
        """
        check_base(memory_base)
        shift = memory_base - self.memory_base
        if memory_base < 0 or memory_base + self.memory_bytes > 1 << self.config.address_width:
            raise ValueError(
                f"{self.memory_bytes} bytes at {memory_base:#x} do not fit {self.config.address_width} address bits"
            )
        programs = {
            name: replace(one, address=one.address + shift, words=move_program(one.words, shift))
            for name, one in self.programs.items()
        }
        tensors = {name: replace(one, address=one.address + shift) for name, one in self.tensors.items()}
        return replace(self, memory_base=memory_base, programs=programs, tensors=tensors)

    def _weighted(self) -> list[str]:
        """Names of the layers that have weights."""
        return [name.removeprefix("weights.") for name in self.tensors if name.startswith("weights.")]

    def pack_parameters(
        self, parameters: Mapping[str, NDArray[Any]], prefix: str = "weights"
    ) -> dict[str, NDArray[Any]]:
        """Words of all tensors called ``prefix.N`` from values by parameter name.

        GraphError if they are not the model's.
        """
        check_parameters(self.model, parameters)
        return {
            f"{prefix}.{layer}": self.tensors[f"{prefix}.{layer}"].pack(
                parameters[f"{layer}.weight"], parameters.get(f"{layer}.bias")
            )
            for layer in self._weighted()
        }

    def unpack_parameters(
        self, words: Mapping[str, NDArray[Any]], prefix: str = "weights"
    ) -> dict[str, NDArray[np.float32]]:
        """Values by parameter name from what was read of the tensors called ``prefix.N``."""
        values: dict[str, NDArray[np.float32]] = {}
        for layer in self._weighted():
            weight, bias = self.tensors[f"{prefix}.{layer}"].unpack(words[f"{prefix}.{layer}"])
            values[f"{layer}.weight"] = weight
            if bias is not None:
                values[f"{layer}.bias"] = bias
        return values


class Compilation:
    """A compilation of ``stages`` under way.

    ``behind``: the stages lie behind others that train. The gradient of their input is wanted as well, and it and the
    input are others' tensors, for which no memory is set aside.
    """

    def __init__(
        self, stages: list[Stage], config: Config, batch: int, optimizer: SGD, base: int, *,
        detail: Detail = Detail.COMPLETE, behind: bool = False,
    ):  # fmt: skip
        self.config, self.batch, self.optimizer = config, batch, optimizer
        self.stages = stages
        self.memory = Memory(base)
        self.behind = behind
        self.first = 0 if behind else first_trainable(stages)
        self.detail = detail
        self.tilings: dict[tuple[Any, ...], Tiling] = {}
        self._place_tensors()
        self._check_memory()  # before programs are made: those of what no memory holds would take for ever

    def _map(self, shape: Map, dtype: Any = np.float32) -> MapLayout:
        return MapLayout(self.batch, *shape, self.config.lanes, dtype)

    def _place_tensors(self) -> None:
        first = self.stages[0]
        layout: MapLayout | PlanarLayout = self._map(first.input_map)
        if first.planar:
            layout = PlanarLayout(
                self.batch, *first.input_map, first.stride[1], first.padding[1], self.config.vector_lanes
            )
        values = self.memory.tensor("input", layout, self._others())
        self.values = [values]
        self.gradient = self.memory.tensor("logits_gradient", self._map(self.stages[-1].output_map))
        self.indices: list[Tensor | None] = []
        for k, stage in enumerate(self.stages):
            name = "logits" if stage is self.stages[-1] else f"output.{k}"
            self.values.append(self.memory.tensor(name, self._map(stage.output_map)))
            pooled = stage.pool is not None
            self.indices.append(
                self.memory.tensor(f"index.{k}", self._map(stage.output_map, np.uint32)) if pooled else None
            )
            if stage.weights:
                self.memory.tensor(f"weights.{stage.parameter}", stage.weights)
                self.memory.tensor(f"gradient.{stage.parameter}", stage.weights)
                if self.optimizer.momentum:
                    self.memory.tensor(f"velocity.{stage.parameter}", stage.weights)

    def _others(self) -> int | None:
        """Address of a tensor at the input: a new one, or in others' memory."""
        return self.memory.base if self.behind else None

    def _tensor(self, kind: str, stage: Stage) -> Tensor:
        return self.memory.tensors[f"{kind}.{stage.parameter}"]

    def _finish(self, plan: Plan, name: str, context: Context) -> None:
        words = assemble_aligned(context.builder.finish())
        beats = -(-4 * len(words) // self.config.beat_bytes)
        if beats > MOST_RUN:
            raise CompileError(f"the program {name} has {beats} beats: at most {MOST_RUN} can be fetched")
        address = self.memory.place(4 * len(words))
        plan.programs[name] = PlannedProgram(name, address, words, context.builder.labels)

    def forward(self) -> Context:
        """From inputs to logits."""
        context = Context(self.config, self.batch, self.detail, self.tilings)
        for k, stage in enumerate(self.stages):
            source, output, index = self.values[k], self.values[k + 1], self.indices[k]
            if stage.weights:
                Forward(context, stage, source, self._tensor("weights", stage), output, index).emit()
            else:
                forward_without_weights(context, stage, source, output, index)
        return context

    def backward(self, fused: bool) -> Context:
        """From the gradient of the logits down to the first weights, updated on the way or with gradients stored."""
        context = Context(self.config, self.batch, self.detail, self.tilings)
        gradient, passed = self.gradient, False
        for k in range(len(self.stages) - 1, self.first - 1, -1):
            stage = self.stages[k]
            if not (passed or stage.passes_through):
                result = self._between(f"result_gradient.{k}", stage.result_map)
                backward_without_weights(context, stage, gradient, result, self.values[k + 1], self.indices[k])
                gradient = result
            passed = False
            if not stage.weights:
                continue
            here = gradient
            if k > self.first:
                before = self.stages[k - 1]
                passed = can_fuse(self.config, self.batch, stage, before)
                shape = before.result_map if passed else before.output_map
                gradient = self._between(f"{'result' if passed else 'output'}_gradient.{k - 1}", shape)
                Backward(
                    context, stage, here, self._tensor("weights", stage), gradient, before if passed else None,
                    self.values[k], self.indices[k - 1],
                ).emit()  # fmt: skip
            elif self.behind:
                gradient = self.memory.tensor("input_gradient", self._map(stage.input_map), self._others())
                weights, values = self._tensor("weights", stage), self.values[k]
                Backward(context, stage, here, weights, gradient, None, values, None).emit()
            Update(context, stage, self.values[k], here, self._parameters(stage), fused).emit()
        return context

    def update(self) -> Context:
        """The optimizer's step from stored gradients."""
        context = Context(self.config, self.batch, self.detail, self.tilings)
        for stage in self.stages:
            if stage.weights:
                update_from_gradient(context, stage, self._parameters(stage))
        return context

    def _between(self, name: str, shape: Map) -> Tensor:
        return self.memory.tensors.get(name) or self.memory.tensor(name, self._map(shape))

    def _parameters(self, stage: Stage) -> Parameters:
        velocity = self._tensor("velocity", stage) if self.optimizer.momentum else None
        return Parameters(self._tensor("weights", stage), self._tensor("gradient", stage), velocity)

    def _check_memory(self) -> None:
        if self.memory.end > 1 << self.config.address_width:
            raise CompileError(
                f"the network needs {self.memory.end - self.memory.base:,} bytes from {self.memory.base:#x} on, "
                f"more than {self.config.address_width} address bits reach"
            )

    def run(self, model: Sequential) -> Plan:
        """All programs."""
        plan = Plan(model, self.config, self.batch, self.optimizer, self.memory.base)
        plan.tensors = self.memory.tensors
        self._finish(plan, "forward", self.forward())
        self._finish(plan, "backward_update", self.backward(fused=True))
        self._finish(plan, "backward", self.backward(fused=False))
        self._finish(plan, "update", self.update())
        self._check_memory()
        plan.memory_bytes = self.memory.end - self.memory.base
        return plan


def check_batch(batch: Any) -> int:
    """``batch`` as an int: TypeError unless it is an integer, CompileError unless programs can have it."""
    return integer("batch", batch, 1, _MOST_BATCH, error=CompileError, why="a program trains on no more samples")


def check_step(model: Any, config: Any, optimizer: Any) -> None:
    """TypeError unless they are what a training step is compiled of."""
    check_kind("model", model, Sequential, "an eftrain_hdl.Sequential of layers")
    check_kind("config", config, Config, "an eftrain_hdl.Config(rows=..., lanes=...)")
    check_kind("optimizer", optimizer, SGD, "an eftrain_hdl.SGD(lr=...)")


def compile_model(
    model: Sequential, config: Config, *, batch: int, loss: CrossEntropyLoss, optimizer: SGD, memory_base: int = 0
) -> Plan:
    """Compile the training of ``model`` in batches of ``batch`` for an accelerator of ``config``.

    Addresses start at ``memory_base``, a multiple of 4096. Raises CompileError if something does not fit, naming the
    layer, and GraphError if the model does not end in a feature vector or has layers that can only be planned;
    TypeError or ValueError for arguments of another kind.
    """
    check_step(model, config, optimizer)
    check_kind("loss", loss, CrossEntropyLoss, "an eftrain_hdl.CrossEntropyLoss()")
    batch, memory_base = check_batch(batch), check_base(memory_base)
    loss.classes(model)
    check_trainable(model)
    return Compilation(build_stages(model, config), config, batch, optimizer, memory_base).run(model)
