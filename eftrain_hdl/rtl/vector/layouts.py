"""What travels between the parts of the vector unit."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data

from eftrain_hdl.isa import VECTOR_QUANTITIES

__all__ = ["element_layout", "position_layout", "quantities_layout", "settings_layout", "tags_layout"]

_SETTINGS = (
    "source", "mask_a", "match_a", "add_a", "scale_a", "add_b", "scale_b", "relu", "reduce", "gate", "sgd",
    "emit_0", "emit_1",
)
_LIMITS = ("row_limit", "col_limit", "y_limit", "x_limit")


def quantities_layout() -> data.StructLayout:
    """The ten quantities of a VECTOR nest, as addresses or as steps."""
    return data.StructLayout({name: signed(bits) for name, bits in VECTOR_QUANTITIES})


def settings_layout() -> data.StructLayout:
    """The fields of a VECTOR instruction that stay the same for all its elements, by their names there."""
    return data.StructLayout(dict.fromkeys(_SETTINGS, 1) | {"bank": 2} | dict.fromkeys(_LIMITS, 16))


def position_layout() -> data.StructLayout:
    """One element of the nest.

    Members
    -------
    at : the quantities
    settings : see :func:`settings_layout`
    first, last : first and last element over levels 0 and 1
    end : last element of the instruction
    bad_field : the instruction cannot be executed; nothing else is valid but ``end``
    """
    flags = dict.fromkeys(("first", "last", "end", "bad_field"), 1)
    return data.StructLayout({"at": quantities_layout(), "settings": settings_layout(), **flags})


def tags_layout() -> data.StructLayout:
    """What the datapath must know of an element, besides its words.

    Members
    -------
    source, mask_a, match_a, add_a, scale_a, add_b, scale_b, relu, reduce, gate, sgd : as in the instruction
    clear : the primary word counts as +0
    compete : the element takes part; false only for an absent one of a reduction
    first : first of its reduction; always set without one
    emit_0, emit_1 : the element ends with a word on output 0 / 1
    end : last element of the instruction
    index : pooling index
    """
    flags = (
        "source", "mask_a", "match_a", "add_a", "scale_a", "add_b", "scale_b", "relu", "reduce", "gate", "sgd",
        "clear", "compete", "first", "emit_0", "emit_1", "end",
    )
    return data.StructLayout(dict.fromkeys(flags, 1) | {"index": 16})


def element_layout() -> data.StructLayout:
    """A checked element, ready to be issued.

    Members
    -------
    bank, acc, group : accumulator address; valid with ``drain``
    drain : an accumulator word is to be read
    a, b, c : operand addresses in beats
    tags : see :func:`tags_layout`
    error : the element must not be issued, because of ``error_code`` at ``error_address``
    """
    return data.StructLayout({
        "drain": 1, "bank": 2, "acc": 16, "group": 8, "a": 16, "b": 16, "c": 16, "tags": tags_layout(),
        "error": 1, "error_code": 8, "error_address": 16,
    })
