"""Plans in files: what comes back is what went in, and anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eftrain_hdl.compiler import Plan, PlanFileError, compile_model, load_plan, save_plan
from eftrain_hdl.config import Config
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential
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


def change(path: Path, **values: Any) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(arrays["plan"].tobytes()) | values
    arrays["plan"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 99}, "version 99 of the format, not 1: compile anew"),
        ({"instruction_set": "0"}, "another encoding of the instructions: compile anew"),
        ({"layers": [{"kind": "Softmax"}]}, "damaged: KeyError: 'Softmax'"),
        ({"config": {"rows": 3}}, "damaged"),
        ({"memory_bytes": 4096}, "lies outside of the plan's memory"),
        ({"programs": {"other": [0, []]}}, "damaged: KeyError"),
    ],
)
def test_plans_that_cannot_be_run_are_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.npz"
    save_plan(compiled(), path)
    change(path, **values)
    with pytest.raises(PlanFileError, match=message):
        load_plan(path)


@pytest.mark.parametrize("content", [b"", b"PK nothing", b"text"])
def test_files_that_are_no_plans_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plan.npz"
    path.write_bytes(content)
    with pytest.raises(PlanFileError, match="is not a plan file"):
        load_plan(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(PlanFileError, match="is not a plan file"):
        load_plan(path)
    with pytest.raises(FileNotFoundError):
        load_plan(tmp_path / "nowhere.npz")
