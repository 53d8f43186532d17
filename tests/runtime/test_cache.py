"""The cache of compiled models: made once, whole or not there, and never used damaged."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eftrain_hdl.config import Config
from eftrain_hdl.rtl import top
from eftrain_hdl.runtime.sim import cached_verilog
from eftrain_hdl.runtime.verilator import CacheError, build, build_model, cache, cache_directory, cached, find_toolchain

CONTENT = bytes(range(256)) * 8
PROCESSES = 24


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("EFTRAIN_CACHE", str(place))
    return place


def make(work: Path) -> Path:
    (work / "file").write_bytes(CONTENT)
    return work / "file"


def refuse(work: Path) -> Path:
    raise AssertionError("made again")


def files(folder: Path) -> list[str]:
    """All files but the locks, and folders that are left of the work."""
    found = (path for path in folder.rglob("*") if path.is_file() or "build-" in path.name)
    return sorted(str(path.relative_to(folder)) for path in found if path.suffix != ".lock")


def test_a_file_is_made_once(folder: Path) -> None:
    path = cached("a/model.so", "it", make)
    assert path == folder / "a/model.so" and path.read_bytes() == CONTENT
    assert cached("a/model.so", "it", refuse) == path
    assert files(folder) == ["a/model.so", "a/model.so.sha256"]
    subprocess.run(["sha256sum", "--check", "--strict", "model.so.sha256"], cwd=path.parent, check=True)


def test_a_file_that_is_there_needs_no_permission_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached("a", "it", make)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert cached("a", "it", refuse) == folder / "a"


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "cut": lambda path, told: path.write_bytes(CONTENT[:-1]),
    "empty": lambda path, told: path.write_bytes(b""),
    "flipped": lambda path, told: path.write_bytes(CONTENT[:99] + b"\0" + CONTENT[100:]),
    "longer": lambda path, told: path.write_bytes(CONTENT + b"\0"),
    "no checksum": lambda path, told: told.unlink(),
    "empty checksum": lambda path, told: told.write_bytes(b""),
    "checksum that is no text": lambda path, told: told.write_bytes(b"\xff" * 64),
    "another checksum": lambda path, told: told.write_text(f"{'0' * 64}  a\n"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_made_again(damage: str, folder: Path) -> None:
    path = cached("a", "it", make)
    DAMAGE[damage](path, folder / "a.sha256")
    lines: list[str] = []
    with path.open("rb") as mapped:  # as by another process, whose file must not change
        before = mapped.read()
        assert cached("a", "it", make, lines.append).read_bytes() == CONTENT
        mapped.seek(0)
        assert mapped.read() == before
    assert lines == [f"{path} is damaged: it is made again"]
    assert cached("a", "it", refuse) == path


def test_a_file_that_is_gone_is_made_again(folder: Path) -> None:
    cached("a", "it", make).unlink()
    assert cached("a", "it", make).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError("failed")]
)
@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_nothing(error: BaseException, there: bool, folder: Path) -> None:
    if there:
        cached("a", "it", make).write_bytes(b"damaged")

    def fail(work: Path) -> Path:
        make(work)
        raise error

    with pytest.raises(type(error)):
        cached("a", "it", fail)
    assert files(folder) == ["a", "a.sha256"] * there
    assert cached("a", "it", make).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["a", "a.sha256"])
def test_a_full_disk_leaves_no_half_entry(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        if any(path.name.startswith(f".{name}-") for path in folder.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"No space left on device: '{folder / name}'"):
            cached("a", "it", make)
    assert files(folder) == []
    assert cached("a", "it", make).read_bytes() == CONTENT


def a_file(folder: Path) -> None:
    folder.write_text("")


def below_a_file(folder: Path) -> None:
    folder.parent.rmdir()
    folder.parent.write_text("")


def with_a_file_for_a_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "sub").write_text("")


@pytest.mark.parametrize("spoil", [a_file, below_a_file, with_a_file_for_a_folder])
def test_a_folder_that_cannot_be_used_is_refused_before_any_work(
    spoil: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here" / "cache"
    folder.parent.mkdir()
    spoil(folder)
    monkeypatch.setenv("EFTRAIN_CACHE", str(folder))
    with pytest.raises(CacheError, match=f"the cache {folder} cannot be used: .*; set EFTRAIN_CACHE to a folder that"):
        cached("sub/a", "it", refuse)


@pytest.mark.parametrize("call", ["mkdir", "open", "mkdtemp"])
def test_a_folder_that_is_read_only_is_refused_before_any_work(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that would write into it fails, as for a user without permission."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    place: dict[str, tuple[Any, str]] = {
        "mkdir": (os, "mkdir"), "open": (cache, "open"), "mkdtemp": (tempfile, "mkdtemp")
    }  # fmt: skip
    monkeypatch.setattr(*place[call], fail, raising=False)
    with pytest.raises(CacheError, match=f"the cache {folder} cannot be used: Permission denied"):
        cached("a", "it", refuse)


def test_relative_folders_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EFTRAIN_CACHE", "here/cache")
    path = cached("a", "it", make)
    assert path == tmp_path / "here/cache/a" and path.read_bytes() == CONTENT
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EFTRAIN_CACHE", "~/here/cache")
    assert cached("a", "it", refuse) == path
    monkeypatch.setenv("EFTRAIN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg/eftrain-hdl"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == tmp_path / ".cache/eftrain-hdl"


def test_the_work_is_done_where_paths_have_no_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """make cannot build below a folder with a space, and a link hides none."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to("a b")
    for name in ("a b", "link/x"):
        monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path / name))
        works: list[Path] = []
        path = cached("a", "it", lambda work, works=works: (works.append(work.resolve()), make(work))[1])
        assert path.read_bytes() == CONTENT and path.parent == tmp_path / name
        assert len(str(works[0]).split()) == 1 and not works[0].exists()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "a b"))
    monkeypatch.setattr(cache, "_TEMPORARY", str(tmp_path / "a b"))
    with pytest.raises(CacheError, match=r"a b/other cannot be used: .* path without spaces"):
        monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path / "a b" / "other"))
        cached("a", "it", refuse)


