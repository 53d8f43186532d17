"""Files that are whole or not there, and archives that say what is wrong with them."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eftrain_hdl.files import FileError, atomic_write, check_output, read_arrays, write_arrays, write_text

ARRAYS = {
    "0.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "columns first": np.asfortranarray(np.arange(6, dtype=">i8").reshape(2, 3)),
    "none": np.zeros((0, 3), np.uint8),
    "one": np.array(True),
    "text": np.array(["a", "bc"]),
}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back_and_numpy_reads_them_too(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS, compressed=compressed)
    assert_same(read_arrays(path, checksum=True), ARRAYS)
    with np.load(path, allow_pickle=False) as archive:
        assert_same({name: archive[name] for name in archive.files}, ARRAYS)
    write_arrays(tmp_path / "b.npz", ARRAYS, compressed=compressed)
    assert path.read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_archives_of_numpy_are_read(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / "a.npz"
        save(path, **ARRAYS)  # type: ignore[arg-type]
        assert_same(read_arrays(path), ARRAYS)
        with pytest.raises(FileError, match=r"a\.npz: has no checksum: other software"):
            read_arrays(path, checksum=True)


def member(array: Any = ARRAYS["0.weight"], header: dict[str, Any] | None = None) -> bytes:
    """The bytes of one .npy file, with another header if given."""
    file = io.BytesIO()
    if header is None:
        np.save(file, array)
        return file.getvalue()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2, 3, 4)} | header)
    return file.getvalue() + array.tobytes()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def declaring(size: int) -> bytes:
    """An archive whose directory gives its only member another size."""
    content = bytearray(zipped(("x.npy", member()), method=zipfile.ZIP_DEFLATED))
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = size.to_bytes(4, "little")
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(zipped(("x.npy", member())))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


WHOLE = zipped(("x.npy", member()))
WRONG = {
    "empty": (b"", "not an .npz archive"),
    "text": (b"epoch,loss\n1,2\n", "not an .npz archive"),
    "single array": (member(), r"a single array \(\.npy\), not an \.npz archive"),
    "short": (WHOLE[:-100], "not an .npz archive, or a damaged one"),
    "flipped": (WHOLE.replace(b"\x00\x00\x80\x3f", b"\x00\x00\x81\x3f"), "damaged: BadZipFile: Bad CRC-32"),
    "objects": (zipped(("x.npy", member(np.array([None, "a"], object)))), "x has dtype object: .* no Python objects"),
    "fields": (zipped(("x.npy", member(np.zeros(2, "i4,f4")))), "x has dtype .*: expected plain numbers"),
    "no array": (zipped(("x.txt", b"hello")), "holds x.txt, which is no array"),
    "method": (zipped(("x.npy", member()), method=zipfile.ZIP_LZMA), "x has compression method 14"),
    "encrypted": (encrypted(), "x is encrypted"),
    "too large": (zipped(("x.npy", member(header={"shape": (1 << 40, 1 << 40)}))), "damaged: x is .* bytes, not the"),
    "too small": (zipped(("x.npy", member(header={"shape": (1,)}))), "damaged: x is .* bytes, not the ones that"),
    "negative": (zipped(("x.npy", member(header={"shape": (-2, -12)}))), "damaged: x has shape"),
    "declares much": (declaring(0xFFFFFFF0), "damaged: x declares 4294967280 bytes, more than the file can hold"),
    "declares less": (declaring(130), "damaged: BadZipFile: Bad CRC-32"),
    "no header": (zipped(("x.npy", b"\x93NUMPY\x01\x00\x10\x00hello world, bye")), "damaged: ValueError"),
    "version": (zipped(("x.npy", b"\x93NUMPY\x03\x00" + member()[8:])), r"x has version \(3, 0\) of the .npy format"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_archive_of_plain_arrays_is_refused(name: str, tmp_path: Path) -> None:
    class OwnError(ValueError):
        pass

    content, message = WRONG[name]
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(OwnError, match=rf"^{path}: {message}"):
        read_arrays(path, OwnError)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(("x.npy", member()), ("x.npy", member())))
    with pytest.raises(FileError, match="damaged: has x twice"):
        read_arrays(path)


def test_one_bit_neither_shortens_an_array_nor_hides_one(tmp_path: Path) -> None:
    """zipfile compares the CRC at a member's end only, and believes the lengths in its directory."""
    path, content = tmp_path / "a.npz", b""
    np.savez(path, x=np.zeros((2000, 10)), y=np.ones(9))
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    for place, bit, message in (
        (content.index(b"2000, 10") + 3, 4, "x is 160128 bytes, not the ones that"),  # (200 , 10)
        (content.index(b"NUMPY") + 7, 5, "x is 160128 bytes, not the ones that"),  # a shorter header: values move
        (directory + 32, 6, "its directory has 1 members"),  # a comment so long that y is in it
        (directory + 29, 0, "its directory has 1 members"),  # and a name
        (directory + 46, 1, "File name in directory"),  # another name
    ):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=f"damaged: .*{message}"):
            read_arrays(path, names=("x", "y", "z"))


