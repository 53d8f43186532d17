"""Plans in files: what comes back is what went in, and anything else is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eftrain_hdl.compiler import Plan, PlanFileError, compile_model, load_plan, save_plan
from eftrain_hdl.config import Config
from eftrain_hdl.files import read_arrays, write_arrays
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential
from eftrain_hdl.isa import FORMATS, Opcode
from eftrain_hdl.numerics import BF16, FloatFormat

MODEL = Sequential(
    Conv2d(3, 7, (3, 2), stride=2, padding=1, bias=False), ReLU(), MaxPool2d(2), Flatten(), Linear(28, 4),
    input_shape=(3, 8, 8),
)  # fmt: skip
CONFIGS = {
    "fp32": Config(rows=4, lanes=8),
    "bf16": Config(rows=8, lanes=4, operand=BF16, ports=3),
    "own format": Config(rows=4, lanes=4, operand=FloatFormat(6, 9, "mine"), window=20, axi3=True),
}


def compiled(config: Config = CONFIGS["fp32"], base: int = 0) -> Plan:
    return compile_model(
        MODEL, config, batch=3, loss=CrossEntropyLoss(), optimizer=SGD(0.1, 0.9), memory_base=base
    )


def assert_same(plan: Plan, other: Plan) -> None:
    for name in ("config", "batch", "optimizer", "memory_base", "memory_bytes", "tensors"):
        assert getattr(plan, name) == getattr(other, name), name
    assert repr(plan.model) == repr(other.model)
    assert plan.labels == other.labels and list(plan.tensors) == list(other.tensors)
    for name, program in plan.programs.items():
        assert program.address == other.programs[name].address
        np.testing.assert_array_equal(program.words, other.programs[name].words)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_read_is_what_was_written(name: str, tmp_path: Path) -> None:
    plan = compiled(CONFIGS[name])
    save_plan(plan, tmp_path / "a.npz")
    assert_same(load_plan(tmp_path / "a.npz"), plan)
    save_plan(load_plan(tmp_path / "a.npz"), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


@given(st.integers(0, 1 << 26), st.sampled_from(sorted(CONFIGS)))
@settings(max_examples=20, deadline=None)
def test_a_moved_plan_is_the_one_compiled_there(page: int, name: str) -> None:
    """40 bits of address: on both sides of 4 GiB."""
    config = CONFIGS[name]
    assert_same(compiled(config).relocated(4096 * page), compiled(config, 4096 * page))


def test_places_that_cannot_be_are_refused() -> None:
    plan = compiled()
    with pytest.raises(ValueError, match="multiple of 4096"):
        plan.relocated(100)
    with pytest.raises(ValueError, match=r"bytes at 0xfffffff000 do not fit 40 address bits"):
        plan.relocated((1 << 40) - 4096)


def contents(path: Path) -> tuple[Any, dict[str, Any]]:
    """The JSON and the programs of a plan file."""
    arrays = read_arrays(path)
    return json.loads(arrays.pop("plan").tobytes()), arrays


def forge(path: Path, about: Any, programs: dict[str, Any]) -> None:
    """A plan file with a right checksum whatever it says."""
    write_arrays(path, {"plan": np.frombuffer(json.dumps(about).encode(), np.uint8), **programs})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.npz"
    save_plan(compiled(), path)
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 1}, "has version 1 of the format, not 2: compile anew"),
        ({"instruction_set": "0"}, "another encoding of the instructions: compile anew"),
        ({"layers": [{"kind": "Softmax"}]}, r"layers\[0\]: kind is 'Softmax': expected Conv2d, "),
        ({"layers": [{"kind": "ReLU", "slope": 1}]}, r"layers\[0\] has slope: expected $"),
        ({"config": {"rows": 3}}, "config.operand is None: expected dict"),
        ({"batch": 2}, r"tensors.input: the layout is not the one that the model asks for, PlanarLayout\(batch=2"),
        ({"batch": 1 << 70}, "batch=1180591620717411303424: must be at most 4096"),
        ({"optimizer": {"lr": "0", "momentum": 0, "weight_decay": 0}}, "SGD: lr='0': expected a number"),
        ({"memory_bytes": 4096}, "lies outside of the plan's memory"),
        ({"memory_bytes": 1 << 41}, "more than 40 address bits"),
        ({"memory_bytes": 1 << 40}, "memory_bytes is 1099511627776: expected [0-9]+$"),
        ({"memory_base": 4096}, "input begins at 0x0, before the end of the beginning of its memory at 0x1000"),
        ({"memory_base": 100}, "memory_base must be a multiple of 4096"),
        ({"tensors": {}}, "tensors: gradient.0 is missing"),
        ({"programs": {}}, "expected plan$"),
        ({"comment": "mine"}, "the file has batch, comment, "),
    ],
)
def test_plans_that_cannot_be_run_are_refused(
    values: dict[str, Any], message: str, written: Path, tmp_path: Path
) -> None:
    about, programs = contents(written)
    path = tmp_path / "plan.npz"
    forge(path, about | values, programs)
    with pytest.raises(PlanFileError, match=message) as found:
        load_plan(path)
    assert str(found.value).startswith(f"{path}: ")


def test_places_and_programs_are_checked(written: Path, tmp_path: Path) -> None:
    """Each change alone makes the file one that is refused, with its place named."""
    path = tmp_path / "plan.npz"

    def refused(change: Callable[[Any, dict[str, Any]], None], message: str) -> None:
        about, programs = contents(written)
        change(about, programs)
        forge(path, about, programs)
        with pytest.raises(PlanFileError, match=message):
            load_plan(path)

    def put(where: Any, value: Any) -> Callable[[Any, dict[str, Any]], None]:
        return lambda about, programs: programs["program.forward"].__setitem__(where, value)

    def programs_with(name: str, change: Callable[[Any], Any]) -> Callable[[Any, dict[str, Any]], None]:
        return lambda about, programs: programs.update({name: change(programs[name])})

    load = FORMATS[Opcode.LOAD_X].places
    assert contents(written)[1]["program.forward"][0] & 0xFF == Opcode.LOAD_X
    refused(lambda a, p: a["tensors"]["input"].__setitem__(0, 100), "input begins at 0x64: expected a multiple of 4096")
    refused(lambda a, p: a["tensors"]["logits"].__setitem__(0, 0), "begins at 0x0, before the end of")
    refused(lambda a, p: a["tensors"].update(other=a["tensors"]["input"]), "tensors.other: the model has no such")
    refused(lambda a, p: a["programs"]["update"].__setitem__(0, 1 << 39), "update lies outside of the plan's memory")
    refused(lambda a, p: a["programs"]["update"][1].pop(), "program update makes 2 time stamps but has 1 labels")
    refused(lambda a, p: a["programs"]["update"][1].__setitem__(0, [9, "WU"]), r"has the label \(9, 'WU'\)")
    refused(lambda a, p: a["programs"]["update"][1].__setitem__(0, [0, "UP"]), r"has the label \(0, 'UP'\)")
    refused(lambda a, p: p.pop("program.update"), "the archive has plan, .*: expected plan, ")
    refused(lambda a, p: p.update(more=np.zeros(1)), "the archive has more, ")
    refused(programs_with("program.update", lambda words: words[:-1]), "program update is uint32 .*whole lines")
    refused(programs_with("program.update", lambda words: words.view(np.int32)), "program update is int32")
    refused(put(0, 0), "program forward, word 0: bad opcode 0x00")
    refused(put(0, 0x1100 | Opcode.LOAD_X), "program forward, word 0: the first LOAD_X has 20 words, not 17")
    refused(put(load["address_high"][0], 1), "program forward, word 0: LOAD_X of 0x1.* lies outside of")
    refused(put(load["run"][0], 1 << 30), "program forward, word 0: LOAD_X of .* lies outside of")
    backwards = put([load["count1"][0], load["stride1"][0]], [0x10002, 1 << 31])
    refused(backwards, "program forward, word 0: LOAD_X of -.* lies outside of")
    refused(put(slice(None), FORMATS[Opcode.BARRIER].words << 8 | Opcode.BARRIER), "the program has no END")


@pytest.mark.parametrize("content", [b"", b"PK nothing", b"text"])
def test_files_that_are_no_plans_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.npz"
    path.write_bytes(content)
    with pytest.raises(PlanFileError, match=r"plan\.npz: not an \.npz archive"):
        load_plan(path)
    for arrays in ({"x": np.zeros(3)}, {"plan": np.zeros(3)}, {"plan": np.frombuffer(b"[" * 99999, np.uint8)}):
        write_arrays(path, arrays)
        with pytest.raises(PlanFileError, match=r"plan\.npz: not a plan file"):
            load_plan(path)
    with pytest.raises(FileNotFoundError):
        load_plan(tmp_path / "nowhere.npz")


def test_an_edited_plan_is_refused(written: Path, tmp_path: Path) -> None:
    """As NumPy's users would edit it: without a checksum, or with the one of before."""
    path = tmp_path / "plan.npz"
    about, programs = contents(written)
    about["optimizer"]["lr"] = 0.2
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, plan=text, **programs)
    with pytest.raises(PlanFileError, match="has no checksum: other software has written or changed it"):
        load_plan(path)
    with zipfile.ZipFile(written) as before, zipfile.ZipFile(path, "a") as archive:
        archive.comment = before.comment
    with pytest.raises(PlanFileError, match="damaged or changed: its checksum is wrong"):
        load_plan(path)
