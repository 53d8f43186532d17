"""Streams vectors through a pipelined component on Verilator, inside the test's process: millions of cycles in seconds.

The component takes a value on every input each cycle and answers on every output a fixed number of cycles later. Its
Verilog becomes a shared library; a C++ loop copies rows of bytes between a buffer and its ports.
"""

from __future__ import annotations

import ctypes
from typing import ClassVar

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.vendor import LatticePlatform
from numpy.typing import NDArray

from eftrain_hdl.rtl.verilog import component_verilog
from tests.rtl.shared_library import build

__all__ = ["Ecp5Platform", "Pipeline"]


class Ecp5Platform(LatticePlatform):
    """An ECP5 without a board."""

    device = "LFE5U-85F"
    package = "BG381"
    speed = "6"
    resources: ClassVar[list[object]] = []
    connectors: ClassVar[list[object]] = []


def _port_bytes(width: int) -> int:
    """Bytes of the C++ variable that Verilator makes for a port."""
    for size in (1, 2, 4, 8):
        if width <= 8 * size:
            return size
    return 4 * -(-width // 32)


def _pack(values: NDArray[np.unsignedinteger], width: int, size: int) -> NDArray[np.uint8]:
    """Rows of a port's bytes from ``[n]`` or ``[n, elements]`` unsigned values that fill ``width`` bits."""
    rows = values.reshape(len(values), -1)
    each = width // rows.shape[1]
    if each in (8, 16, 32, 64):
        packed = np.ascontiguousarray(rows.astype(f"<u{each // 8}")).view(np.uint8)
    else:
        shifts = np.arange(each, dtype=np.uint64)
        bits = ((rows[:, :, None].astype(np.uint64) >> shifts) & np.uint64(1)).astype(np.uint8)
        packed = np.packbits(bits.reshape(len(rows), -1), axis=1, bitorder="little")
    return np.pad(packed, ((0, 0), (0, size - packed.shape[1])))


class Pipeline:
    """A compiled component; ``run`` gives the outputs that belong to each row of inputs.

    Parameters
    ----------
    component: what to compile; its members are plain ports, by their direction inputs or outputs.
    latency: cycles from inputs to outputs.
    platform: Amaranth's, for components that differ by it.
    """

    def __init__(self, component: wiring.Component, latency: int, platform: object = None) -> None:
        self._latency = latency
        members = [(path[0], member.flow, Value.cast(value)) for path, member, value in
                   component.signature.flatten(component)]
        self._inputs = {name: len(value) for name, flow, value in members if flow == wiring.In}
        self._outputs = {name: len(value) for name, flow, value in members if flow == wiring.Out}
        text = component_verilog(component, platform=platform)
        self._library = ctypes.CDLL(str(build(text, self._shim())))
        self._library.create.restype = ctypes.c_void_p
        self._library.run.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]

    def _shim(self) -> str:
        copies_in, copies_out, offset_in, offset_out = [], [], 0, 0
        for name, width in self._inputs.items():
            copies_in.append(f"std::memcpy(&top->{name}, in + {offset_in}, {_port_bytes(width)});")
            offset_in += _port_bytes(width)
        for name, width in self._outputs.items():
            copies_out.append(f"std::memcpy(out + {offset_out}, &top->{name}, {_port_bytes(width)});")
            offset_out += _port_bytes(width)
        return f"""
#include "Vtop.h"
#include <cstring>
extern "C" void *create() {{ return new Vtop; }}
extern "C" void run(void *handle, size_t count, const char *in, char *out) {{
    auto *top = static_cast<Vtop *>(handle);
    top->rst = 0;
    for (size_t i = 0; i < count; ++i) {{
        {" ".join(copies_in)}
        top->clk = 0; top->eval();
        top->clk = 1; top->eval();
        {" ".join(copies_out)}
        in += {offset_in}; out += {offset_out};
    }}
}}
"""

    def run(self, inputs: dict[str, NDArray[np.unsignedinteger]]) -> dict[str, NDArray[np.uint32]]:
        """Outputs of each row of ``inputs``; values of an array port are ``[n, elements]``, the first one lowest."""
        count = len(next(iter(inputs.values())))
        packed = [_pack(inputs[name], width, _port_bytes(width)) for name, width in self._inputs.items()]
        rows = np.concatenate(packed, axis=1)
        # The outputs after clock edge i belong to inputs latency - 1 rows earlier; idle rows push the last ones out.
        idle = self._latency - 1
        rows = np.ascontiguousarray(np.pad(rows, ((0, idle), (0, 0))))
        size = sum(map(_port_bytes, self._outputs.values()))
        results = np.zeros((count + idle, size), np.uint8)
        handle = self._library.create()
        self._library.run(handle, len(rows), rows.ctypes.data_as(ctypes.c_char_p), results.ctypes.data)
        answer, offset = {}, 0
        for name, width in self._outputs.items():
            bytes_ = _port_bytes(width)
            if bytes_ > 4:
                raise ValueError(f"output {name!r} is wider than 32 bits")
            column = np.ascontiguousarray(results[idle:, offset : offset + bytes_]).view(f"<u{bytes_}")[:, 0]
            answer[name] = column.astype(np.uint32)
            offset += bytes_
        return answer
