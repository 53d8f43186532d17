"""The request half of loads and stores: checks the transfer of an instruction and hands it to a DMA."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.descriptor import TransferLayout

__all__ = ["TransferFields", "TransferRequest"]


class TransferFields(data.StructLayout):
    """The transfer fields of an instruction; names and meaning as in :mod:`eftrain_hdl.isa`."""

    def __init__(self) -> None:
        super().__init__({
            "address_low": 32, "address_high": 32, "run": 32, "count1": 16, "count2": 16, "count3": 16,
            "stride1": signed(32), "stride2": signed(32), "stride3": signed(32),
        })


class TransferRequest(wiring.Component):
    """Checks one instruction in two cycles, then offers its transfer.

    Parameters
    ----------
    config : Config
        ``address_width``.

    Members
    -------
    fields : In(TransferFields), extra_bad : In(1)
        Stable from ``start`` to ``finished``. ``extra_bad``: another field of the instruction is wrong.
    start : In(1)
        The fields are those of an instruction to be issued. Held until ``finished``; taking it back withdraws the
        transfer.
    transfer : Out(stream of TransferLayout)
    finished : Out(1)
        High for one cycle: the transfer was taken, or ``code`` says why it was not offered.
    code : Out(8)
        NONE, BAD_FIELD or OUT_OF_WINDOW (an address bit above the address width); valid with ``finished``. After
        one that is not NONE, nothing more is looked at until reset.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fields": In(TransferFields()),
            "extra_bad": In(1),
            "start": In(1),
            "transfer": Out(stream.Signature(TransferLayout(config.address_width))),
            "finished": Out(1),
            "code": Out(8),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fields, transfer = self.fields, self.transfer.payload
        m.d.comb += [
            transfer.address.eq((fields.address_low | (fields.address_high << 32))[: self.config.address_width]),
            transfer.run.eq(fields.run),
        ]
        m.d.comb += [
            transfer[name].eq(fields[name]) for name in ("count1", "count2", "count3", "stride1", "stride2", "stride3")
        ]
        no_run = Signal(reset_less=True)
        no_count = Signal(reset_less=True)
        extra_bad = Signal(reset_less=True)
        beyond = Signal(reset_less=True)
        m.d.sync += [
            no_run.eq((fields.run[:24] == 0) | (fields.run[24:] != 0)),
            no_count.eq((fields.count1 == 0) | (fields.count2 == 0) | (fields.count3 == 0)),
            extra_bad.eq(self.extra_bad),
            beyond.eq(fields.address_high[self.config.address_width - 32 :] != 0),
        ]
        bad_field = no_run | no_count | extra_bad
        bad = Signal()
        with m.FSM():
            with m.State("CHECK"):
                with m.If(self.start):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += [bad.eq(bad_field | beyond), self.code.eq(ErrorCode.NONE)]
                with m.If(bad_field):
                    m.d.sync += self.code.eq(ErrorCode.BAD_FIELD)
                with m.Elif(beyond):
                    m.d.sync += self.code.eq(ErrorCode.OUT_OF_WINDOW)
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += [
                    self.transfer.valid.eq(self.start & ~bad),
                    self.finished.eq(self.start & (bad | self.transfer.ready)),
                ]
                with m.If(self.finished & bad):
                    m.next = "REFUSED"
                with m.Elif(self.finished | ~self.start):
                    m.next = "CHECK"
            with m.State("REFUSED"):
                pass
        return m
