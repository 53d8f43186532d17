"""The vector unit: executes VECTOR instructions."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Opcode
from eftrain_hdl.rtl.layouts import BufferWrite, DrainRead, UnitControl, beat_layout
from eftrain_hdl.rtl.skid_buffer import SkidBuffer

from .check import ElementCheck
from .datapath import VectorDatapath
from .layouts import position_layout
from .nest import VectorNest

__all__ = ["VectorUnit"]

# Elements under way when there seems to be room: `room` is a cycle old, and so is the level that it judges.
_RESERVE = VectorDatapath.LATENCY + 2


class VectorUnit(wiring.Component):
    """Accumulators and operand memories in, two streams of beats out: executes VECTOR as ``docs/execution.md`` has it.

    One element a cycle is issued as long as both output queues have room for all that is under way, so nothing
    after the issue ever waits.

    Parameters
    ----------
    config : Config
        Sizes; ``vector_lanes`` words are processed in parallel.
    queue_depth : int
        Beats that each output queue holds, at least the latency of the datapath and two.

    Members
    -------
    control : Out(UnitControl(Opcode.VECTOR))
        As seen from this unit: ``control.instruction`` comes in, ``control.posted`` goes out. An instruction is taken
        when its first element is ready to be checked. ``busy`` includes beats in the output queues. ``error_address``
        is an address in an on-chip memory, or zero for BAD_FIELD.
    write : In(BufferWrite(config))
        Writes to the operand memories; other targets are ignored.
    drain : Out(DrainRead(config))
        Read port of the accumulators.
    o_0, o_1 : Out(stream of beats)
        To STORE_0 and STORE_1.
    learning_rate, weight_decay, momentum : In(32)
        FP32 bits; constant while a program runs.
    active : Out(1)
        An element was issued in the cycle before.
    overflow, invalid : Out(1)
        High for a cycle when the arithmetic made an Inf of numbers, or a NaN of none.

    Raises
    ------
    TypeError, ValueError
        If ``config`` is not a Config, or ``queue_depth`` no integer or too small.
    """

    LATENCY = VectorDatapath.LATENCY
    """Cycles from the issue of an element until its beat enters the queue."""

    def __init__(self, config: Config, *, queue_depth: int = 512):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        if not isinstance(queue_depth, int) or isinstance(queue_depth, bool):
            raise TypeError(f"queue_depth must be an integer, not {queue_depth!r}")
        if queue_depth < _RESERVE:
            raise ValueError(f"queue_depth must be at least {_RESERVE}, not {queue_depth}")
        self._config = config
        self._queue_depth = queue_depth
        output = stream.Signature(beat_layout(config))
        super().__init__({
            "control": Out(UnitControl(Opcode.VECTOR)),
            "write": In(BufferWrite(config)), "drain": Out(DrainRead(config)), "o_0": Out(output), "o_1": Out(output),
            "learning_rate": In(32), "weight_decay": In(32), "momentum": In(32), "active": Out(1),
            "overflow": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        control, drain = self.control, self.drain
        m.submodules.nest = nest = VectorNest()
        m.submodules.check = check = ElementCheck(self._config)
        m.submodules.datapath = datapath = VectorDatapath(self._config)
        wiring.connect(m, wiring.flipped(control.instruction), nest.i)
        # Whether an element is issued depends on queues and banks far away: the nest learns of it a cycle later.
        m.submodules.skid = skid = SkidBuffer(position_layout())
        wiring.connect(m, nest.o, skid.i)
        wiring.connect(m, skid.o, check.i)
        wiring.connect(m, wiring.flipped(self.write), datapath.write)

        element = check.o.payload
        go = Signal()
        room_0, empty_0 = self._queue(m, "queue_0", datapath.push_0, datapath.o_0, self.o_0)
        room_1, empty_1 = self._queue(m, "queue_1", datapath.push_1, datapath.o_1, self.o_1)
        room = Signal()
        m.d.sync += room.eq(room_0 & room_1)
        # A cycle old too: the array begins with a bank long after what is drained of it has been read.
        bank_busy = Signal.like(drain.bank_busy)
        m.d.sync += bank_busy.eq(drain.bank_busy)
        held_up = element.drain & bank_busy.bit_select(element.bank, 1)
        m.d.comb += [
            go.eq(check.o.valid & room & ~element.error & ~held_up & ~control.halt),
            check.o.ready.eq(go),
            drain.en.eq(go & element.drain),
            drain.bank.eq(element.bank),
            drain.address.eq(element.acc),
            drain.group.eq(element.group),
            datapath.valid.eq(go),
            datapath.i.eq(element),
            datapath.drained.eq(drain.data),
            self.overflow.eq(datapath.overflow),
            self.invalid.eq(datapath.invalid),
        ]

        m.d.sync += self.active.eq(go)

        # Registered here, since the registers of the host may be far from the multipliers.
        m.d.sync += [
            datapath.learning_rate.eq(self.learning_rate),
            datapath.weight_decay.eq(self.weight_decay),
            datapath.momentum.eq(self.momentum),
        ]

        # An element in error is never taken, so everything behind it stays where it is.
        stopped = Signal()
        fail = check.o.valid & element.error & ~stopped & ~control.halt
        with m.If(fail):
            m.d.sync += [
                stopped.eq(1),
                control.error_code.eq(element.error_code),
                control.error_address.eq(element.error_address),
            ]
        m.d.sync += control.error.eq(fail)

        running = Signal(range(self.LATENCY))
        m.d.comb += control.posted.eq(datapath.end & ~control.halt)
        m.d.sync += running.eq(running + (control.instruction.valid & control.instruction.ready) - control.posted)
        m.d.comb += control.busy.eq(
            (control.instruction.valid | running.any() | ~empty_0 | ~empty_1) & ~control.halt
        )
        return m

    def _queue(self, m: Module, name: str, push, beat, o) -> tuple:
        """An output queue: whether it has room for what is under way, and whether it is empty."""
        m.submodules[name] = queue = fifo.SyncFIFOBuffered(width=beat.shape().size, depth=self._queue_depth)
        m.d.comb += [
            queue.w_en.eq(push & ~self.control.halt), queue.w_data.eq(beat),
            o.valid.eq(queue.r_rdy), o.payload.eq(queue.r_data), queue.r_en.eq(o.ready),
        ]
        return queue.level <= self._queue_depth - _RESERVE, queue.level == 0
