"""Ctrl-C between two steps instead of inside of one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["DeferredInterrupt"]

_NOTE = b"\ninterrupted: the step is finished first; once more stops at once\n"
_STANDARD_ERROR = 2


class DeferredInterrupt:
    """Holds the first Ctrl-C (SIGINT) back until its block ends; a second one takes effect at once.

    What takes effect is the handler that was there before: Python's own raises KeyboardInterrupt. It is put back in
    every case. Nothing is changed outside of the main thread, where Python has no signals, inside of another such
    block, and where SIGINT is ignored or ends the process.
    """

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._pending = False

    def __enter__(self) -> DeferredInterrupt:
        if threading.current_thread() is not threading.main_thread():
            return self
        previous = signal.getsignal(signal.SIGINT)
        if callable(previous) and not isinstance(getattr(previous, "__self__", None), DeferredInterrupt):
            self._previous = previous
            signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        previous, self._previous = self._previous, None
        if previous is None:
            return
        signal.signal(signal.SIGINT, previous)
        # An error of the block says more than that somebody wanted it to end.
        if self._pending and kind is None:
            previous(signal.SIGINT, None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._pending and self._previous is not None:
            self._pending = False
            self._previous(number, frame)
            return
        self._pending = True
        if sys.__stderr__ is None:  # the number may belong to any file by now
            return
        with contextlib.suppress(OSError):  # print may not be entered twice, and a handler can come in the midst of it
            os.write(_STANDARD_ERROR, _NOTE)
