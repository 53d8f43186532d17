"""What takes long to make is made once: files in a folder of the user, each with the checksum of its content beside it.

A file counts only with its checksum, so that what was cut off, damaged or left half written is made again instead of
used: the process that maps a truncated library is killed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from eftrain_hdl.files import atomic_write, write_text

__all__ = ["CacheError", "cache_directory", "cached"]

_SUM = ".sha256"
_TEMPORARY = "/tmp"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class CacheError(RuntimeError):
    """The folder of the cache cannot be used; the message says why, and what to set."""


def cache_directory() -> Path:
    """Where compiled models are kept: ``$EFTRAIN_CACHE``, or ``eftrain-hdl`` in the user's cache directory.

    Nothing is removed from it automatically; deleting it costs only the time to compile again.
    """
    if override := os.environ.get("EFTRAIN_CACHE"):
        return Path(override).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eftrain-hdl"


def cached(name: str, what: str, make: Callable[[Path], Path], progress: Callable[[str], None] | None = None) -> Path:
    """The file called ``name`` in the cache, made unless it is there with the right checksum.

    Processes that ask for the same file make it once, and the others wait. A file that exists is replaced, never
    written to, and one that is there needs no permission to write.

    Parameters
    ----------
    name
        Path inside of the cache, which stands for the content.
    what
        What it is, for messages.
    make
        Gets an empty folder to work in, whose path has no spaces, and returns the path of the file that it has made.
    progress
        Called with a line of text when another process has to be waited for, and when a damaged file is made again.

    Raises CacheError, before anything is made, if the folder of the cache cannot be used; and what ``make`` raises, or
    OSError if the disk is full: the cache is then as if nothing had been asked for.
    """
    cache = cache_directory()
    path = cache / name
    with _usable(cache):
        if _is_intact(path):
            return path
    report = progress or (lambda line: None)
    with _usable(cache):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(path.name + ".lock"), "a")  # noqa: SIM115
    with lock:
        _wait_for(lock.fileno(), lambda: report(f"waiting for another process, which makes {what}"))
        if _is_intact(path):
            return path
        if path.exists():
            report(f"{path} is damaged: it is made again")
        with _work_folder(cache) as work:
            _store(make(work), path)
    return path


def _is_intact(path: Path) -> bool:
    try:
        return _sum_of(path).read_text(errors="replace").split()[:1] == [hashlib.sha256(path.read_bytes()).hexdigest()]
    except (FileNotFoundError, NotADirectoryError):
        return False


def _sum_of(path: Path) -> Path:
    return path.with_name(path.name + _SUM)


def _store(made: Path, path: Path) -> None:
    """Put a file in its place, and then its checksum, in the form that sha256sum reads."""
    content = made.read_bytes()
    try:
        with atomic_write(path) as file:
            file.write(content)
        write_text(_sum_of(path), f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _usable(cache: Path) -> Iterator[None]:
    """Errors of the folder itself, in words."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"the cache {cache} cannot be used: {error.strerror} ({error.filename}); "
            "set EFTRAIN_CACHE to a folder that can be written"
        ) from error


@contextlib.contextmanager
def _work_folder(cache: Path) -> Iterator[Path]:
    # make does not work in a folder whose path has spaces.
    candidates = (cache, Path(tempfile.gettempdir()), Path(_TEMPORARY))
    places = [one for one in candidates if len(str(one.resolve()).split()) == 1]
    with _usable(cache):
        if not places:
            raise OSError(errno.EINVAL, "neither it nor the folder of temporary files has a path without spaces", cache)
        work = tempfile.TemporaryDirectory(prefix="eftrain-build-", dir=places[0])
    with work:
        yield Path(work.name)


def _wait_for(lock: int, waiting: Callable[[], None]) -> None:
    """Take the lock, which is given back when the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:  # without locks, two processes may make the same file, each in its own folder
            raise
