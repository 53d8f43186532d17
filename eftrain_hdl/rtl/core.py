"""All execution units with their memory traffic: what a soft reset resets."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import FORMATS, Opcode, Target, Unit
from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.read_dma import ReadDma
from eftrain_hdl.rtl.axi.signature import AXI4Signature
from eftrain_hdl.rtl.axi.write_dma import WriteDma
from eftrain_hdl.rtl.axi_ports import READERS, WRITERS, AxiPorts
from eftrain_hdl.rtl.command import QUEUES, CommandProcessor
from eftrain_hdl.rtl.completion import CompletionCounters
from eftrain_hdl.rtl.error_collector import ErrorCollector
from eftrain_hdl.rtl.issue_queue import IssueQueue, OriginLayout
from eftrain_hdl.rtl.load_unit import LoadUnit
from eftrain_hdl.rtl.performance_counters import COUNTERS, PerformanceCounters
from eftrain_hdl.rtl.store_unit import StoreUnit
from eftrain_hdl.rtl.watchdog import Watchdog

__all__ = ["Core"]

PROGRAM_BURST = 16
_PROGRAM_FIFO = 64
_PROGRAM_OUTSTANDING = 2
_SETTLE = 8
"""Cycles without work that count as idle: more than an error takes from its unit to the command processor."""


class Core(wiring.Component):
    """Command processor, units, DMAs, error collection and counters.

    Parameters
    ----------
    config : Config
    compute, vector : wiring.Component
        The execution units of COMPUTE and VECTOR, with the members of ``ComputeUnit`` and ``VectorUnit``.

    Members
    -------
    axi : Out(AXI4Signature), one for each port
    start, program_address, program_bytes, running, finished, timestamp_index, timestamp_data,
    timestamp_count
        As in :class:`~eftrain_hdl.rtl.command.CommandProcessor`.
    window_base, window_limit : In(64)
        Byte addresses that may be touched, limit exclusive; the last byte of the address space never.
    read_bytes, write_bytes : In(16)
        Longest burst.
    watchdog : In(32)
    learning_rate, weight_decay, momentum : In(32)
    stop : In(1)
        Halt everything, until reset.
    error : Out(1); error_unit, error_code, error_address, error_instruction
        As in :class:`~eftrain_hdl.rtl.error_collector.ErrorCollector`.
    quiet : Out(1)
        No AXI burst is in flight.
    overflow, invalid : Out(1)
        Pulses of the floating-point units.
    count_* : Out(64)
        As in :class:`~eftrain_hdl.rtl.performance_counters.PerformanceCounters`.
    """

    def __init__(self, config: Config, compute: wiring.Component, vector: wiring.Component) -> None:
        self.config = config
        self.compute = compute
        self.vector = vector
        inputs = {
            "start": 1, "program_address": 64, "program_bytes": 32, "window_base": 64, "window_limit": 64,
            "read_bytes": 16, "write_bytes": 16, "watchdog": 32, "learning_rate": 32, "weight_decay": 32,
            "momentum": 32, "timestamp_index": 9, "stop": 1,
        }
        outputs = {
            "running": 1, "finished": 1, "error": 1, "error_unit": 8, "error_code": 8, "error_address": 64,
            "error_instruction": OriginLayout(), "quiet": 1, "overflow": 1, "invalid": 1, "timestamp_data": 32,
            "timestamp_count": 16, **{f"count_{name.lower()}": 64 for name in COUNTERS},
        }
        super().__init__({
            "axi": Out(AXI4Signature(config.data_width, config.address_width)).array(config.ports),
            **{name: In(width) for name, width in inputs.items()},
            **{name: Out(shape) for name, shape in outputs.items()},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.command = self._command = CommandProcessor(config)
        m.submodules.compute = self.compute
        m.submodules.vector = self.vector
        m.submodules.load_x = load_x = LoadUnit(config, Opcode.LOAD_X)
        m.submodules.load_a = load_a = LoadUnit(config, Opcode.LOAD_A)
        m.submodules.store_0 = store_0 = StoreUnit(config, Opcode.STORE_0)
        m.submodules.store_1 = store_1 = StoreUnit(config, Opcode.STORE_1)
        self._units = {
            Unit.LOAD_X: load_x, Unit.LOAD_A: load_a, Unit.COMPUTE: self.compute, Unit.VECTOR: self.vector,
            Unit.STORE_0: store_0, Unit.STORE_1: store_1,
        }
        self._halt = Signal()
        self._elaborate_memory(m)
        self._elaborate_issue(m)
        self._elaborate_data(m)
        self._elaborate_errors(m)
        self._elaborate_counters(m)
        return m

    def _elaborate_memory(self, m: Module) -> None:
        """DMAs, ports, window and burst lengths."""
        config = self.config
        m.submodules.ports = ports = AxiPorts(config)
        for number in range(config.ports):
            wiring.connect(m, ports.axi[number], wiring.flipped(self.axi[number]))
        shared = {"axi3": config.axi3}
        self._readers: dict[Unit, ReadDma] = {}
        for k, unit in enumerate(READERS):
            small = {"outstanding": _PROGRAM_OUTSTANDING, "fifo_beats": _PROGRAM_FIFO}
            sizes = small if unit is Unit.COMMAND else {"outstanding": config.outstanding}
            dma = ReadDma(config.data_width, config.address_width, **shared, **sizes)
            m.submodules[f"{unit.name.lower()}_dma"] = self._readers[unit] = dma
            wiring.connect(m, dma.axi, ports.read[k])
        self._writers: dict[Unit, WriteDma] = {}
        for k, unit in enumerate(WRITERS):
            writer = WriteDma(config.data_width, config.address_width, outstanding=config.outstanding, **shared)
            m.submodules[f"{unit.name.lower()}_dma"] = self._writers[unit] = writer
            wiring.connect(m, writer.axi, ports.write[k])
        self._dmas: dict[Unit, ReadDma | WriteDma] = {**self._readers, **self._writers}

        width = config.address_width
        base = Signal(width, reset_less=True)
        limit = Signal(width, reset_less=True)
        m.d.sync += [base.eq(self.window_base), limit.eq(self.window_limit)]
        with m.If(self.window_limit[width:] != 0):
            m.d.sync += limit.eq(-1)
        with m.If(self.window_base[width:] != 0):
            m.d.sync += limit.eq(0)
        lengths = {}
        for name, source in (("read", self.read_bytes), ("write", self.write_bytes)):
            beats = source >> (config.beat_bytes - 1).bit_length()
            lengths[name] = Signal(9, name=f"{name}_beats", reset_less=True)
            m.d.sync += lengths[name].eq(Mux(beats > 256, 256, beats))
        for unit, dma in self._dmas.items():
            beats = PROGRAM_BURST if unit is Unit.COMMAND else lengths["read" if unit in READERS else "write"]
            m.d.comb += [
                dma.window_base.eq(base),
                dma.window_limit.eq(limit),
                dma.burst_beats.eq(beats),
                dma.halt.eq(self._halt),
            ]
        m.d.sync += self.quiet.eq(Cat(dma.idle for dma in self._dmas.values()).all())

    def _elaborate_issue(self, m: Module) -> None:
        """Queues between the command processor and the units, and counts of what is complete."""
        command = self._command
        m.submodules.completion = completion = CompletionCounters()
        m.d.comb += completion.clear.eq(command.begun)
        self._queues: dict[Unit, IssueQueue] = {}
        for k, opcode in enumerate(QUEUES):
            unit = FORMATS[opcode].unit
            m.submodules[f"{unit.name.lower()}_queue"] = self._queues[unit] = queue = IssueQueue(opcode)
            control = self._units[unit].control
            wiring.connect(m, command.queue[k], queue.words)
            wiring.connect(m, queue.instruction, control.instruction)
            m.d.comb += [
                control.halt.eq(self._halt),
                queue.halt.eq(self._halt),
                queue.posted.eq(control.posted),
                queue.completed.eq(completion.completed),
                completion.posted[k].eq(control.posted),
                command.held[k].eq(queue.held),
                command.head[k].eq(queue.head),
            ]
        busy = [queue_or_unit for unit, queue in self._queues.items()
                for queue_or_unit in (~queue.empty, self._units[unit].control.busy)]
        busy += [dma.busy for unit, dma in self._dmas.items() if unit is not Unit.COMMAND]
        settled = Signal(range(_SETTLE + 1))
        active = Signal(len(busy))
        m.d.sync += active.eq(Cat(busy))
        with m.If(active.any()):
            m.d.sync += settled.eq(0)
        with m.Elif(settled != _SETTLE):
            m.d.sync += settled.eq(settled + 1)
        m.d.comb += [
            command.idle.eq(settled == _SETTLE),
            command.start.eq(self.start & ~self._halt),
            command.program_address.eq(self.program_address),
            command.program_bytes.eq(self.program_bytes),
            command.halt.eq(self._halt),
            command.stamp.eq(self._units[Unit.STORE_0].stamp),
            command.timestamp_index.eq(self.timestamp_index),
            self.timestamp_data.eq(command.timestamp_data),
            self.timestamp_count.eq(command.timestamp_count),
            self.running.eq(command.running),
            self.finished.eq(command.finished),
        ]

    def _elaborate_data(self, m: Module) -> None:
        """DMA to load units to memories, accumulators to vector unit to DMA."""
        units, compute, vector = self._units, self.compute, self.vector
        _connect_transfer(m, self._command, self._readers[Unit.COMMAND])
        for unit in (Unit.LOAD_X, Unit.LOAD_A):
            _connect_transfer(m, units[unit], self._readers[unit])
        wiring.connect(m, units[Unit.LOAD_X].write, compute.write_x)
        write = units[Unit.LOAD_A].write
        for receiver in (compute.write_a, vector.write):
            for name in ("target", "planar", "address", "lane", "data"):
                m.d.comb += getattr(receiver, name).eq(getattr(write, name))
        stationary = write.target == Target.STATIONARY
        m.d.comb += [compute.write_a.en.eq(write.en & stationary), vector.write.en.eq(write.en & ~stationary)]
        wiring.connect(m, vector.drain, compute.drain)
        for unit, output in ((Unit.STORE_0, vector.o_0), (Unit.STORE_1, vector.o_1)):
            dma = self._writers[unit]
            wiring.connect(m, units[unit].transfer, dma.i_transfer)
            m.d.comb += [
                dma.i.payload.eq(Value.cast(output.payload)),
                dma.i.valid.eq(output.valid),
                output.ready.eq(dma.i.ready),
                units[unit].done.eq(dma.done),
            ]
        m.d.comb += [
            vector.learning_rate.eq(self.learning_rate),
            vector.weight_decay.eq(self.weight_decay),
            vector.momentum.eq(self.momentum),
            self.overflow.eq(compute.overflow | vector.overflow),
            self.invalid.eq(compute.invalid | vector.invalid),
        ]

    def _elaborate_errors(self, m: Module) -> None:
        """First error, watchdog and the halt that goes to all."""
        command = self._command
        m.submodules.watchdog = self._watchdog = watchdog = Watchdog()
        busy = Signal(len(Unit), reset_less=True)
        m.d.sync += [busy[unit].eq(component.control.busy) for unit, component in self._units.items()]
        reports: list[tuple[Unit, Value, object, object]] = [
            (Unit.COMMAND, command.error, command.error_code, command.error_address),
            (Unit.COMMAND, watchdog.expired, ErrorCode.WATCHDOG, busy),
        ]
        for unit, component in self._units.items():
            control = component.control
            reports.append((unit, control.error, control.error_code, control.error_address))
        for unit, dma in self._dmas.items():
            reports.append((unit, dma.error, dma.error_code, dma.error_address))
        m.submodules.errors = errors = ErrorCollector(tuple(unit for unit, *_ in reports))
        for k, (_, error, code, address) in enumerate(reports):
            source = errors.source[k]
            m.d.comb += [source.error.eq(error), source.code.eq(code), source.address.eq(address)]
        m.d.comb += [
            errors.origin[Unit.COMMAND].eq(command.origin),
            *(errors.origin[unit].eq(queue.oldest) for unit, queue in self._queues.items()),
            self.error.eq(errors.error),
            self.error_unit.eq(errors.unit),
            self.error_code.eq(errors.code),
            self.error_address.eq(errors.address),
            self.error_instruction.eq(errors.instruction),
        ]
        m.d.sync += self._halt.eq(errors.halt | self.stop)

    def _elaborate_counters(self, m: Module) -> None:
        """Counters, and progress for the watchdog."""
        m.submodules.counters = counters = PerformanceCounters()
        events: dict[str, Value] = {"CYCLES": self._command.running, "MAC_CYCLES": self.compute.mac_active}
        for unit, queue in self._queues.items():
            busy, waiting = Signal(name=f"{unit.name.lower()}_busy"), Signal(name=f"{unit.name.lower()}_waiting")
            m.d.sync += [busy.eq(self._units[unit].control.busy), waiting.eq(queue.waiting)]
            events[f"{unit.name}_BUSY"] = busy
            events[f"{unit.name}_WAIT"] = waiting & ~busy
        for unit, reader in self._readers.items():
            events[f"{unit.name}_BEATS"] = reader.o.valid & reader.o.ready
        for unit, writer in self._writers.items():
            events[f"{unit.name}_BEATS"] = writer.i.valid & writer.i.ready
        m.d.comb += counters.clear.eq(self._command.begun)
        for name in COUNTERS:
            count = getattr(counters, f"count_{name.lower()}")
            m.d.comb += [
                getattr(counters, f"event_{name.lower()}").eq(events[name]),
                getattr(self, f"count_{name.lower()}").eq(count),
            ]
        m.d.comb += [
            self._command.cycles.eq(counters.count_cycles),
            self._watchdog.running.eq(self._command.running & ~self._halt),
            self._watchdog.limit.eq(self.watchdog),
        ]
        moves = [event for name, event in events.items() if name.endswith("BEATS")]
        # A write DMA goes on when its store unit has everything that it waits for from the vector unit.
        moves += [writer.axi.bvalid | writer.axi.wvalid & writer.axi.wready for writer in self._writers.values()]
        moves += [component.control.posted for component in self._units.values()]
        moves += [self.compute.mac_active, self.vector.active, self._command.begun]
        m.d.sync += self._watchdog.progress.eq(Cat(moves).any())


def _connect_transfer(m: Module, unit: CommandProcessor | LoadUnit, dma: ReadDma) -> None:
    wiring.connect(m, unit.transfer, dma.i_transfer)
    wiring.connect(m, dma.o, unit.data)