def test_only_the_names_asked_for_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(("x.npy", member()), ("names.npy", member(np.array([None], object))), ("a.txt", b"")))
    assert_same(read_arrays(path, names=("x", "y")), {"x": ARRAYS["0.weight"]})


def test_the_checksum_covers_names_and_everything(tmp_path: Path) -> None:
    """Archives that are whole as such, but not what was written."""
    path = tmp_path / "a.npz"
    first, second = np.arange(3.0), np.arange(3.0) + 1
    write_arrays(path, {"a": first, "b": second})
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment
    changes: list[dict[str, Any]] = [
        {"a": second, "b": first}, {"a": first}, {"a": first, "c": second}, {"a": first, "b": second.reshape(3, 1)},
        {"a": first, "b": second.view(np.int64)}, {"a": first, "b": second, "c": np.zeros(0)},
    ]  # fmt: skip
    for arrays in changes:
        np.savez(path, **arrays)
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = comment
        with pytest.raises(FileError, match=r"a\.npz: damaged or changed: its checksum is wrong"):
            read_arrays(path)


def test_files_that_cannot_be_read_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_arrays(tmp_path / "nowhere.npz")
    with pytest.raises(IsADirectoryError):
        read_arrays(tmp_path)


def test_objects_are_not_written(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([None], object)})
    assert_same(read_arrays(tmp_path / "a.npz"), ARRAYS)
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), ValueError()])
@pytest.mark.parametrize("there", [True, False])
def test_an_exception_leaves_the_file_as_it_was(error: BaseException, there: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    if there:
        path.write_text("old")
    with pytest.raises(type(error)) as found, atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")] * there
    if isinstance(error, OSError):
        assert str(found.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'"


def test_errors_of_other_files_keep_their_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as found, atomic_write(tmp_path / "a.txt"):
        (tmp_path / "b.txt").read_text()
    assert str(found.value.filename) == str(tmp_path / "b.txt")
    assert os.listdir(tmp_path) == []


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_write(path) as file:
        file.write(b"all")
        assert not path.exists()
    assert path.read_text() == "all"


def test_modes_are_what_the_umask_gives_or_what_they_were(tmp_path: Path) -> None:
    path, before = tmp_path / "a.txt", os.umask(0o027)
    try:
        write_text(path, "a")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o606)
        write_text(path, "b")
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
    finally:
        os.umask(before)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(there: bool, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    link, target = tmp_path / "link.txt", tmp_path / "other" / "target.txt"
    link.symlink_to(target)
    if there:
        target.write_text("old")
    check_output(link)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and os.listdir(tmp_path / "other") == ["target.txt"]


def test_pipes_are_written_directly(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    path = f"/dev/fd/{writer}"
    if not os.path.exists(path):
        pytest.skip("no /dev/fd")
    check_output(path)
    write_text(path, "hello")
    assert os.read(reader, 100) == b"hello"
    os.close(reader), os.close(writer)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_text("/dev/full", "hello")
    write_text("/dev/null", "hello")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_long_names_are_no_longer_beside_their_place(tmp_path: Path) -> None:
    path = tmp_path / ("\N{GREEK SMALL LETTER MU}" * 125 + ".json")  # 255 bytes
    write_text(path, "a")
    assert path.read_text() == "a"


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (".", IsADirectoryError),
        ("file/a.npz", NotADirectoryError),
        ("file/new/a.npz", NotADirectoryError),
        ("loop", OSError),
        ("n" * 300, OSError),
        ("/proc/1/a.npz", OSError),
        ("locked/a.npz", PermissionError),
        ("locked/new/a.npz", PermissionError),
        ("kept.npz", PermissionError),
    ],
)
def test_paths_that_cannot_be_written_are_told_before(
    place: str, kind: type[OSError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("locked", "kept.npz"):
        (tmp_path / name).mkdir() if name == "locked" else (tmp_path / name).write_text("keep")
        (tmp_path / name).chmod(0o555)
    if os.geteuid() == 0:  # who may do everything
        read_only = {tmp_path / "locked", tmp_path / "kept.npz", Path("/proc/1")}
        monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path) in read_only))
    path = tmp_path / place
    for attempt in (check_output, lambda path: write_text(path, "a")):
        with pytest.raises(kind) as found:
            attempt(path)
        assert found.value.filename == str(path) and found.value.strerror
        if place.startswith("locked"):
            assert str(found.value).startswith(f"[Errno 13] Permission denied to make files in {tmp_path / 'locked'}: ")
    (tmp_path / "locked").chmod(0o755)
    assert (tmp_path / "kept.npz").read_text() == "keep"
    assert sorted(os.listdir(tmp_path)) == ["file", "kept.npz", "locked", "loop"]


def test_checking_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("old")
    for place in ("a.npz", "b.npz", "new/folder/c.npz"):
        check_output(tmp_path / place)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.npz", "old")]


def _write_often(path: Path, value: int, barrier: Any) -> None:
    barrier.wait()
    for _ in range(20):
        write_arrays(path, {"x": np.full(1000, value)})
        assert len(set(read_arrays(path, checksum=True)["x"].tolist())) == 1


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    children = [context.Process(target=_write_often, args=(tmp_path / "a.npz", k, barrier)) for k in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert os.listdir(tmp_path) == ["a.npz"]
