"""Registers in a row."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, Signal, Value, ValueLike

__all__ = ["delay"]


def delay(m: Module, value: ValueLike, cycles: int, *, name: str, reset_less: bool = True) -> Value:
    """``value`` as it was ``cycles`` clock cycles ago.

    Without reset, so that synthesis can use shift registers; set ``reset_less=False`` for control that must be zero
    after reset.
    """
    current = Value.cast(value)
    for k in range(cycles):
        register = Signal(Shape.cast(current.shape()), name=f"{name}_d{k + 1}", reset_less=reset_less)
        m.d.sync += register.eq(current)
        current = register
    return current
