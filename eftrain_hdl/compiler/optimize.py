"""The optimizer's step with gradients that are accumulated or in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .context import Context
from .drains import Step
from .memory import Tensor
from .sample import Sample
from .stages import Stage
from .vector import Accumulated, Box, Operand, Output, Transfer, plus, split_box

__all__ = ["Parameters", "apply_optimizer", "store_gradient", "update_from_gradient"]


@dataclass(frozen=True)
class Parameters:
    """Tensors of a layer's parameters; ``velocity`` is None without momentum."""

    weights: Tensor
    gradient: Tensor
    velocity: Tensor | None


def apply_optimizer(
    context: Context, box: Box, parameters: Parameters, source: Accumulated | Tensor, what: str
) -> Iterator[Step]:
    """Gradients to new weights and velocities; ``box`` has output tiles and, as rows, vectors of each."""
    operands, outputs = [("a", parameters.weights)], [(0, parameters.weights)]
    fields = {"add_a": 1, "scale_a": 1, "sgd": 1}
    if parameters.velocity is not None:
        operands.append(("b", parameters.velocity))
        outputs.append((1, parameters.velocity))
        fields |= {"add_b": 1, "scale_b": 1}
    if isinstance(source, Tensor):
        operands.append(("c", source))
        fields["source"] = 1
    return _steps(context, box, what, source, operands, fields, outputs)


def store_gradient(
    context: Context, box: Box, parameters: Parameters, source: Accumulated, what: str
) -> Iterator[Step]:
    """Gradients to memory, for a step of the optimizer later."""
    return _steps(context, box, what, source, [], {}, [(0, parameters.gradient)])


def _steps(
    context: Context, box: Box, what: str, source: Accumulated | Tensor, operands: list[tuple[str, Tensor]],
    fields: dict[str, int], outputs: list[tuple[int, Tensor]],
) -> Iterator[Step]:  # fmt: skip
    """VECTOR instructions over words of weights, all operands and outputs alike."""

    def emit(part: Box, check: bool) -> None:
        def run(tensor: Tensor) -> Transfer:
            return context.weight_run(tensor, part.tile, part.tile_end, part.row, part.row_end)

        if isinstance(source, Accumulated):
            loops = [*source.lane_levels(), (part.rows, {"acc": 1}), *source.tile_levels(part.tile, part.tile_end)]
            start = source.base(0, part.tile, part.row, 0)
        else:
            loops, start = [(part.tiles * part.rows * context.config.vector_beats, {})], {}
        levels, passed = [], 1
        for count, gain in loops:
            levels.append((count, plus(gain, {name: passed for name, _ in operands})))
            passed *= count
        loads = [Operand(name, run(tensor)) for name, tensor in operands]
        stores = [Output(number, run(tensor)) for number, tensor in outputs]
        if check:
            context.emitter.fields(levels, fields | start, loads, stores)
        else:
            region = source.region() if isinstance(source, Accumulated) else None
            context.emitter.emit(levels, fields | start, loads, stores, region)

    for part in split_box(box, lambda candidate: emit(candidate, True), what):
        yield lambda part=part: emit(part, False)  # type: ignore[misc]


def update_from_gradient(context: Context, stage: Stage, parameters: Parameters) -> None:
    """The optimizer's step with a stored gradient, as a phase of its own."""
    assert stage.weights is not None
    whole = Box(0, 1, 0, stage.weights.output_tiles, 0, stage.weights.pitch)
    sample = Sample(context)
    sample.run(apply_optimizer(context, whole, parameters, parameters.gradient, f"{stage.name}: update"))
    sample.end()
    context.end_phase(stage, "WU")
