"""Every size of every layer up to what instructions can say, and one beyond: right numbers or an error."""

from __future__ import annotations

import re

import pytest

from eftrain_hdl.compiler import CompileError, compile_model
from eftrain_hdl.compiler.emit import ProgramBuilder, nest
from eftrain_hdl.compiler.estimate import estimate_step
from eftrain_hdl.compiler.limits import DoesNotFit, check_reach
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Layer, MaxPool2d, ReLU, Sequential, Shape
from eftrain_hdl.isa import COMPUTE_BLOCK_QUANTITIES, FORMATS, VECTOR_LEVELS, VECTOR_QUANTITIES, Instruction, Opcode
from tests.compiler.golden_check import check_training
from tests.compiler.networks import classifier

DEEP = Config(
    rows=2, lanes=2, streaming_depth=1 << 16, stationary_depth=1 << 16, accumulator_depth=1 << 15, operand_depth=1 << 15
)
C, P = Conv2d, MaxPool2d

AT_THE_LIMIT: dict[str, tuple[list[Layer], Shape]] = {
    "pooling window of 257 rows": ([C(1, 2, 1), P((257, 1))], (1, 257, 1)),
    "pooling window of 257 columns": ([C(1, 2, 1), P((1, 257))], (1, 1, 257)),
    "pooling window of 256 x 256": ([C(1, 1, 1), P(256, 256, 96)], (1, 64, 64)),
    "pooling stride of 256 x 256": ([C(1, 2, 1), P(2, 256)], (1, 258, 20)),
    "pooling stride of 32768 rows": ([C(1, 2, 1), P((2, 1), (32768, 1))], (1, 9, 2)),
    "overlapping windows of 300 rows": ([C(1, 2, 1), P((300, 2), (150, 1)), ReLU()], (1, 460, 3)),
    "stride of 255 rows": ([C(1, 2, 1), ReLU(), C(2, 2, (2, 1), (255, 1))], (1, 258, 2)),
    "stride of 255 columns": ([C(1, 2, 1), ReLU(), C(2, 2, (1, 2), (1, 255))], (1, 2, 258)),
    "stride of 255 rows, first layer": ([C(1, 2, 2, (255, 2))], (1, 257, 5)),
    "stride of 255 columns, first layer": ([C(1, 2, 2, (2, 255))], (1, 5, 258)),
    "32768 columns": ([C(1, 2, (1, 2), padding=(0, 1)), P((1, 4096))], (1, 1, 32767)),
    "32768 columns, strides": ([C(1, 2, (1, 3), (1, 64), (0, 1)), ReLU()], (1, 1, 32767)),
    "32769 rows": ([C(1, 2, (3, 1), padding=(1, 0)), P((128, 1))], (1, 32769, 1)),
    "33000 rows, two layers": (
        [C(1, 2, (3, 1), padding=(1, 0)), ReLU(), P((64, 1)), C(2, 2, (3, 1), (2, 1)), P((16, 1))], (1, 33000, 1)
    ),
    "70001 rows, pooled first": ([P((8, 1)), C(1, 2, (3, 1), padding=(1, 0)), P((128, 1))], (1, 70001, 1)),
}  # fmt: skip
BEYOND: dict[str, tuple[list[Layer], Shape, str]] = {
    "pooling stride of 257 x 256": ([C(1, 2, 1), P(2, (257, 256))], (1, 9, 9), "layer 1 (MaxPool2d): 65792 positions"),
    "pooling stride of 65537 rows": (
        [C(1, 2, 1), P((1, 1), (65537, 1))], (1, 9, 2), "layer 1 (MaxPool2d): 65537 positions"
    ),
    "pooling stride of 32769 rows": (
        [C(1, 2, 1), P((2, 1), (32769, 1))], (1, 9, 2), "layer 0 (Conv2d): VECTOR.y reach 32768: 32767"
    ),
    "pooling window of 257 x 256": (
        [C(1, 1, 1), P((257, 256), 1, 96)], (1, 70, 70), "layer 1 (MaxPool2d): 65792 positions"
    ),
    "stride of 256 rows": ([C(1, 2, 1), C(2, 2, 1, (256, 1))], (1, 3, 3), "layer 1 (Conv2d): stride (256, 1): 255"),
    "stride of 256 columns": ([C(1, 2, 2, (1, 256))], (1, 3, 3), "layer 0 (Conv2d): stride (1, 256): 255"),
    "32769 columns": ([C(1, 2, (1, 2), padding=(0, 1))], (1, 1, 32768), "layer 0 (Conv2d): 32769 columns 32768"),
    "32769 columns pooled": ([P((1, 2))], (1, 1, 32769), "layer 0 (MaxPool2d): 32769 columns 32768"),
    "a row that no operand memory holds": (
        [C(1, 2, 1), ReLU(), C(2, 2, 1)], (1, 1, 32767), "layer 2 (Conv2d): 32767 beats memory A 16384"
    ),
}  # fmt: skip
"""What of the message there must be, in this order."""


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_sizes_at_the_limit_are_trained(name: str) -> None:
    layers, shape = AT_THE_LIMIT[name]
    check_training(classifier(*layers, input_shape=shape, classes=2), DEEP, 1, steps=1)


