"""Tells synthesis that a word is never read from a memory in the cycle in which it is written."""

from __future__ import annotations

import re

from .merge import Design

__all__ = ["ignore_collisions"]

_MASK = re.compile(r"(\s*parameter \\COLLISION_X_MASK (\d+)')0+")


def ignore_collisions(design: Design) -> None:
    """Let clocked read ports give anything for a word that is written in the same cycle; changes the design.

    Amaranth's memories then give the former word. RAM blocks of an ECP5 do not, and Yosys puts a register and a
    multiplexer beside each of their outputs to make up for that. Asynchronous ports have no such rule.
    """
    for module in design.modules.values():
        mask: int | None = None
        for index, line in enumerate(module.lines):
            if _MASK.fullmatch(line):
                mask = index
            elif mask is not None and line.strip() == r"parameter \CLK_ENABLE 1":
                module.lines[mask] = _MASK.sub(lambda found: found[1] + "1" * int(found[2]), module.lines[mask])
            elif line.strip() == "end":
                mask = None
