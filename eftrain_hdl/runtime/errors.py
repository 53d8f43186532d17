"""What a device raises when its machine stops."""

from __future__ import annotations

from eftrain_hdl.registers import ErrorCode, Unit

__all__ = ["DeviceError"]


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
    """

    def __init__(self, code: ErrorCode, unit: Unit, address: int, instruction: int, detail: str = ""):
        self.code = ErrorCode(code)
        self.unit = Unit(unit)
        self.address = address
        self.instruction = instruction
        self.detail = detail
        text = f"{self.code.name} in {self.unit.name}, instruction {instruction}, address {address:#x}"
        super().__init__(f"{text}: {detail}" if detail else text)
