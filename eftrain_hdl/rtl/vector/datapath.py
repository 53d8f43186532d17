"""What happens to an element of a VECTOR instruction once it is issued."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import C, Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
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
    """Operand memories and arithmetic: one element a cycle, never stalled, :attr:`LATENCY` cycles each.

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
        Results, :attr:`LATENCY` cycles after the element.
    end : Out(1)
        The element was the last one of its instruction.
    overflow, invalid : Out(1)
        Of any product or sum that an instruction asked for.
    """

    # Cycles after issue. Operand A is read so early that its product meets the primary word, operand B likewise; a
    # word of A also has to be judged by the mask, which is one bit, before that word arrives.
    _PRIMARY = DrainRead.LATENCY + 1
    _A = max(OperandMemory.LATENCY, min(DrainRead.LATENCY - 1, _PRIMARY - ScaledAdd.X_AT))
    _ADD_A = max(_A, _PRIMARY - ScaledAdd.X_AT)
    _ADD_B = _ADD_A + ScaledAdd.LATENCY - ScaledAdd.X_AT
    _RELU = _ADD_B + ScaledAdd.LATENCY
    _MAXIMUM = _RELU + Rectify.LATENCY
    _RESULT = _MAXIMUM + Maximum.LATENCY
    _UPDATE = max(_MAXIMUM, _RESULT - ScaledAdd.BYPASS_AT)
    LATENCY = _UPDATE + ScaledAdd.LATENCY

    def __init__(self, config: Config):
        self._config = config
        beat = beat_layout(config)
        super().__init__({
            "valid": In(1), "i": In(element_layout()), "write": In(BufferWrite(config)), "drained": In(beat),
            "learning_rate": In(32), "weight_decay": In(32), "momentum": In(32),
            "push_0": Out(1), "push_1": Out(1), "o_0": Out(beat), "o_1": Out(beat), "end": Out(1),
            "overflow": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        config = self._config
        tags = self.i.tags
        flags: list[ScaledAdd] = []

        def tag(name: str, at: int) -> Value:
            return delay(m, tags[name], at, name=f"{name}_at{at}")

        def wait(value: Value, cycles: int, name: str) -> Signal:
            held = Signal(beat_layout(config), name=name)
            m.d.comb += held.eq(delay(m, value, cycles, name=f"{name}_wait"))
            return held

        memories = {}
        for name, target, at in (
            ("a", Target.OPERAND_A, self._A),
            ("b", Target.OPERAND_B, self._ADD_B),
            ("c", Target.OPERAND_C, DrainRead.LATENCY),
        ):
            memories[name] = one = OperandMemory(config, target)
            m.submodules[f"memory_{name}"] = one
            wiring.connect(m, wiring.flipped(self.write), one.write)
            m.d.comb += one.address.eq(delay(m, self.i[name], at - one.LATENCY, name=f"address_{name}"))
        word_a, word_b, word_c = (memories[name].o for name in "abc")

        x = wait(self._mask(m, word_a, word_c, tag), self._ADD_A + ScaledAdd.X_AT - self._PRIMARY, "primary")
        for name, operand, register, at in (
            ("a", wait(word_a, self._ADD_A - self._A, "early_a"), self.weight_decay, self._ADD_A),
            ("b", word_b, self.momentum, self._ADD_B),
        ):
            m.submodules[f"add_{name}"] = stage = ScaledAdd(config)
            live = self.valid & tags[f"add_{name}"] & tags.compete
            m.d.comb += [
                stage.operand.eq(operand),
                stage.scale.eq(Mux(tag(f"scale_{name}", at), register, C(_ONE, 32))),
                stage.add.eq(tag(f"add_{name}", at)),
                stage.live.eq(delay(m, live, at, name=f"live_{name}")),
                stage.x.eq(x),
                stage.bypass.eq(wait(x, stage.BYPASS_AT - stage.X_AT, "bypass")),
            ]
            flags.append(stage)
            x = stage.o

        m.submodules.rectify = rectify = Rectify(config)
        m.submodules.maximum = maximum = Maximum(config)
        m.d.comb += [
            rectify.i.eq(x),
            rectify.enable.eq(tag("relu", self._RELU)),
            maximum.i.eq(rectify.o),
            maximum.valid.eq(delay(m, self.valid, self._MAXIMUM, name="valid_maximum")),
            maximum.tags.eq(delay(m, tags, self._MAXIMUM, name="tags_maximum")),
        ]

        at = self._UPDATE
        m.submodules.update = update = ScaledAdd(config)
        flags.append(update)
        m.d.comb += [
            update.operand.eq(wait(rectify.o, at - self._MAXIMUM, "u")),
            update.scale.eq(self.learning_rate ^ (1 << 31)),
            update.add.eq(tag("sgd", at)),
            update.live.eq(delay(m, self.valid & tags.sgd, at, name="live_update")),
            update.x.eq(wait(word_a, at + update.X_AT - self._A, "a_update")),
            update.bypass.eq(wait(maximum.value, at + update.BYPASS_AT - self._RESULT, "value")),
            self.o_0.eq(update.o),
            self.o_1.eq(wait(maximum.position, self.LATENCY - self._RESULT, "position")),
        ]
        for port, name in ((self.push_0, "emit_0"), (self.push_1, "emit_1"), (self.end, "end")):
            # Control, unlike data, must not come out after a reset.
            m.d.comb += port.eq(delay(m, self.valid & tags[name], self.LATENCY, name=name, reset_less=False))
        m.d.sync += [
            self.overflow.eq(Cat(stage.overflow for stage in flags).any()),
            self.invalid.eq(Cat(stage.invalid for stage in flags).any()),
        ]
        return m

    def _mask(self, m: Module, word_a: data.View, word_c: data.View, tag: Callable[[str, int], Value]) -> Signal:
        """Primary words, or zeros, at cycle ``_PRIMARY``."""
        now = self._A
        clear, mask, match, index = (tag(name, now) for name in ("clear", "mask_a", "match_a", "index"))
        source = tag("source", DrainRead.LATENCY)
        primary = Signal(beat_layout(self._config), reset_less=True)
        for w, word in enumerate(word_a):
            zero = Signal(name=f"zero_{w}", reset_less=True)
            m.d.sync += zero.eq(clear | (mask & ~is_positive(word)) | (match & (word != index)))
            held = delay(m, zero, DrainRead.LATENCY - now - 1, name=f"zero_{w}")
            m.d.sync += primary[w].eq(Mux(held, 0, Mux(source, word_c[w], self.drained[w])))
        return primary
