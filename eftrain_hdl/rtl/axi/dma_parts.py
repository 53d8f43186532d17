"""Parts that the read and the write DMA have in common: bursts come in, are in flight, and an error stops them."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO

from eftrain_hdl.registers import ErrorCode
from eftrain_hdl.rtl.axi.burst_generator import BurstGenerator

__all__ = ["BadResponse", "Flight", "add_flight", "connect_generator", "stop_on_error"]


class Flight(NamedTuple):
    """The bursts that were issued and are not complete: a FIFO, and the address and ``last`` of the oldest one."""

    fifo: SyncFIFO
    head: data.View


class BadResponse(NamedTuple):
    """What the bus says about a burst that failed: ``valid`` for a cycle, with the burst's ``address``."""

    valid: Value
    code: ErrorCode
    address: Value


def connect_generator(m: Module, dma: wiring.Component, generator: BurstGenerator, stopped: Signal) -> None:
    """Let ``generator`` turn ``dma.i_transfer`` into bursts within the window and the burst limit of ``dma``."""
    wiring.connect(m, wiring.flipped(dma.i_transfer), generator.i)
    m.d.comb += [
        generator.burst_beats.eq(dma.burst_beats),
        generator.window_base.eq(dma.window_base),
        generator.window_limit.eq(dma.window_limit),
        generator.stop.eq(stopped),
    ]


def add_flight(m: Module, dma: wiring.Component) -> Flight:
    """Add the FIFO of the bursts in flight, at most ``dma.outstanding``."""
    layout = data.StructLayout({"address": dma.address_width, "last": 1})
    m.submodules.flight = fifo = SyncFIFO(width=layout.size, depth=dma.outstanding)
    return Flight(fifo, data.View(layout, fifo.r_data))


def stop_on_error(
    m: Module, dma: wiring.Component, generator: BurstGenerator, stopped: Signal, response: BadResponse
) -> None:
    """Set ``stopped`` at ``dma.halt`` and at an error; the first error goes to ``dma.error`` and its companions."""
    # The bursts in front of a bad transfer are still to be issued.
    bad_transfer = generator.error & ~generator.o.valid
    with m.If(dma.halt | response.valid | bad_transfer):
        m.d.sync += stopped.eq(1)
    with m.If(~dma.error):
        with m.If(response.valid):
            m.d.sync += [
                dma.error.eq(1),
                dma.error_code.eq(response.code),
                dma.error_address.eq(response.address),
            ]
        with m.Elif(bad_transfer):
            m.d.sync += [
                dma.error.eq(1),
                dma.error_code.eq(generator.error_code),
                dma.error_address.eq(generator.error_address),
            ]
