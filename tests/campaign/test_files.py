"""Damaged files: each is read as what was written, or refused with the documented error that names it."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.compiler import Plan, PlanFileError, compile_model, load_plan, save_plan
from eftrain_hdl.config import Config
from eftrain_hdl.data import DataError, Dataset, load_data
from eftrain_hdl.files import FileError, read_arrays, write_arrays
from eftrain_hdl.graph import SGD, Conv2d, CrossEntropyLoss, Flatten, GraphError, Linear, ReLU, Sequential
from eftrain_hdl.runtime.checkpoint import TrainingState, initial_state, read_state, write_state
from eftrain_hdl.runtime.verilator import cached
from tests.campaign.file_damage import (
    BYTES,
    NONSENSE,
    json_places,
    members,
    npy_header,
    swap_names,
    with_nonsense,
    zip_field,
)

MODEL = Sequential(Conv2d(3, 6, 3, padding=1), ReLU(), Flatten(), Linear(96, 4), input_shape=(3, 4, 4))
SAME, REFUSED, ANOTHER = "read as written", "refused", "another whole one"
ARCHIVE = (*BYTES, zip_field, swap_names)


@dataclass
class Case:
    """A kind of file: a whole one, how it is read, and what may be raised for a damaged one."""

    path: Path
    read: Callable[[], Any]
    plain: Callable[[Any], Any]
    """What is read as something that can be compared."""
    errors: tuple[type[ValueError], ...]

    def __post_init__(self) -> None:
        self.whole = self.path.read_bytes()
        self.expected = self.plain(self.read())

    def judge(self, content: bytes, forged: bool = False) -> str:
        """SAME or REFUSED, or else what is wrong. ``forged``: the file is whole as such, so that it may be another."""
        self.path.write_bytes(content)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            verdict = self._verdict(forged)
        return f"warns: {told[0].message}" if told else verdict

    def _verdict(self, forged: bool) -> str:
        try:
            found = self.plain(self.read())
        except self.errors as error:
            return REFUSED if str(error).startswith(f"{self.path}: ") else f"does not name the file: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if found == self.expected:
            return SAME
        return ANOTHER if forged else "SILENT DIFFERENCE"


def plain(value: Any) -> Any:
    """Arrays as bytes, anything else as text."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return repr(value)


def plain_plan(plan: Plan) -> Any:
    programs = {name: (one.address, one.labels, plain(one.words)) for name, one in plan.programs.items()}
    about = (plan.model, plan.config, plan.batch, plan.optimizer, plan.memory_base, plan.memory_bytes, plan.tensors)
    plan.relocated(1 << 20)  # which a trainer does first
    return repr(about), programs


def plain_state(state: TrainingState) -> Any:
    return plain(state.parameters), plain(state.velocity), repr(state.position)


def plain_data(data: Dataset) -> Any:
    return data.name, data.classes, [plain(one) for one in (data.x_train, data.y_train, data.x_test, data.y_test)]


def places_beside_values(content: bytes) -> list[int]:
    """Places of zip's records and of the arrays' headers."""
    starts = [k for k in range(len(content)) if content.startswith(b"PK\x03\x04", k)]
    return [k for start in starts for k in range(start, content.index(b"\n", start) + 1)] + list(
        range(content.index(b"PK\x01\x02"), len(content))
    )


def plan_case(folder: Path) -> Case:
    path = folder / "plan.npz"
    loss = CrossEntropyLoss()
    save_plan(compile_model(MODEL, Config(rows=4, lanes=8), batch=2, loss=loss, optimizer=SGD(0.1, 0.9)), path)
    return Case(path, lambda: load_plan(path), plain_plan, (PlanFileError,))


def checkpoint_case(folder: Path) -> Case:
    path = folder / "checkpoint.npz"
    state = initial_state(MODEL, 3)
    write_state(path, MODEL, TrainingState(state.parameters, state.parameters, state.position))
    return Case(path, lambda: read_state(path, MODEL, 0, SGD(0.1, 0.9)), plain_state, (FileError, GraphError))


def data_case(folder: Path) -> Case:
    path, random_numbers = folder / "data.npz", np.random.default_rng(5)
    parts = {f"x{name}": random_numbers.normal(size=(count, 3, 4, 4)) for name, count in (("", 9), ("_test", 4))}
    labels = {f"y{name}": random_numbers.integers(0, 4, count) for name, count in (("", 9), ("_test", 4))}
    np.savez_compressed(path, **parts, **labels)  # type: ignore[arg-type]
    return Case(path, lambda: load_data(path), plain_data, (DataError,))


def rewritten(case: Case, arrays: dict[str, Any]) -> bytes:
    """An archive with other arrays, whole but for the checksum, which is the one of before."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    with zipfile.ZipFile(io.BytesIO(case.whole)) as before, zipfile.ZipFile(file, "a") as archive:
        archive.comment = before.comment
    return file.getvalue()


def with_header(case: Case, choice: random.Random) -> bytes:
    """One member has another .npy header, with a right CRC."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(case.whole)) as before, zipfile.ZipFile(file, "w") as archive:
        chosen = choice.choice(before.namelist())
        for name in before.namelist():
            member = io.BytesIO(before.read(name))
            np.lib.format.read_magic(member)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
            header: dict[str, Any] = {"descr": dtype.str, "fortran_order": fortran, "shape": shape}
            text = repr(npy_header(header, choice) if name == chosen else header).encode() + b"\n"
            magic = np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little")
            archive.writestr(name, magic + text + member.read())
    return file.getvalue()