@pytest.mark.parametrize("name", BEYOND)
def test_sizes_beyond_the_limit_are_refused_with_the_layer(name: str) -> None:
    """When compiled, and when planned."""
    layers, shape, parts = BEYOND[name]
    text = ".*".join(map(re.escape, parts.split()))
    model = classifier(*layers, input_shape=shape, classes=2)
    with pytest.raises(CompileError, match=text):
        compile_model(model, DEEP, batch=1, loss=CrossEntropyLoss(), optimizer=SGD(lr=0.1))
    with pytest.raises(CompileError, match=text):
        estimate_step(model, DEEP, batch=1)


def test_a_network_beyond_the_address_space_is_refused() -> None:
    config = Config(rows=2, lanes=2, address_width=32)
    model = classifier(C(1, 2, 1), input_shape=(1, 4, 4), classes=2)
    last = (1 << 32) - 4096
    with pytest.raises(CompileError, match="32 address bits"):
        compile_model(model, config, batch=1, loss=CrossEntropyLoss(), optimizer=SGD(lr=0.1), memory_base=last)


def _ends(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


@pytest.mark.parametrize("opcode", Opcode)
def test_every_field_takes_its_ends_and_nothing_beyond(opcode: Opcode) -> None:
    """Neither the builder nor the encoder masks a value."""

    def builder() -> ProgramBuilder:
        made = ProgramBuilder()
        made.emit(Opcode.VECTOR, {})  # stores follow one
        return made

    for field in FORMATS[opcode].fields:
        if field.name in ("opcode", "length"):
            continue
        low, high = _ends(field.bits, field.signed)
        for value in (low, high):
            builder().emit(opcode, {field.name: value})
            Instruction(opcode, {field.name: value}).encode()
        for value in (low - 1, high + 1):
            limit = f"at least {low}" if value < low else f"at most {high}"
            with pytest.raises(DoesNotFit, match=rf"{opcode.name}\.{field.name} .*{value}: {limit}"):
                builder().emit(opcode, {field.name: value})
            with pytest.raises(ValueError, match=rf"{opcode.name}\.{field.name} "):
                Instruction(opcode, {field.name: value}).encode()


@pytest.mark.parametrize("name", ["row", "col", "y", "x", "index"])
def test_no_coordinate_of_a_vector_instruction_wraps(name: str) -> None:
    low, high = (0, 65535) if name == "index" else (-32768, 32767)
    for base, gain, count in [(low, 1, 8), (high - 7, 1, 8), (high, -1, 8), (low + 14, -2, 8), (low, high - low, 2)]:
        check_reach(Opcode.VECTOR, *_looped(name, base, gain, count))
    for base, gain, count in [(high - 6, 1, 8), (low + 6, -1, 8), (low, high - low + 1, 2), (low - 1, 1, 1)]:
        with pytest.raises(DoesNotFit, match=rf"VECTOR\.{name} .* would reach -?\d+: at (least|most) -?\d+"):
            check_reach(Opcode.VECTOR, *_looped(name, base, gain, count))


def _looped(name: str, base: int, gain: int, count: int) -> tuple[dict[str, int], list]:
    made = nest("n", VECTOR_LEVELS, VECTOR_QUANTITIES, [(count, {name: gain})])
    return {f"{name}_base": base}, [made.reach]


def test_loops_are_joined_only_as_far_as_a_count_goes() -> None:
    """Two loops that go on where the inner one ends are one, unless it had more than 65535 iterations."""
    for count, joined in ((255, 65535 // 257 * 257), (256, 257)):
        made = nest("b", 4, COMPUTE_BLOCK_QUANTITIES, [(257, {"a": 1}), (count, {"a": 257})])
        assert made.values["b0_count"] == joined
        assert made.values["b1_count"] == (1 if joined > 257 else count)


def test_the_message_of_a_row_without_place_says_what_would_do() -> None:
    small = Config(rows=4, lanes=4, operand_depth=64)
    model = Sequential(*[C(1, 2, 1), ReLU(), P(1), C(2, 2, 1)], input_shape=(1, 4, 100))
    text = re.escape("operand memory A, and half of it (operand_depth 64) is 32")
    with pytest.raises(CompileError, match=text):
        compile_model(
            classifier(*model.layers, input_shape=(1, 4, 100), classes=2), small, batch=1, loss=CrossEntropyLoss(),
            optimizer=SGD(lr=0.1),
        )  # fmt: skip
