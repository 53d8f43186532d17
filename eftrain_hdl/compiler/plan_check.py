"""What a plan has to be before anything is run with it: whole, and of one piece with its model and configuration."""

from __future__ import annotations

import numpy as np

from eftrain_hdl.isa import INSTRUCTION_ALIGNMENT, InstructionFormat, frames

from .layouts import MapLayout, PlanarLayout, WeightLayout
from .memory import PAGE, Tensor, check_base
from .plan import Compilation, Plan, PlannedProgram, check_batch
from .stages import build_stages

__all__ = ["PHASES", "PROGRAMS", "check_plan", "expected_layouts"]

PROGRAMS = ("forward", "backward_update", "backward", "update")
PHASES = ("FP", "BP", "WU")

Layout = MapLayout | PlanarLayout | WeightLayout


def expected_layouts(plan: Plan) -> tuple[dict[str, Layout], dict[str, Layout]]:
    """Layouts of the tensors that a plan needs, and of those between layers that it may have besides, by name.

    ValueError if the model, the configuration and the batch do not go together.
    """
    check_batch(plan.batch)
    check_base(plan.memory_base)
    stages = build_stages(plan.model, plan.config)
    compilation = Compilation(stages, plan.config, plan.batch, plan.optimizer, plan.memory_base)
    between: dict[str, Layout] = {}
    for k, stage in enumerate(stages):
        for kind, shape in (("result", stage.result_map), ("output", stage.output_map)):
            between[f"{kind}_gradient.{k}"] = MapLayout(plan.batch, *shape, plan.config.lanes)
    return {name: one.layout for name, one in compilation.memory.tensors.items()}, between


def check_plan(plan: Plan) -> None:
    """ValueError, naming the tensor or program, unless the plan can be run as it stands.

    Tensors and programs lie apart in the plan's memory, the programs can be decoded, and what they load and store lies
    there too.
    """
    if set(plan.programs) != set(PROGRAMS):
        raise ValueError(f"has the programs {', '.join(sorted(plan.programs))}: expected {', '.join(PROGRAMS)}")
    _check_places(plan)
    for program in plan.programs.values():
        _check_program(plan, program)


def _check_places(plan: Plan) -> None:
    end = plan.memory_base + plan.memory_bytes
    if plan.memory_base < 0 or end > 1 << plan.config.address_width:
        raise ValueError(f"its memory ends at {end:#x}: more than {plan.config.address_width} address bits")
    everything: dict[str, Tensor | PlannedProgram] = {**plan.tensors, **plan.programs}
    free, before = plan.memory_base, "the beginning of its memory"
    for name, one in sorted(everything.items(), key=lambda item: item[1].address):
        if one.address % PAGE:
            raise ValueError(f"{name} begins at {one.address:#x}: expected a multiple of {PAGE}")
        if one.address < free:
            raise ValueError(f"{name} begins at {one.address:#x}, before the end of {before} at {free:#x}")
        free, before = one.address + one.nbytes, name
        if free > end:
            raise ValueError(f"{name} lies outside of the plan's memory, which ends at {end:#x}")
    if free + -free % PAGE != end:
        raise ValueError(f"memory_bytes is {plan.memory_bytes}: expected {free + -free % PAGE - plan.memory_base}")


def _check_program(plan: Plan, program: PlannedProgram) -> None:
    name, words = program.name, program.words
    if words.dtype != np.uint32 or words.ndim != 1 or program.nbytes % INSTRUCTION_ALIGNMENT:
        raise ValueError(f"program {name} is {words.dtype} {words.shape}: expected whole lines of uint32 words")
    end = plan.memory_base + plan.memory_bytes
    values: list[int] = words.tolist()
    stamps = 1  # that of END
    try:
        for at, layout, whole in frames(values, 0):
            one = list(whole)
            stamps += _stamped(layout, one)
            if "address_low" in layout.places:
                layout.gives_address(values[at])
                first, last = _extent(layout, one, plan.config.beat_bytes)
                if not plan.memory_base <= first <= last <= end:
                    where = f"{layout.opcode.name} of {first:#x} to {last:#x}"
                    raise ValueError(f"word {at}: {where} lies outside of {plan.memory_base:#x} to {end:#x}")
    except ValueError as error:
        raise ValueError(f"program {name}, {error}") from None
    if len(program.labels) != stamps:
        raise ValueError(f"program {name} makes {stamps} time stamps but has {len(program.labels)} labels")
    for layer, phase in program.labels:
        if not 0 <= layer < len(plan.model.flat) or phase not in PHASES:
            raise ValueError(f"program {name} has the label {(layer, phase)}: no such layer or phase")


def _stamped(layout: InstructionFormat, words: list[int]) -> int:
    return _field(layout, words, "stamp", 1) if "stamp" in layout.places else 0


def _field(layout: InstructionFormat, words: list[int], name: str, bits: int) -> int:
    word, bit = layout.places[name]
    return words[word] >> bit & ((1 << bits) - 1)


def _extent(layout: InstructionFormat, words: list[int], beat: int) -> tuple[int, int]:
    """First address of a transfer and the one behind its last."""
    first = _field(layout, words, "address_low", 32) | _field(layout, words, "address_high", 32) << 32
    last = first + _field(layout, words, "run", 32) * beat
    for level in "123":
        stride = _field(layout, words, f"stride{level}", 32)
        reach = (_field(layout, words, f"count{level}", 16) - 1) * (stride - (stride >> 31 << 32))
        first, last = first + min(0, reach), last + max(0, reach)
    return first, last
