"""Register bank behind AXI4-Lite, generated from a register map."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.registers import Access, Field, Register, RegisterMap
from eftrain_hdl.rtl.axi.signature import AXI4LiteSignature, Response

__all__ = ["RegisterBank"]

_GROUP = 16


class RegisterBank(wiring.Component):
    """AXI4-Lite subordinate with the registers of ``register_map``.

    Each field has ports named by ``Register.port``, ``x`` below, for instance ``control_start`` for field ``start`` of
    ``CONTROL`` and ``cycles`` for the sole field ``value`` of ``CYCLES``:

    ======== ==================================================================================
    const    none
    ro       input ``x``, sampled when it is read
    rw       output ``x``, changes in the cycle after the write was accepted
    w1c      input ``x_set`` (ones set the field, and win over a simultaneous clear), output ``x``
    wo       output ``x``, the written value for one cycle, otherwise zero
    ======== ==================================================================================

    One read and one write are handled at a time, independently of each other; address and data of a write may come in
    either order. A read takes three cycles from ``arvalid`` to ``rvalid``, a write three from the later of ``awvalid``
    and ``wvalid`` to ``bvalid``. Byte strobes are honoured. SLVERR answers an address without a register and a write to
    a register that cannot be written. The two lowest address bits are ignored.

    Parameters
    ----------
    register_map : the table

    Members
    -------
    axi : AXI4-Lite, ``register_map.address_width`` address bits
    and the ports of all fields
    """

    def __init__(self, register_map: RegisterMap) -> None:
        if not isinstance(register_map, RegisterMap):
            raise TypeError(f"register_map must be a RegisterMap, not {register_map!r}")
        self.register_map = register_map
        members: dict[str, wiring.Member] = {"axi": In(AXI4LiteSignature(register_map.address_width))}
        for register in register_map:
            for item in register.fields:
                name = register.port(item)
                if item.access is Access.READ:
                    members[name] = In(item.width)
                elif item.access is Access.WRITE:
                    members[name] = Out(item.width, init=item.reset)
                elif item.access is Access.PULSE:
                    members[name] = Out(item.width)
                elif item.access is Access.CLEAR:
                    members[f"{name}_set"] = In(item.width)
                    members[name] = Out(item.width, init=item.reset)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborate_write(m)
        self._elaborate_read(m)
        return m

    def _word_width(self) -> int:
        return self.register_map.address_width - 2

    def _elaborate_write(self, m: Module) -> None:
        axi = self.axi
        address = Signal(self._word_width(), name="write_address", reset_less=True)
        value = Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        have_address = Signal()
        have_data = Signal()
        apply = Signal()
        m.d.comb += [axi.awready.eq(~have_address), axi.wready.eq(~have_data)]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [have_address.eq(1), address.eq(axi.awaddr[2:])]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [have_data.eq(1), value.eq(axi.wdata), strobe.eq(axi.wstrb)]
        m.d.sync += apply.eq(have_address & have_data & ~apply & ~axi.bvalid)
        with m.If(apply):
            m.d.sync += [have_address.eq(0), have_data.eq(0), axi.bvalid.eq(1)]
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += axi.bvalid.eq(0)

        accepted: list[Value] = []
        mask = Cat(strobe[n].replicate(8) for n in range(4))
        for register in self.register_map:
            hits = []
            for word in range(register.size // 4):
                hit = Signal(name=f"write_{register.name.lower()}_{word}", reset_less=True)
                m.d.sync += hit.eq(address == register.offset // 4 + word)
                hits.append(hit)
            if register.writable:
                accepted += hits
            for item in register.fields:
                self._write_field(m, register, item, Cat(mask & (hit & apply).replicate(32) for hit in hits), value)
        m.d.comb += axi.bresp.eq(Response.SLVERR)
        known = Signal(reset_less=True)
        with m.If(apply):
            m.d.sync += known.eq(Cat(accepted).any())
        with m.If(known):
            m.d.comb += axi.bresp.eq(Response.OKAY)

    def _write_field(self, m: Module, register: Register, item: Field, enables: Value, value: Signal) -> None:
        enable = enables[item.lsb : item.lsb + item.width]
        new = Cat(value, value)[item.lsb : item.lsb + item.width]
        name = register.port(item)
        if item.access is Access.WRITE:
            port = getattr(self, name)
            m.d.sync += port.eq((port & ~enable) | (new & enable))
        elif item.access is Access.PULSE:
            m.d.sync += getattr(self, name).eq(new & enable)
        elif item.access is Access.CLEAR:
            port = getattr(self, name)
            m.d.sync += port.eq((port & ~(new & enable)) | getattr(self, f"{name}_set"))

    def _elaborate_read(self, m: Module) -> None:
        axi = self.axi
        words: dict[int, Value] = {}
        captured = Signal(32, reset_less=True)
        capture: list[tuple[int, Value]] = []
        for register in self.register_map:
            low, high = self._read_words(register)
            number = register.offset // 4
            words[number] = low
            if register.wide:
                words[number + 1] = captured if register.snapshot else high
            if register.snapshot:
                capture.append((number, high))

        # Two steps: choose within groups of neighbouring words, then choose the group.
        address = Signal(self._word_width(), name="read_address", reset_less=True)
        step = Signal(2)
        groups = range(max(words) // _GROUP + 1)
        chosen = [Signal(33, name=f"group{n}", reset_less=True) for n in groups]
        highs = [Signal(32, name=f"high{n}", reset_less=True) for n in groups]
        takes = [Signal(name=f"capture{n}", reset_less=True) for n in groups]
        inside = address[: (_GROUP - 1).bit_length()]
        group = address[(_GROUP - 1).bit_length() :]
        absent = Const(0, 33)
        captures = dict(capture)
        for n in groups:
            numbers = range(n * _GROUP, (n + 1) * _GROUP)
            present = [Cat(words[k], Const(1, 1)) if k in words else absent for k in numbers]
            m.d.sync += chosen[n].eq(Array(present)[inside])
            m.d.sync += highs[n].eq(Array(captures.get(k, Const(0, 32)) for k in numbers)[inside])
            m.d.sync += takes[n].eq(Array(Const(k in captures, 1) for k in numbers)[inside])

        data = Signal(32, reset_less=True)
        known = Signal(reset_less=True)
        m.d.comb += [
            axi.arready.eq((step == 0) & ~axi.rvalid),
            axi.rdata.eq(data),
            axi.rresp.eq(Mux(known, Response.OKAY, Response.SLVERR)),
        ]
        m.d.sync += step.eq(Cat(axi.arvalid & axi.arready, step[0]))
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += address.eq(axi.araddr[2:])
        with m.If(step[1]):
            m.d.sync += [axi.rvalid.eq(1), data.eq(0), known.eq(0)]
            with m.Switch(group):
                for n in groups:
                    with m.Case(n):
                        m.d.sync += [data.eq(chosen[n][:32]), known.eq(chosen[n][32])]
                        with m.If(takes[n]):
                            m.d.sync += captured.eq(highs[n])
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += axi.rvalid.eq(0)

    def _read_words(self, register: Register) -> tuple[Value, Value]:
        value: list[Value] = []
        position = 0
        for item in sorted(register.fields, key=lambda field: field.lsb):
            value.append(Const(0, item.lsb - position))
            if item.access is Access.CONSTANT:
                value.append(Const(item.reset, item.width))
            elif item.access is Access.PULSE:
                value.append(Const(0, item.width))
            else:
                value.append(getattr(self, register.port(item)))
            position = item.lsb + item.width
        word = Cat(*value, Const(0, 64 - position))
        return word[:32], word[32:64]
