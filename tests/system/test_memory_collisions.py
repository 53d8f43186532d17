"""No result depends on what a memory gives for a word that is read in the cycle in which it is written.

Place and route for the ECP5 relies on that (``eftrain_hdl/synthesis/collisions.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from amaranth.back import rtlil
from amaranth.hdl import C, Module, Mux, Signal, Value
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib.memory import Memory

from eftrain_hdl.config import Config
from eftrain_hdl.rtl.top import Top
from eftrain_hdl.rtl.verilog import rtlil_to_verilog
from eftrain_hdl.runtime import sim
from eftrain_hdl.synthesis import merge_modules
from tests.compiler.networks import NETWORKS
from tests.system.machines import Pair, samples

CONFIG = Config(
    rows=2, lanes=4, data_width=32, streaming_depth=1024, stationary_depth=1024, accumulator_depth=1024,
    accumulator_banks=2, operand_depth=512,
)  # fmt: skip


class CollisionPlatform:
    """Memories whose clocked read ports give ones, a NaN, for a word that is written in the same cycle."""

    def __init__(self) -> None:
        self.ports = 0

    def get_memory(self, memory: Memory) -> Module:
        m = Module()
        m.submodules.instance = instance = MemoryInstance(data=memory.data, attrs=memory.attrs)
        for port in memory.write_ports:
            instance.write_port(domain=port.domain, addr=port.addr, data=port.data, en=port.en)
        for port in memory.read_ports:
            assert not port.transparent_for
            word = Signal(len(Value.cast(port.data)))
            instance.read_port(domain=port.domain, data=word, addr=port.addr, en=port.en, transparent_for=())
            if port.domain == "comb":
                m.d.comb += Value.cast(port.data).eq(word)
                continue
            self.ports += 1
            collision = Signal()
            with m.If(port.en):
                m.d.sync += collision.eq(
                    sum((write.en.any() & (write.addr == port.addr) for write in memory.write_ports), C(0)) != 0
                )
            m.d.comb += Value.cast(port.data).eq(Mux(collision, C(-1, len(word)), word))
        return m


@pytest.fixture(scope="module", autouse=True)
def simulated() -> Iterator[None]:
    """Simulated devices of this module have such memories."""
    platform = CollisionPlatform()
    top = Top(CONFIG)
    with patch.object(rtlil.ModuleEmitter, "emit_memory"):
        text = rtlil.convert(top, name="eftrain", ports=list(top.ports.values()), platform=platform, emit_src=False)
    assert platform.ports > 20
    verilog = rtlil_to_verilog(merge_modules(text))
    with patch.object(sim, "cached_verilog", lambda *_, **__: verilog):
        yield


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_training_does_not_depend_on_collisions(name: str) -> None:
    network = NETWORKS[name]
    pair = Pair.of(network.model, CONFIG, network.batch)
    for step in range(2):
        x, y = samples(network.model, network.batch, step)
        assert pair.rtl.step(x, y).loss == pair.emulator.step(x, y).loss
    pair.assert_same_memory()
