"""Store unit: hands the transfers of STORE_0 or STORE_1 to a write DMA."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import TransferLayout
from eftrain_hdl.rtl.layouts import UnitControl
from eftrain_hdl.rtl.transfer_request import TransferFields, TransferRequest

__all__ = ["StoreUnit"]

PENDING = 8
"""Stores whose transfers may be with the DMA at the same time."""


class StoreUnit(wiring.Component):
    """Executes STORE_0 or STORE_1; the beats themselves go from the vector unit straight to the DMA.

    A transfer is offered 2 cycles after its instruction, up to eight ahead; ``posted`` comes one cycle after ``done``.

    Parameters
    ----------
    config : Config
    opcode : Opcode
        STORE_0 or STORE_1.

    Members
    -------
    control : Out(UnitControl)
    transfer : Out(stream of TransferLayout)
        To a ``WriteDma``, which ...
    done : In(1)
        ... reports each transfer that memory acknowledged, in order.

    stamp : Out(1)
        With ``posted``: the instruction asks for a timestamp (STORE_0 only).

    Errors, reported when all stores before them are done: BAD_FIELD; OUT_OF_WINDOW (address bits above the address
    width).

    Raises
    ------
    ValueError
        If ``opcode`` is not a store.
    """

    def __init__(self, config: Config, opcode: Opcode) -> None:
        if opcode not in (Opcode.STORE_0, Opcode.STORE_1):
            raise ValueError(f"opcode must be STORE_0 or STORE_1, not {opcode!r}")
        self.config = config
        self.opcode = opcode
        super().__init__({
            "control": Out(UnitControl(opcode)),
            "transfer": Out(stream.Signature(TransferLayout(config.address_width))),
            "done": In(1),
            "stamp": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        instruction = control.instruction.payload
        m.submodules.pending = pending = SyncFIFO(width=9, depth=PENDING)
        m.submodules.request = request = TransferRequest(self.config)
        m.d.comb += [request.fields[name].eq(instruction[name]) for name in TransferFields().members]
        code, stamp = pending.r_data[:-1], pending.r_data[-1]
        asked = instruction.stamp if self.opcode is Opcode.STORE_0 else Const(0, 1)
        m.d.comb += [
            request.start.eq(control.instruction.valid & pending.w_rdy & ~control.halt),
            control.instruction.ready.eq(request.finished),
            pending.w_en.eq(request.finished),
            pending.w_data.eq(Cat(request.code, asked)),
            pending.r_en.eq(self.done),
            control.busy.eq(pending.r_rdy),
        ]
        wiring.connect(m, request.transfer, wiring.flipped(self.transfer))
        m.d.sync += [control.posted.eq(self.done), self.stamp.eq(self.done & stamp)]
        bad = pending.r_rdy & (code != ErrorCode.NONE)
        m.d.sync += [control.error.eq(bad & ~control.halt), control.error_code.eq(code)]
        return m
