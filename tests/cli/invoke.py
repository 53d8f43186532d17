"""Running the command line in this process."""

from __future__ import annotations

from eftrain_hdl.cli import main


def status(*arguments: str) -> int | str | None:
    """The exit status of a command, whether its parser or the command itself ends it."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return stop.code
