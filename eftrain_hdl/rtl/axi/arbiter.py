"""Several managers on one AXI4 port."""

from amaranth.hdl import Array, Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from eftrain_hdl.rtl.axi.signature import (
    DEFAULT_PROTECTION,
    AXI4ReadSignature,
    AXI4WriteSignature,
    check_protection,
    drive_read_constants,
    drive_write_constants,
)

__all__ = ["ReadArbiter", "WriteArbiter"]


def _check(managers: int, outstanding: int, protection: int) -> None:
    if not isinstance(managers, int) or not 2 <= managers <= 16:
        raise ValueError(f"managers must be an integer from 2 to 16, not {managers!r}")
    if not isinstance(outstanding, int) or not 1 <= outstanding <= 256:
        raise ValueError(f"outstanding must be an integer from 1 to 256, not {outstanding!r}")
    check_protection(protection)


def _share_address(
    m: Module, managers: list[wiring.PureInterface], axi: wiring.PureInterface, channel: str, room: Value
) -> tuple[Signal, Signal]:
    """Register bursts of all managers in turn into one address channel, one a cycle, while ``room`` is set.

    Returns (taken, index of the manager it was taken from).
    """
    count = len(managers)
    requests = [getattr(manager, f"{channel}valid") for manager in managers]
    valid = getattr(axi, f"{channel}valid")
    ready = getattr(axi, f"{channel}ready")
    latest = Signal(range(count), init=count - 1)
    grant = Signal(range(count))
    with m.Switch(latest):
        for previous in range(count):
            with m.Case(previous):
                for distance in range(count, 0, -1):
                    index = (previous + distance) % count
                    with m.If(requests[index]):
                        m.d.comb += grant.eq(index)

    free = Signal()
    taken = Signal()
    address = Signal.like(getattr(axi, f"{channel}addr"), reset_less=True)
    length = Signal(8, reset_less=True)
    m.d.comb += [
        free.eq((~valid | ready) & room),
        taken.eq(free & Cat(requests).any()),
        getattr(axi, f"{channel}addr").eq(address),
        getattr(axi, f"{channel}len").eq(length),
    ]
    for index, manager in enumerate(managers):
        m.d.comb += getattr(manager, f"{channel}ready").eq(free & (grant == index))
    with m.If(taken):
        m.d.sync += [
            valid.eq(1),
            latest.eq(grant),
            address.eq(Array(getattr(manager, f"{channel}addr") for manager in managers)[grant]),
            length.eq(Array(getattr(manager, f"{channel}len") for manager in managers)[grant]),
        ]
    with m.Elif(ready):
        m.d.sync += valid.eq(0)
    return taken, grant


