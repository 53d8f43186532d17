"""Writes a project's folder, and touches nothing in it that is not ours."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eftrain_hdl.files import atomic_write

__all__ = ["MANIFEST", "OutputError", "check_output", "manifest_text", "write_output"]

MANIFEST = "manifest.json"
"""Says what the folder is for, and has the SHA-256 of every other file. It marks the folder as ours."""

_GENERATOR = "eftrain build"


class OutputError(ValueError):
    """The folder holds what is not to be overwritten; the message names it."""


def manifest_text(description: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The manifest of a folder with these files, as JSON."""
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return (json.dumps({"generator": _GENERATOR, **description, "files": sums}, indent=2) + "\n").encode()


def check_output(directory: Path) -> None:
    """Raise :class:`OutputError` unless a project can be written to this folder.

    It can if the folder is new or empty, or if it has a project whose files are as they were written. Files besides
    those of the project, such as those of Vivado, are left alone.
    """
    _files_written_before(_real(directory))


def write_output(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files, among them the manifest, by their path; remove those of an earlier project that are no more.

    A file that has the right content already is not touched, so that ``make`` sees what is new. Raises as
    :func:`check_output`, and for a file of somebody else's under a name that the project did not have before, before
    anything is written.
    """
    directory = _real(directory)
    before = _files_written_before(directory)
    for path in files.keys() - before - {MANIFEST}:
        if (directory / path).exists() and (directory / path).read_bytes() != files[path]:
            raise OutputError(
                f"{directory / path} is not of `eftrain build`: move it, or name another folder for --output"
            )
    for path in before - files.keys():
        (directory / path).unlink(missing_ok=True)
    # The manifest comes first: whatever happens then, the folder is known as ours.
    for path in sorted(files, key=lambda path: path != MANIFEST):
        target = directory / path
        if not target.exists() or target.read_bytes() != files[path]:
            with atomic_write(target) as file:
                file.write(files[path])


def _real(directory: Path) -> Path:
    """Without ``..``, and so there or not, whatever stands before that is there or not."""
    return Path(os.path.realpath(directory)) if ".." in directory.parts else directory


def _files_written_before(directory: Path) -> set[str]:
    """Paths of the project that the folder has; none if it has no content."""
    if not directory.exists():
        return set()
    if not directory.is_dir():
        raise OutputError(f"{directory} is a file: name a folder for --output")
    if not any(directory.iterdir()):
        return set()
    sums = _sums(directory)
    if sums is None:
        raise OutputError(
            f"{directory} holds files that `eftrain build` did not write, such as {min(directory.iterdir()).name}: "
            "name another folder for --output"
        )
    for path, expected in sums.items():
        file = directory / path
        if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise OutputError(
                f"{file} was changed after `eftrain build` wrote it: remove it, or name another folder for --output"
            )
    return set(sums)


def _sums(directory: Path) -> dict[str, str] | None:
    """Checksums in the folder's manifest; ``None`` if it has no manifest of ours."""
    try:
        found = json.loads((directory / MANIFEST).read_text())
        return dict(found["files"]) if found["generator"] == _GENERATOR else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