def test_without_locks_the_file_is_made_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*args: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(cache.fcntl, "flock", no_locks)
    assert cached("a", "it", make).read_bytes() == CONTENT


def _first_use(barrier: Any, results: Any) -> None:
    """What `SimDevice` asks of the cache, with stand-ins for the elaboration and the tools."""
    def elaborate(config: Config) -> str:
        time.sleep(0.2)
        return "module eftrain; endmodule"

    def compile_it(work: Path, verilog: str, *_: Any) -> Path:
        (work / "model.so").write_bytes(CONTENT)
        time.sleep(0.2)
        _[-1]("compiling")
        return work / "model.so"

    top.generate_verilog = elaborate  # type: ignore[assignment]
    build._build = compile_it  # type: ignore[assignment]
    lines: list[str] = []
    barrier.wait()
    try:
        text = cached_verilog(Config(rows=4, lanes=8), lines.append)
        path = build_model(text, ports=1, data_width=128, top="eftrain", progress=lines.append)
        results.put((text, path.read_bytes(), lines))
    except BaseException as error:
        results.put(repr(error))


def test_many_first_uses_at_once(folder: Path) -> None:
    """Each gets the same content, one process makes it, and those that wait say so."""
    find_toolchain()  # which asks the tools for their versions: once, not in every process
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(PROCESSES), context.Queue()
    children = [context.Process(target=_first_use, args=(barrier, results)) for _ in range(PROCESSES)]
    for child in children:
        child.start()
    found = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert [one for one in found if isinstance(one, str)] == []
    assert {(text, content) for text, content, _ in found} == {("module eftrain; endmodule", CONTENT)}
    lines = [line for _, _, lines in found for line in lines]
    assert lines.count("elaborating the 4 x 8 accelerator") == lines.count("compiling") == 1
    waited = {line for line in lines if line.startswith("waiting for another process, which makes ")}
    made = {line.partition("makes ")[2] for line in waited}
    assert made == {"the Verilog of the 4 x 8 accelerator", "the same model"}
    assert set(lines) == waited | {"elaborating the 4 x 8 accelerator", "compiling"}
    assert len(files(folder)) == 4


def test_an_interrupted_build_leaves_no_process_and_no_folder(folder: Path) -> None:
    """The interruption reaches Python alone, as in a notebook; what the tool has started runs on in its own process."""
    started: list[int] = []

    def interrupt_when_started(place: Path) -> None:
        while not (place / "pid").exists() or not (place / "pid").read_text().endswith("\n"):
            time.sleep(0.01)
        started.append(int((place / "pid").read_text()))
        os.kill(os.getpid(), signal.SIGINT)

    def build_with_a_child(work: Path) -> Path:
        threading.Thread(target=interrupt_when_started, args=(work,), daemon=True).start()
        script = "sleep 20 & echo $! > pid; wait"
        build._run(["sh", "-c", script], work, find_toolchain(), "the stand-in")
        return work

    # What a shell starts in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            cached("a", "it", build_with_a_child)
    finally:
        signal.signal(signal.SIGINT, before)
    assert files(folder) == []
    status = Path(f"/proc/{started[0]}/stat")
    for _ in range(500):  # the signal is on its way
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX":
            return
        time.sleep(0.01)
    raise AssertionError("the child runs on")
