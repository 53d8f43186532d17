"""Files that are whole or not there: written beside their place and renamed, and archives of arrays that say what is
wrong with them. Needs NumPy and the standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import secrets
import stat
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from eftrain_hdl.checks import check_kind

__all__ = ["FileError", "atomic_write", "check_output", "read_arrays", "write_arrays", "write_text"]

_SUM = b"eftrain sha256 "  # in the comment of an archive, which other readers of .npz files pass over
_NPY = ".npy"
_PARTIAL = ".partial"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DEFLATE_RATIO = 1032  # deflate makes 258 bytes of two bits at best
_ENCRYPTED = 1
_CHUNK = 1 << 20
_END = struct.Struct("<4s6xH10x")  # of the directory: signature and number of members


class FileError(ValueError):
    """A file that does not hold what it should; the message starts with its path."""


def check_output(path: str | os.PathLike[str]) -> None:
    """OSError, whose `strerror` says why, unless `atomic_write` could write ``path``: to be called before long work.

    Folders that are not there count as writable if they can be made. Nothing is changed.
    """
    _target(path)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends; if it is left by an exception, ``path`` stays
    as it was.

    The content is on the disk before the name changes, and writers of one path do not disturb each other: the last one
    wins. Missing folders are made. A symbolic link is kept and what it points to replaced; the mode of an existing file
    is kept; pipes and devices are written directly. Errors of the operating system name ``path``.
    """
    target, special = _target(path)
    try:
        with target.open("wb") if special else _beside(target) as file:
            yield file
    except OSError as error:
        name = str(error.filename)
        if error.filename is not None and name != str(target) and not name.endswith(_PARTIAL):
            raise  # another file's
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write a NumPy archive (``.npz``) as `atomic_write` does; its comment is a checksum over everything.

    The same arrays in the same order give the same bytes. Raises ValueError for arrays of Python objects.
    """
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", method) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(name + _NPY)  # dated 1980, whatever the time is
            info.compress_type = method
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(cast(Any, member), np.asarray(array), allow_pickle=False)
        archive.comment = _SUM + _checksum(arrays).encode()


def read_arrays(
    path: str | os.PathLike[str],
    error: type[ValueError] = FileError,
    *,
    names: Collection[str] | None = None,
    checksum: bool = False,
) -> dict[str, NDArray[Any]]:
    """The arrays of a NumPy archive (``.npz``), by name and in the file's order.

    Whatever is not a whole archive of plain arrays is refused with ``error``, whose message starts with the path:
    damage of any kind, a single array (``.npy``), Python objects, encryption, a header that declares another amount of
    data than the file holds. A checksum that `write_arrays` left is checked.

    Parameters
    ----------
    error
        What is raised for a file that is not what it should be.
    names
        Reads only these, as far as they are there; other members may hold anything.
    checksum
        Refuses a file without a checksum: one that others have written or changed.

    Raises OSError (FileNotFoundError, IsADirectoryError, PermissionError, ...) if the file cannot be read at all.
    """
    _check_path(path)
    with open(path, "rb") as file:
        try:
            return _read(file, names, checksum)
        except OSError as cause:
            # A damaged offset asks for a place that no file has; whatever else is the disk's.
            if cause.errno not in (None, errno.EINVAL, errno.ESPIPE):
                raise OSError(cause.errno, cause.strerror, str(path)) from cause
            reason: str | Exception = cause
        except FileError as cause:
            reason = cause
        except Exception as cause:  # the readers of zip, deflate and .npy raise a dozen kinds for damage, undocumented
            reason = f"damaged: {type(cause).__name__}: {cause}"
    raise error(f"{path}: {reason}")


def _target(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """The file behind all links, and whether it is a pipe or a device; OSError if it cannot be written."""
    _check_path(path)
    try:
        mode = _mode(Path(path))
        if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            _refuse_unless(os.access(path, os.W_OK), errno.EACCES)
            return Path(path), True
        target = Path(os.path.realpath(path))
        folder = target.parent
        while _mode(folder) is None:
            folder = folder.parent
        _refuse_unless(mode is None or stat.S_ISREG(mode), errno.EISDIR)
        _refuse_unless(folder.is_dir(), errno.ENOTDIR)
        _refuse_unless(mode is None or os.access(target, os.W_OK), errno.EACCES)
        _refuse_unless(os.access(folder, os.W_OK | os.X_OK), errno.EACCES, f" to make files in {folder}")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return target, False


def _check_path(path: Any) -> None:
    """TypeError for anything else than a path: numbers would be open files of the process."""
    check_kind("path", path, (str, os.PathLike), "the path of a file")


def _mode(path: Path) -> int | None:
    """Kind and permissions behind all links; None if there is nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _refuse_unless(right: bool, number: int, what: str = "") -> None:
    if not right:
        raise OSError(number, os.strerror(number) + what)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[IO[bytes]]:
    """A new file in the target's folder that is renamed to it at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp would make the file unreadable for others; open applies the umask.
    partial = target.with_name(f".{target.name[:32]}-{secrets.token_hex(8)}{_PARTIAL}")
    try:
        with partial.open("xb") as file:
            with contextlib.suppress(OSError):  # there is no such file, or the file system has no modes
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        with contextlib.suppress(OSError):  # renamed, or never made
            partial.unlink()
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk, too, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(cast(Any, np.ascontiguousarray(array).reshape(-1).view(np.uint8)))
    return digest.hexdigest()


def _read(file: IO[bytes], names: Collection[str] | None, checksum: bool) -> dict[str, NDArray[Any]]:
    if file.read(6) == b"\x93NUMPY":
        raise FileError("a single array (.npy), not an .npz archive")
    size = file.seek(0, os.SEEK_END)
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as cause:
        raise FileError(f"not an .npz archive, or a damaged one ({cause})") from None
    with archive:
        _check_count(file, size, archive)
        infos = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(_NPY)
            if name in infos:
                raise FileError(f"damaged: has {name} twice")
            infos[name] = info
        arrays = {}
        for name, info in infos.items():
            if names is None or name in names:
                arrays[name] = _member(archive, name, info, size)
            else:  # zipfile compares names when it opens: one that is damaged must not just be missing
                archive.open(info).close()
        told = archive.comment
    if told.startswith(_SUM):
        # The sum is over all arrays, so that it is of use only to who reads all.
        if (names is None or set(infos) <= set(names)) and told[len(_SUM) :] != _checksum(arrays).encode():
            raise FileError("damaged or changed: its checksum is wrong")
    elif checksum:
        raise FileError("has no checksum: other software has written or changed it")
    return arrays


def _check_count(file: IO[bytes], size: int, archive: zipfile.ZipFile) -> None:
    """zipfile does not look at the number of members, and damaged lengths in the directory make members vanish."""
    file.seek(max(0, size - _END.size - len(archive.comment)))
    signature, count = _END.unpack(file.read(_END.size))
    found = len(archive.infolist())
    if signature != b"PK\x05\x06" or count != min(found, 0xFFFF):
        raise FileError(f"damaged: its directory has {found} members and does not end as it should")


def _member(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    """One array. Nothing is believed about sizes that the bytes in the file do not bear out."""
    if not info.filename.endswith(_NPY):
        raise FileError(f"holds {name}, which is no array")
    if info.flag_bits & _ENCRYPTED:
        raise FileError(f"{name} is encrypted")
    if info.compress_type not in _METHODS:
        raise FileError(f"{name} has compression method {info.compress_type}: expected stored or deflated")
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else _DEFLATE_RATIO
    if info.compress_size > size or info.file_size > ratio * info.compress_size:
        raise FileError(f"damaged: {name} declares {info.file_size} bytes, more than the file can hold")
    with archive.open(info) as member:
        shape, fortran, dtype = _header(cast(IO[bytes], member), name)
        nbytes = math.prod(shape) * dtype.itemsize
        if member.tell() + nbytes != info.file_size:
            raise FileError(f"damaged: {name} is {info.file_size} bytes, not the ones that {dtype} {shape} takes")
        array = np.empty(shape, dtype, order="F" if fortran else "C")
        view = memoryview(cast(Any, array.reshape(-1, order="A").view(np.uint8)))
        done = 0
        while done < nbytes:
            got = cast(IO[bytes], member).readinto(view[done : done + _CHUNK])  # type: ignore[attr-defined]
            if not got:
                raise FileError(f"damaged: {name} ends after {done} of {nbytes} bytes")
            done += got
        member.read()  # the end, where zipfile compares the CRC
    return array


def _header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise FileError(f"{name} has version {version} of the .npy format: expected 1.0 or 2.0")
    shape, fortran, dtype = readers[version](member)
    if dtype.hasobject or dtype.names or not dtype.itemsize or dtype.kind not in "biufcSUmM":
        raise FileError(f"{name} has dtype {dtype}: expected plain numbers or text, no Python objects")
    if any(length < 0 for length in shape):
        raise FileError(f"damaged: {name} has shape {shape}")
    return shape, fortran, dtype
