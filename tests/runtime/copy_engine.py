"""A small accelerator with the ports of the real one: copies memory, one lane a port. Exercises the harness."""

from amaranth.hdl import Array, Cat, ClockDomain, Elaboratable, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

ADDRESS_WIDTH = 40
IDENTITY = 0xC0B1E5
REGISTERS = {name: 4 * i for i, name in enumerate(
    ("identity", "control", "status", "source", "target", "bursts", "length", "stride", "break_rule", "ballast"))}
DROP_ARVALID, EARLY_WLAST = 1, 2
BUSY, DONE, ERROR = 1, 2, 4


def axi_members(data_width: int) -> dict[str, wiring.Member]:
    address = {"id": 1, "addr": ADDRESS_WIDTH, "len": 8, "size": 3, "burst": 2, "lock": 1, "cache": 4, "prot": 3,
               "qos": 4}
    members = {f"{ch}{name}": Out(width) for ch in ("aw", "ar") for name, width in address.items()}
    members |= {"wdata": Out(data_width), "wstrb": Out(data_width // 8), "wlast": Out(1)}
    members |= {"bid": In(1), "bresp": In(2)}
    members |= {"rid": In(1), "rdata": In(data_width), "rresp": In(2), "rlast": In(1)}
    for channel in ("aw", "w", "ar"):
        members |= {f"{channel}valid": Out(1), f"{channel}ready": In(1)}
    for channel in ("b", "r"):
        members |= {f"{channel}valid": In(1), f"{channel}ready": Out(1)}
    return members


def lite_members() -> dict[str, wiring.Member]:
    members = {"awaddr": In(12), "awprot": In(3), "wdata": In(32), "wstrb": In(4), "bresp": Out(2),
               "araddr": In(12), "arprot": In(3), "rdata": Out(32), "rresp": Out(2)}
    for channel in ("aw", "w", "ar"):
        members |= {f"{channel}valid": In(1), f"{channel}ready": Out(1)}
    for channel in ("b", "r"):
        members |= {f"{channel}valid": Out(1), f"{channel}ready": In(1)}
    return members


class CopyLane(wiring.Component):
    """Copies ``bursts`` bursts of ``length + 1`` beats; bursts follow each other in memory."""

    def __init__(self, data_width: int):
        self.data_width = data_width
        super().__init__({
            "start": In(1), "source": In(ADDRESS_WIDTH), "target": In(ADDRESS_WIDTH), "bursts": In(20), "length": In(8),
            "break_rule": In(2), "busy": Out(1), "error": Out(1),
            **axi_members(data_width),
        })

    def elaborate(self, platform):
        m = Module()
        depth = 512
        beat = self.data_width // 8
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self.data_width, depth=depth)
        step = Signal(13)
        reads, writes, answers = (Signal(20, name=name) for name in ("reads", "writes", "answers"))
        reserved = Signal(range(depth + 1))
        beat_count = Signal(8)
        w_bursts = Signal(20)
        m.d.comb += [
            step.eq((self.length + 1) << (beat.bit_length() - 1)),
            self.busy.eq((reads | writes | answers | w_bursts).any()),
            self.arlen.eq(self.length), self.awlen.eq(self.length),
            self.arsize.eq(beat.bit_length() - 1), self.awsize.eq(beat.bit_length() - 1),
            self.arburst.eq(1), self.awburst.eq(1), self.arcache.eq(3), self.awcache.eq(3),
            self.rready.eq(fifo.w_rdy), fifo.w_en.eq(self.rvalid), fifo.w_data.eq(self.rdata),
            self.wdata.eq(fifo.r_data), self.wstrb.eq(~0), self.wvalid.eq(fifo.r_rdy & w_bursts.any()),
            self.wlast.eq(beat_count == Array([self.length, 0])[self.break_rule[1]]),
            fifo.r_en.eq(self.wvalid & self.wready),
            self.bready.eq(1),
        ]
        taken = self.arvalid & self.arready
        leaves = fifo.r_en
        m.d.sync += reserved.eq(reserved + Cat(taken).any() * (self.length + 1) - leaves)
        with m.If(taken | (self.break_rule[0] & self.arvalid)):
            m.d.sync += self.arvalid.eq(0)
        with m.Elif(reads.any() & (reserved + self.length < depth)):
            m.d.sync += self.arvalid.eq(1)
        with m.If(taken):
            m.d.sync += [reads.eq(reads - 1), self.araddr.eq(self.araddr + step)]
            # Back to back where the reservation allows: no bubble between bursts.
            with m.If((reads > 1) & (reserved + 2 * self.length + 1 < depth)):
                m.d.sync += self.arvalid.eq(1)
        with m.If(writes.any() & ~self.awvalid):
            m.d.sync += self.awvalid.eq(1)
        with m.If(self.awvalid & self.awready):
            m.d.sync += [writes.eq(writes - 1), self.awaddr.eq(self.awaddr + step), self.awvalid.eq(writes > 1)]
        with m.If(leaves):
            m.d.sync += beat_count.eq(beat_count + 1)
            with m.If(beat_count == self.length):
                m.d.sync += [beat_count.eq(0), w_bursts.eq(w_bursts - 1)]
        with m.If(self.bvalid):
            m.d.sync += answers.eq(answers - 1)
        with m.If((self.bvalid & self.bresp[1]) | (self.rvalid & self.rresp[1])):
            m.d.sync += self.error.eq(1)
        with m.If(self.start):
            m.d.sync += [
                reads.eq(self.bursts), writes.eq(self.bursts), answers.eq(self.bursts), w_bursts.eq(self.bursts),
                self.araddr.eq(self.source), self.awaddr.eq(self.target), self.error.eq(0),
            ]
        return m


class Ballast(Elaboratable):
    """Multiply-accumulate pipelines that only cost simulation time."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        self.result = Signal(32)

    def elaborate(self, platform):
        m = Module()
        seed = Signal(32, init=1)
        m.d.sync += seed.eq(seed * 1664525 + 1013904223)
        value: Signal = seed
        for i in range(self.lanes):
            a, product, total = Signal(32, name=f"a{i}"), Signal(64, name=f"p{i}"), Signal(32, name=f"t{i}")
            m.d.sync += [a.eq(value), product.eq(a * value), total.eq(total + product[16:48])]
            value = total
        m.d.comb += self.result.eq(value)
        return m


class CopyEngine(wiring.Component):
    """Registers (:data:`REGISTERS`, 32 bits each) and a :class:`CopyLane` a port; lane i works at ``i * stride``."""

    def __init__(self, *, ports: int, data_width: int, ballast: int = 0):
        self.ports, self.data_width, self.ballast = ports, data_width, ballast
        members = {"aclk": In(1), "aresetn": In(1), "interrupt": Out(1)}
        members |= {f"s_axi_ctrl_{name}": member for name, member in lite_members().items()}
        for i in range(ports):
            members |= {f"m_axi_{i}_{name}": member for name, member in axi_members(data_width).items()}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        registers = Signal(data.ArrayLayout(unsigned(32), len(REGISTERS)))
        names = list(REGISTERS)
        register = {name: registers[i] for i, name in enumerate(names)}
        m.submodules.ballast = ballast = Ballast(self.ballast)
        start = Signal()
        lanes = [CopyLane(self.data_width) for _ in range(self.ports)]
        busy = Cat(*(lane.busy for lane in lanes)).any()
        was_busy = Signal()
        done = Signal()
        for i, lane in enumerate(lanes):
            m.submodules[f"lane{i}"] = lane
            m.d.comb += [
                lane.start.eq(start), lane.source.eq(register["source"] + i * register["stride"]),
                lane.target.eq(register["target"] + i * register["stride"]), lane.bursts.eq(register["bursts"]),
                lane.length.eq(register["length"]), lane.break_rule.eq(register["break_rule"]),
            ]
            for name, member in axi_members(self.data_width).items():
                inner, outer = getattr(lane, name), getattr(self, f"m_axi_{i}_{name}")
                m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.sync += [was_busy.eq(busy), start.eq(0)]
        with m.If(was_busy & ~busy):
            m.d.sync += done.eq(1)
        m.d.comb += self.interrupt.eq(done)
        self._control(m, register, start, done, Cat(busy, done, Cat(*(lane.error for lane in lanes)).any()), ballast)
        return m

    def _control(self, m, register, start, done, status, ballast):
        def port(name):
            return getattr(self, f"s_axi_ctrl_{name}")

        write = port("awvalid") & port("wvalid") & ~port("bvalid")
        m.d.comb += [port("awready").eq(write), port("wready").eq(write), port("arready").eq(~port("rvalid"))]
        with m.If(port("bready")):
            m.d.sync += port("bvalid").eq(0)
        with m.If(write):
            m.d.sync += [port("bvalid").eq(1), port("bresp").eq(2)]
            for name, offset in REGISTERS.items():
                with m.If(port("awaddr") == offset):
                    m.d.sync += [register[name].eq(port("wdata")), port("bresp").eq(0)]
            with m.If(port("awaddr") == REGISTERS["control"]):
                m.d.sync += [start.eq(port("wdata")[0]), done.eq(done & ~port("wdata")[1])]
        readable = {**register, "identity": IDENTITY, "status": status, "ballast": ballast.result}
        with m.If(port("rready")):
            m.d.sync += port("rvalid").eq(0)
        with m.If(port("arvalid") & port("arready")):
            m.d.sync += [port("rvalid").eq(1), port("rresp").eq(2), port("rdata").eq(0)]
            for name, offset in REGISTERS.items():
                with m.If(port("araddr") == offset):
                    m.d.sync += [port("rdata").eq(readable[name]), port("rresp").eq(0)]
