"""An Amaranth component as a shared library made by Verilator, driven cycle by cycle from Python."""

from __future__ import annotations

import ctypes

from amaranth.hdl import Shape
from amaranth.lib import wiring

from eftrain_hdl.rtl.verilog import component_verilog
from tests.rtl.shared_library import build

_SHIM = """\
#include <cstring>
#include "Vtop.h"
#include "verilated.h"
struct Top {{ VerilatedContext context; Vtop top{{&context}}; }};
extern "C" Top* make() {{ return new Top; }}
extern "C" void drop(Top* t) {{ delete t; }}
extern "C" void step(Top* t, const unsigned char* i, unsigned char* o) {{
    Vtop& top = t->top;
{inputs}
    top.eval();
{outputs}
    top.clk = 1; top.eval();
    top.clk = 0; top.eval();
}}
"""


def _bytes(width: int) -> int:
    """Bytes that Verilator takes for a port."""
    return next((size for size in (1, 2, 4, 8) if width <= 8 * size), (width + 31) // 32 * 4)


class Compiled:
    """Holds inputs between cycles; :meth:`step` returns after the next rising edge.

    ``self[name] = value`` sets an input, ``self[name]`` reads an output as it was just before the last edge.
    """

    def __init__(self, component: wiring.Component):
        text = component_verilog(component)
        ports = [("__".join(map(str, path)), member) for path, member, _ in component.signature.flatten(component)]
        self._places: dict[str, tuple[bool, int, int]] = {}
        lines: dict[bool, list[str]] = {True: [], False: []}
        sizes = {True: 0, False: 0}
        for name, member in [*ports, ("rst", None)]:
            is_input = member is None or member.flow is wiring.In
            width = 1 if member is None else Shape.cast(member.shape).width
            size = _bytes(width)
            at = sizes[is_input]
            sizes[is_input] += size
            self._places[name] = (is_input, at, size)
            port = "top." + name.replace("__", "___05F")
            copy = f"&{port}, i + {at}" if is_input else f"o + {at}, &{port}"
            lines[is_input].append(f"    std::memcpy({copy}, {size});")
        shim = _SHIM.format(inputs="\n".join(lines[True]), outputs="\n".join(lines[False]))
        self._library = ctypes.CDLL(str(build(text, shim)))
        self._library.make.restype = ctypes.c_void_p
        self._buffers = {flow: ctypes.create_string_buffer(size) for flow, size in sizes.items()}
        self._inputs, self._outputs = (memoryview(self._buffers[flow]).cast("B") for flow in (True, False))
        self._top = ctypes.c_void_p(self._library.make())

    def __setitem__(self, name: str, value: int) -> None:
        is_input, at, size = self._places[name]
        assert is_input, f"{name} is an output"
        self._inputs[at:at + size] = value.to_bytes(size, "little")

    def __getitem__(self, name: str) -> int:
        _, at, size = self._places[name]
        return int.from_bytes(self._outputs[at:at + size], "little")

    def step(self) -> None:
        """One clock cycle."""
        self._library.step(self._top, self._buffers[True], self._buffers[False])

    def reset(self) -> None:
        """One cycle of reset, all inputs zero."""
        self._inputs[:] = bytes(len(self._inputs))
        self["rst"] = 1
        self.step()
        self["rst"] = 0
