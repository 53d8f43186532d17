"""The accelerator: registers, supervision and the core."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl import __version__
from eftrain_hdl.config import Config
from eftrain_hdl.registers import REGISTER_MAP
from eftrain_hdl.rtl.axi.lite import RegisterBank
from eftrain_hdl.rtl.axi.signature import AXI4LiteSignature, AXI4Signature
from eftrain_hdl.rtl.compute.unit import ComputeUnit
from eftrain_hdl.rtl.core import Core
from eftrain_hdl.rtl.performance_counters import COUNTERS
from eftrain_hdl.rtl.supervisor import Supervisor
from eftrain_hdl.rtl.vector.unit import VectorUnit

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """A complete training accelerator behind AXI.

    Parameters
    ----------
    config : Config

    Members
    -------
    ctrl : In(AXI4LiteSignature), 12 address bits
        The registers of :mod:`eftrain_hdl.registers`.
    axi : Out(AXI4Signature), one for each of ``config.ports``
        Memory; see :func:`~eftrain_hdl.rtl.axi_ports.port_users`.
    interrupt : Out(1)
        Level, active high.

    Raises
    ------
    TypeError
        If ``config`` is not a Config.
    """

    def __init__(self, config: Config) -> None:
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self.config = config
        super().__init__({
            "ctrl": In(AXI4LiteSignature(REGISTER_MAP.address_width)),
            "axi": Out(AXI4Signature(config.data_width, config.address_width)).array(config.ports),
            "interrupt": Out(1),
        })

    def compute_unit(self) -> wiring.Component:
        """The unit that executes COMPUTE; a subclass may put another in its place."""
        return ComputeUnit(self.config)

    def vector_unit(self) -> wiring.Component:
        """The unit that executes VECTOR; a subclass may put another in its place."""
        return VectorUnit(self.config)

    def core(self) -> Core:
        """What a soft reset resets; a subclass may put another in its place."""
        return Core(self.config, self.compute_unit(), self.vector_unit())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        core = self.core()
        m.submodules.registers = bank = RegisterBank(REGISTER_MAP)
        m.submodules.supervisor = supervisor = Supervisor()
        core_reset = Signal()
        m.submodules.core = ResetInserter(core_reset)(core)
        wiring.connect(m, wiring.flipped(self.ctrl), bank.axi)
        for number in range(self.config.ports):
            wiring.connect(m, core.axi[number], wiring.flipped(self.axi[number]))

        m.d.comb += [
            supervisor.soft_reset.eq(bank.control_soft_reset),
            supervisor.error.eq(core.error),
            supervisor.quiet.eq(core.quiet),
            core_reset.eq(supervisor.core_reset),
            core.stop.eq(supervisor.stop),
            core.start.eq(bank.control_start & ~core.error & ~supervisor.resetting),
        ]
        for name in (
            "program_address", "program_bytes", "window_base", "window_limit", "watchdog", "learning_rate",
            "weight_decay", "momentum", "timestamp_index",
        ):
            m.d.comb += getattr(core, name).eq(getattr(bank, name))
        m.d.comb += [
            core.read_bytes.eq(bank.burst_read_bytes),
            core.write_bytes.eq(bank.burst_write_bytes),
            bank.timestamp_data.eq(core.timestamp_data),
            bank.timestamp_count.eq(core.timestamp_count),
            bank.fp_flags_overflow_set.eq(core.overflow),
            bank.fp_flags_invalid_set.eq(core.invalid),
            *(getattr(bank, name.lower()).eq(getattr(core, f"count_{name.lower()}")) for name in COUNTERS),
        ]
        self._elaborate_status(m, bank, core, supervisor)
        self._elaborate_identity(m, bank)
        return m

    def _elaborate_status(self, m: Module, bank: RegisterBank, core: Core, supervisor: Supervisor) -> None:
        failed = Signal()
        new_error = core.error & ~failed
        m.d.sync += failed.eq(core.error)
        m.d.comb += [
            bank.status_busy.eq(core.running & ~supervisor.halted),
            bank.status_done_set.eq(core.finished),
            bank.status_error.eq(core.error),
            bank.status_halted.eq(supervisor.halted),
            bank.status_resetting.eq(supervisor.resetting),
            bank.interrupt_status_done_set.eq(core.finished),
            bank.interrupt_status_error_set.eq(new_error),
            bank.error_code_code.eq(core.error_code),
            bank.error_code_unit.eq(core.error_unit),
            bank.error_code_tag.eq(core.error_instruction.tag),
            bank.error_instruction.eq(core.error_instruction.index),
            bank.error_address.eq(core.error_address),
        ]
        pending = (bank.interrupt_status_done & bank.interrupt_enable_done) | (
            bank.interrupt_status_error & bank.interrupt_enable_error
        )
        m.d.sync += self.interrupt.eq(bank.control_interrupt_enable & pending)

    def _elaborate_identity(self, m: Module, bank: RegisterBank) -> None:
        config = self.config
        major, minor, patch = (int(part) for part in __version__.split(".")[:3])
        values = {
            "version_major": major,
            "version_minor": minor,
            "version_patch": patch,
            "configuration_hash": config.digest,
            "capability_array_rows": config.rows,
            "capability_array_lanes": config.lanes,
            "capability_format_exponent": config.operand.exponent,
            "capability_format_mantissa": config.operand.mantissa,
            "capability_ports_count": config.ports,
            "capability_ports_data_width": config.data_width,
            "capability_ports_address_width": config.address_width,
            "capability_streaming": config.streaming_depth,
            "capability_stationary": config.stationary_depth,
            "capability_accumulator_depth": config.accumulator_depth,
            "capability_accumulator_banks": config.accumulator_banks,
            "capability_operand": config.operand_depth * config.vector_lanes,
        }
        for name, value in values.items():
            m.d.comb += getattr(bank, name).eq(value)