def edited(case: Case, choice: random.Random) -> bytes:
    """A plan file whose JSON was edited and whose checksum was made anew."""
    case.path.write_bytes(case.whole)
    arrays = read_arrays(case.path)
    about = json.loads(arrays["plan"].tobytes())
    # A place in the first levels as likely as one of the many in tensors and labels.
    place = choice.choice(list(json_places(about)))[: choice.randint(1, 6)]
    about = with_nonsense(about, place, choice.choice(NONSENSE))
    arrays["plan"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write_arrays(case.path, arrays)
    return case.path.read_bytes()


def campaign(case: Case, seeds: range, checksum: bool, is_plan: bool = False) -> None:
    """Damage of all kinds, one after another; what is whole as such is refused by the checksum, if there is one."""
    verdicts, faults = Counter[str](), []
    for seed in seeds:
        choice = random.Random(seed)
        kinds = [*ARCHIVE, "header", *["members"] * checksum, *["json"] * 3 * is_plan]
        kind = kinds[seed % len(kinds)]
        if kind == "members":
            verdict = case.judge(rewritten(case, members(read_whole(case), choice)))
        elif kind == "json":
            verdict = case.judge(edited(case, choice), forged=True)
        elif kind == "header":
            verdict = case.judge(with_header(case, choice), forged=not is_plan)
        else:
            verdict = case.judge(kind(case.whole, choice))  # type: ignore[operator]
        known = verdict in (SAME, REFUSED, ANOTHER)
        verdicts[verdict if known else "FAULT"] += 1
        if not known:
            faults.append(f"seed {seed}, {getattr(kind, '__name__', kind)}: {verdict}")
    print(f"{case.path.name}, seeds {seeds.start} to {seeds.stop - 1}:", end=" ")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    assert not faults, "\n".join(faults)
    assert verdicts[REFUSED] > len(seeds) // 2 and verdicts[SAME] > 0
    assert case.judge(case.whole) == SAME


def read_whole(case: Case) -> dict[str, Any]:
    case.path.write_bytes(case.whole)
    return read_arrays(case.path)


def cache_campaign(folder: Path, seeds: range) -> None:
    """Library and checksum are damaged, alone or both: what the cache gives is always what was made."""
    whole, verdicts = random.Random(1).randbytes(20_000), Counter[str]()

    def make(work: Path) -> Path:
        (work / "model.so").write_bytes(whole)
        return work / "model.so"

    for seed in seeds:
        choice = random.Random(seed)
        path = cached("key/model.so", "it", make)
        told = path.with_name("model.so.sha256")
        for one in choice.choice(((path,), (path,), (told,), (path, told))):
            one.write_bytes(BYTES[seed % len(BYTES)](one.read_bytes(), choice))
        if choice.random() < 0.1:
            choice.choice((path, told)).unlink()
        lines: list[str] = []
        assert cached("key/model.so", "it", make, lines.append).read_bytes() == whole, f"seed {seed}"
        verdicts["made again" if lines or not path.exists() else SAME] += 1
    print(f"cache entry, seeds {seeds.start} to {seeds.stop - 1}:", dict(verdicts))
    assert verdicts["made again"] > len(seeds) // 2


SHORT, LONG = range(40), range(1000, 1500)


@pytest.mark.parametrize("seeds", [SHORT, pytest.param(LONG, marks=pytest.mark.full)], ids=["short", "long"])
class TestDamagedFiles:
    def test_plan(self, seeds: range, tmp_path: Path) -> None:
        campaign(plan_case(tmp_path), seeds, checksum=True, is_plan=True)

    def test_checkpoint(self, seeds: range, tmp_path: Path) -> None:
        campaign(checkpoint_case(tmp_path), seeds, checksum=True)

    def test_data(self, seeds: range, tmp_path: Path) -> None:
        campaign(data_case(tmp_path), seeds, checksum=False)

    def test_cache_entry(self, seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path))
        cache_campaign(tmp_path, seeds)

    def test_bits_beside_the_values(self, seeds: range, tmp_path: Path) -> None:
        """One bit each, all in the long form, of an archive whose members are longer than what zipfile reads at once.

        It compares the CRC at a member's end, where a header that tells of fewer values never leads.
        """
        path, numbers = tmp_path / "data.npz", np.random.default_rng(6)
        parts = {f"x{name}": numbers.normal(size=(count, 3, 40, 10)) for name, count in (("", 10), ("_test", 20))}
        labels = {f"y{name}": numbers.integers(0, 4, count) for name, count in (("", 10), ("_test", 20))}
        np.savez(path, **parts, **labels)  # type: ignore[arg-type]
        case = Case(path, lambda: load_data(path), plain_data, (DataError,))
        bits = [(place, bit) for place in places_beside_values(case.whole) for bit in range(8)]
        verdicts, faults = Counter[str](), []
        for place, bit in bits if seeds is LONG else random.Random(7).sample(bits, 200):
            content = bytearray(case.whole)
            content[place] ^= 1 << bit
            verdict = case.judge(bytes(content))
            verdicts[verdict] += 1
            if verdict not in (SAME, REFUSED):
                faults.append(f"byte {place}, bit {bit}: {verdict}")
        print(f"bits beside the values: {dict(verdicts)}")
        assert not faults, "\n".join(faults)
        assert verdicts[REFUSED] > verdicts[SAME] > 0