class ReadArbiter(wiring.Component):
    """Several read managers on one port, in turn burst by burst; adds one cycle to the address, none to the data.

    All bursts carry ID 0, so data come back in the order of the addresses and are routed by a FIFO of grants. A manager
    that does not take its data blocks the others: use ``ReadDma``, which asks only for what it has room for.

    Parameters
    ----------
    managers : how many, 2 to 16
    data_width, address_width : bits of the bus
    outstanding : bursts in flight, all managers together
    protection : AxPROT of the port

    Members
    -------
    managers : array of AR and R channels towards the managers; only address and length of their AR are looked at
    axi : AR and R channels of the port
    """

    def __init__(
        self,
        managers: int,
        data_width: int,
        address_width: int = 40,
        *,
        outstanding: int = 32,
        protection: int = DEFAULT_PROTECTION,
    ) -> None:
        _check(managers, outstanding, protection)
        signature = AXI4ReadSignature(data_width, address_width)
        self.count = managers
        self.data_width = data_width
        self.outstanding = outstanding
        self.protection = protection
        super().__init__({"managers": In(signature).array(managers), "axi": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        drive_read_constants(m, axi, self.data_width, self.protection)
        m.submodules.order = order = SyncFIFO(width=len(Signal(range(self.count))), depth=self.outstanding)
        taken, grant = _share_address(m, list(self.managers), axi, "ar", order.w_rdy)
        m.d.comb += [order.w_data.eq(grant), order.w_en.eq(taken)]
        with m.If(order.r_rdy):
            m.d.comb += axi.rready.eq(Array(manager.rready for manager in self.managers)[order.r_data])
        m.d.comb += order.r_en.eq(axi.rvalid & axi.rready & axi.rlast)
        for index, manager in enumerate(self.managers):
            m.d.comb += [
                manager.rid.eq(axi.rid),
                manager.rdata.eq(axi.rdata),
                manager.rresp.eq(axi.rresp),
                manager.rlast.eq(axi.rlast),
                manager.rvalid.eq(axi.rvalid & order.r_rdy & (order.r_data == index)),
            ]
        return m


class WriteArbiter(wiring.Component):
    """Several write managers on one port, in turn burst by burst; adds one cycle to address and data.

    A manager whose address was taken holds the data channel until its last beat: use ``WriteDma``, which has all beats
    of a burst before it asks. Responses come back in the order of the addresses.

    Parameters
    ----------
    managers : how many, 2 to 16
    data_width, address_width : bits of the bus
    outstanding : bursts in flight, all managers together
    protection : AxPROT of the port

    Members
    -------
    managers : array of AW, W and B channels towards the managers; only address and length of their AW are looked at
    axi : AW, W and B channels of the port
    """

    def __init__(
        self,
        managers: int,
        data_width: int,
        address_width: int = 40,
        *,
        outstanding: int = 32,
        protection: int = DEFAULT_PROTECTION,
    ) -> None:
        _check(managers, outstanding, protection)
        signature = AXI4WriteSignature(data_width, address_width)
        self.count = managers
        self.data_width = data_width
        self.outstanding = outstanding
        self.protection = protection
        super().__init__({"managers": In(signature).array(managers), "axi": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        drive_write_constants(m, axi, self.data_width, self.protection)
        width = len(Signal(range(self.count)))
        m.submodules.data_order = data_order = SyncFIFO(width=width, depth=self.outstanding)
        m.submodules.response_order = response_order = SyncFIFO(width=width, depth=self.outstanding)
        room = data_order.w_rdy & response_order.w_rdy
        taken, grant = _share_address(m, list(self.managers), axi, "aw", room)
        m.d.comb += [
            data_order.w_data.eq(grant),
            data_order.w_en.eq(taken),
            response_order.w_data.eq(grant),
            response_order.w_en.eq(taken),
        ]

        # Whose burst it is comes out of a register, so that `wready` does not wait for the queue.
        owned = Signal()
        owner = Signal(width, reset_less=True)
        beat = Signal(self.data_width, reset_less=True)
        strobe = Signal(self.data_width // 8, reset_less=True)
        last = Signal(reset_less=True)
        offered = Signal()
        free = Signal()
        m.d.comb += [
            offered.eq(Array(manager.wvalid for manager in self.managers)[owner]),
            free.eq(owned & (~axi.wvalid | axi.wready)),
            data_order.r_en.eq(~owned | (free & offered & Array(manager.wlast for manager in self.managers)[owner])),
            axi.wdata.eq(beat),
            axi.wstrb.eq(strobe),
            axi.wlast.eq(last),
        ]
        with m.If(data_order.r_en):
            m.d.sync += [owned.eq(data_order.r_rdy), owner.eq(data_order.r_data)]
        with m.If(free & offered):
            m.d.sync += [
                axi.wvalid.eq(1),
                beat.eq(Array(manager.wdata for manager in self.managers)[owner]),
                strobe.eq(Array(manager.wstrb for manager in self.managers)[owner]),
                last.eq(Array(manager.wlast for manager in self.managers)[owner]),
            ]
        with m.Elif(axi.wready):
            m.d.sync += axi.wvalid.eq(0)

        with m.If(response_order.r_rdy):
            m.d.comb += axi.bready.eq(Array(manager.bready for manager in self.managers)[response_order.r_data])
        m.d.comb += response_order.r_en.eq(axi.bvalid & axi.bready)
        for index, manager in enumerate(self.managers):
            m.d.comb += [
                manager.wready.eq(free & (owner == index)),
                manager.bid.eq(axi.bid),
                manager.bresp.eq(axi.bresp),
                manager.bvalid.eq(axi.bvalid & response_order.r_rdy & (response_order.r_data == index)),
            ]
        return m
