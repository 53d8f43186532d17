"""What a device raises when its machine stops, does not stop, or is not the one expected; and a trainer on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from eftrain_hdl.registers import ErrorCode, Unit

if TYPE_CHECKING:
    from .results import StepResult

__all__ = ["ConfigurationMismatch", "DeviceError", "DeviceNotReady", "DeviceTimeout", "Diverged", "TrainerError"]


class ConfigurationMismatch(RuntimeError):
    """The hardware is not what the software was compiled for; the message names what differs, with both values."""


class DeviceError(RuntimeError):
    """The machine stopped with an error; the device runs nothing more until its ``reset()``.

    Attributes
    ----------
    code : ErrorCode
        Why.
    unit : Unit
        Which unit stopped.
    address : int
        DRAM byte address of the run or instruction, or the on-chip address, that failed; 0 if the error has none. A
        device that cuts runs into bursts gives the first byte of the burst.
    instruction : int
        Index of the instruction that failed, from the start of the program.
    detail : str
        What a device that knows more than the registers say adds to the message.
    command : str
        The instruction in words, where the device knows it.
    counters : dict
        Performance counters when the machine stopped; empty on a device without them.
    """

    def __init__(
        self, code: ErrorCode, unit: Unit, address: int, instruction: int, detail: str = "", *, command: str = "",
        counters: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.code = ErrorCode(code)
        self.unit = Unit(unit)
        self.address = address
        self.instruction = instruction
        self.detail = detail
        self.command = command
        self.counters = dict(counters or {})
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.code.name} in {self.unit.name}, instruction {self.instruction}, address {self.address:#x}"
        return f"{text}: {self.detail}" if self.detail else text

    def report(self) -> str:
        """The message, the instruction, and every counter that is not zero; one a line."""
        lines = [str(self)]
        if self.command:
            lines.append(f"instruction {self.instruction}: {self.command}")
        lines += [f"{name} {value:,}" for name, value in self.counters.items() if value]
        return "\n".join(lines)


class DeviceTimeout(DeviceError):
    """The machine did not end a program, or a reset, in time; it may still be running until its ``reset()``.

    ``code`` is NONE, since the machine has reported nothing, ``address`` the program's.
    """

    def __init__(self, seconds: float, address: int, detail: str, counters: Mapping[str, int] | None = None) -> None:
        self.seconds = seconds
        super().__init__(ErrorCode.NONE, Unit.COMMAND, address, 0, detail, counters=counters)

    def _text(self) -> str:
        return f"no end within {self.seconds:g} s, program at {self.address:#x}: {self.detail}"


class DeviceNotReady(DeviceError):
    """The device starts nothing: a run or a reset was left half way, or the machine is busy. ``reset()`` helps.

    Code, unit, address and instruction are those of the error that came before, if it was one of the machine; or else
    NONE, COMMAND, 0 and 0.
    """

    def __init__(self, cause: DeviceError | str) -> None:
        code, unit, address, instruction, what = ErrorCode.NONE, Unit.COMMAND, 0, 0, str(cause)
        if isinstance(cause, DeviceError) and cause.code is not ErrorCode.NONE:
            code, unit, address, instruction = cause.code, cause.unit, cause.address, cause.instruction
            what = cause.detail
        super().__init__(code, unit, address, instruction, "the device needs a reset" + (what and f" after: {what}"))

    def _text(self) -> str:
        return self.detail if self.code is ErrorCode.NONE else super()._text()


class TrainerError(RuntimeError):
    """The trainer cannot go on until its user has done something; the message says what."""


class Diverged(TrainerError):
    """The training has left the numbers that FP32 holds.

    Attributes
    ----------
    reason : str
        What was found, without advice.
    results : list of StepResult
        The steps that `Trainer.fit` has made before; empty where `Trainer.save` found it.
    """

    def __init__(self, reason: str, advice: str = "", results: Sequence[StepResult] = ()) -> None:
        self.reason, self.results = reason, list(results)
        super().__init__(f"{reason}{advice}")

    @classmethod
    def at(cls, done: int, loss: float, lr: float, results: Sequence[StepResult] = ()) -> Diverged:
        """By the loss of the step behind ``done`` steps."""
        return cls(
            f"the training has diverged: the loss of step {done + 1} is {loss:g} at lr {lr:g}",
            ". That step was not made. restore() or load() go back to a state before; a smaller rate, set_lr(...), "
            "may help",
            results,
        )
