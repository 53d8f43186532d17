"""What happens to an element of a VECTOR instruction once it is issued."""

from __future__ import annotations

from amaranth.hdl import C, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eftrain_hdl.config import Config
from eftrain_hdl.isa import Target
from eftrain_hdl.rtl.delay import delay
from eftrain_hdl.rtl.layouts import BufferWrite, DrainRead, beat_layout

from .layouts import element_layout
from .maximum import Maximum
from .operand_memory import OperandMemory
from .rectify import Rectify, is_positive
from .scaled_add import ScaledAdd

__all__ = ["VectorDatapath"]

_ONE = 0x3F80_0000


class VectorDatapath(wiring.Component):
    """Operand memories and arithmetic: one element a cycle, never stalled, :attr:`latency` cycles each.

    Parameters
    ----------
    config : Config
        Width of a beat and depth of the operand memories.

    Members
    -------
    valid : In(1), i : In(:func:`~.layouts.element_layout`)
        An element is issued.
    write : In(BufferWrite)
        Writes to the operand memories.
    drained : In(beat)
        Accumulator words, ``DrainRead.LATENCY`` cycles after the element.
    learning_rate, weight_decay, momentum : In(32)
        FP32 bits; constant while elements are under way.
    push_0, push_1 : Out(1), o_0, o_1 : Out(beat)
        Results, :attr:`latency` cycles after the element.
    end : Out(1), post : Out(16)
        The element was the last one of its instruction, and the semaphores to give.
    overflow, invalid : Out(1)
        Of any product or sum that an instruction asked for.

    Attributes
    ----------
    latency : int
        Cycles from an element to its results.
    """

    def __init__(self, config: Config):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self._config = config
        self._add_a, self._add_b, self._update = ScaledAdd(config), ScaledAdd(config), ScaledAdd(config)
        product = self._add_a.x_at
        # Cycles after issue. Operand A is read so early that its product meets the primary word, operand B likewise; a
        # word of A also has to be judged by the mask, which is one bit, before that word arrives.
        self._primary = DrainRead.LATENCY + 1
        self._a = max(OperandMemory.LATENCY, min(DrainRead.LATENCY - 1, self._primary - product))
        self._sum_a = max(self._primary, self._a + product)
        self._sum_b = self._sum_a - product + self._add_a.latency
        self._relu = self._sum_b - product + self._add_b.latency
        self._maximum = self._relu + 1
        self._result = self._maximum + Maximum.LATENCY
        self._start_update = max(self._maximum, self._result - self._update.bypass_at)
        self.latency: int = self._start_update + self._update.latency
        beat = beat_layout(config)
        super().__init__({
            "valid": In(1), "i": In(element_layout()), "write": In(BufferWrite(config)), "drained": In(beat),
            "learning_rate": In(32), "weight_decay": In(32), "momentum": In(32),
            "push_0": Out(1), "push_1": Out(1), "o_0": Out(beat), "o_1": Out(beat), "end": Out(1), "post": Out(16),
            "overflow": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self._config
        tags = self.i.tags

        def tag(name: str, at: int) -> Value:
            return delay(m, tags[name], at, name=f"{name}_at{at}")

        def wait(value: Value, cycles: int, name: str) -> Signal:
            held = Signal(beat_layout(config), name=name)
            m.d.comb += held.eq(delay(m, value, cycles, name=f"{name}_wait"))
            return held

        memories = {}
        at_b = self._sum_b - self._add_b.x_at
        for name, target, at in (
            ("a", Target.OPERAND_A, self._a),
            ("b", Target.OPERAND_B, at_b),
            ("c", Target.OPERAND_C, DrainRead.LATENCY),
        ):
            memories[name] = one = OperandMemory(config, target)
            m.submodules[f"memory_{name}"] = one
            wiring.connect(m, wiring.flipped(self.write), one.write)
            m.d.comb += one.address.eq(delay(m, self.i[name], at - one.LATENCY, name=f"address_{name}"))
        word_a, word_b, word_c = (memories[name].o for name in "abc")

        primary = self._mask(m, word_a, word_c, tag)
        for stage, scale, register, operand, at in (
            (self._add_a, "a", self.weight_decay, wait(word_a, self._sum_a - self._add_a.x_at - self._a, "early_a"),
             self._sum_a - self._add_a.x_at),
            (self._add_b, "b", self.momentum, word_b, at_b),
        ):
            m.submodules[f"add_{scale}"] = stage
            m.d.comb += [
                stage.operand.eq(operand),
                stage.scale.eq(Mux(tag(f"scale_{scale}", at), register, C(_ONE, 32))),
                stage.add.eq(tag(f"add_{scale}", at)),
                stage.live.eq(delay(m, self.valid & tags[f"add_{scale}"] & tags.compete, at, name=f"live_{scale}")),
            ]
        x = wait(primary, self._sum_a - self._primary, "x_a")
        for stage in (self._add_a, self._add_b):
            m.d.comb += [stage.x.eq(x), stage.bypass.eq(wait(x, stage.bypass_at - stage.x_at, "bypass"))]
            x = stage.o

        m.submodules.rectify = rectify = Rectify(config)
        m.submodules.maximum = maximum = Maximum(config)
        m.d.comb += [
            rectify.i.eq(x), rectify.enable.eq(tag("relu", self._relu)),
            maximum.i.eq(rectify.o), maximum.valid.eq(delay(m, self.valid, self._maximum, name="valid_maximum")),
            maximum.tags.eq(delay(m, tags, self._maximum, name="tags_maximum")),
        ]
        self._finish(m, word_a, rectify.o, maximum, tag, wait)
        return m

    def _mask(self, m: Module, word_a: Value, word_c: Value, tag) -> Signal:
        """Primary words, or zeros, at cycle ``_primary``."""
        now = self._a
        clear, mask, match, index = (tag(name, now) for name in ("clear", "mask_a", "match_a", "index"))
        source = tag("source", DrainRead.LATENCY)
        primary = Signal(beat_layout(self._config), reset_less=True)
        for w, word in enumerate(word_a):
            zero = Signal(name=f"zero_{w}", reset_less=True)
            m.d.sync += zero.eq(clear | (mask & ~is_positive(word)) | (match & (word != index)))
            held = delay(m, zero, DrainRead.LATENCY - now - 1, name=f"zero_{w}")
            m.d.sync += primary[w].eq(Mux(held, 0, Mux(source, word_c[w], self.drained[w])))
        return primary

    def _finish(self, m: Module, word_a: Value, u: Value, maximum: Maximum, tag, wait) -> None:
        """The update, and everything that leaves."""
        m.submodules.update = update = self._update
        at = self._start_update
        m.d.comb += [
            update.operand.eq(wait(u, at - self._maximum, "u")),
            update.scale.eq(self.learning_rate ^ (1 << 31)),
            update.add.eq(tag("sgd", at)),
            update.live.eq(delay(m, self.valid & self.i.tags.sgd, at, name="live_update")),
            update.x.eq(wait(word_a, at + update.x_at - self._a, "a_update")),
            update.bypass.eq(wait(maximum.value, at + update.bypass_at - self._result, "value")),
            self.o_0.eq(update.o),
            self.o_1.eq(wait(maximum.position, self.latency - self._result, "position")),
            self.post.eq(tag("post", self.latency)),
        ]
        for port, now in (
            (self.push_0, self.valid & self.i.tags.emit_0),
            (self.push_1, self.valid & self.i.tags.emit_1),
            (self.end, self.valid & self.i.tags.end),
        ):
            m.d.comb += port.eq(delay(m, now, self.latency, name=f"{port.name}_later", reset_less=False))
        for name in ("overflow", "invalid"):
            stages = (self._add_a, self._add_b, update)
            flag = getattr(stages[0], name)
            for stage in stages[1:]:
                flag = flag | getattr(stage, name)
            m.d.sync += getattr(self, name).eq(flag)
