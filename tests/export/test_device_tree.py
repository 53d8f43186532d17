"""The device tree overlay: what it says of each board, and that it can be applied where there is dtc."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.export.device_tree import board_device_tree, device_tree

# Base of the registers, cells of an address, label of the interrupt controller, interrupt, bytes of the buffer.
BOARDS = {
    "zcu102": (0xA000_0000, 2, "gic", 89, 256 << 20),
    "kv260": (0xA000_0000, 2, "gic", 89, 256 << 20),
    "ultra96v2": (0xA000_0000, 2, "gic", 89, 256 << 20),
    "pynqz2": (0x4000_0000, 1, "intc", 29, 128 << 20),
}
GOOD = {
    "registers_base": 0xA000_0000, "interrupt_spi": 89, "interrupt_parent": "gic", "address_cells": 2,
    "buffer_bytes": 4096,
}  # fmt: skip

_TOKEN = re.compile(
    r"\s*(?:(?P<open>&\{/\}|[^\s;{}=]+)\s*\{|(?P<close>\}\s*;)|(?P<name>[^\s;{}=]+)\s*=\s*(?P<value>[^;{}]+);)"
)


def parsed(text: str) -> dict:
    """Nodes as dictionaries, properties as texts. Fails at what is neither, and at braces that do not match."""
    head, found, rest = re.sub(r"//.*", "", text).partition("/dts-v1/;\n/plugin/;\n")
    assert not head.strip() and found
    stack: list[dict] = [{}]
    at = 0
    while match := _TOKEN.match(rest, at):
        at = match.end()
        if match["open"]:
            assert match["open"] not in stack[-1]
            stack[-1][match["open"]] = inner = {}
            stack.append(inner)
        elif match["close"]:
            stack.pop()
            assert stack
        else:
            assert match["name"] not in stack[-1]
            stack[-1][match["name"]] = match["value"]
    assert not rest[at:].strip() and len(stack) == 1
    return stack[0]


def numbers(text: str) -> list[int]:
    assert text[0] == "<" and text[-1] == ">"
    return [int(word, 0) for word in text[1:-1].split()]


def test_every_board_is_here() -> None:
    assert set(BOARDS) == set(boards.names())


@pytest.mark.parametrize("name", BOARDS)
def test_the_nodes_of_a_board(name: str) -> None:
    base, cells, parent, spi, buffer = BOARDS[name]
    zeros = [0] * (cells - 1)
    root = parsed(board_device_tree(boards.get(name)))
    assert list(root) == ["&{/}"]
    nodes = root["&{/}"]
    assert set(nodes) == {"#address-cells", "#size-cells", f"eftrain@{base:x}", "udmabuf-eftrain"}
    assert numbers(nodes["#address-cells"]) == numbers(nodes["#size-cells"]) == [cells]
    registers = nodes[f"eftrain@{base:x}"]
    assert registers["compatible"] == '"eftrain-hdl,eftrain-1.0", "generic-uio"'
    assert numbers(registers["reg"]) == [*zeros, base, *zeros, 4096]
    assert registers["interrupt-parent"] == f"<&{parent}>"
    assert numbers(registers["interrupts"]) == [0, spi, 4]
    memory = nodes["udmabuf-eftrain"]
    assert memory["compatible"] == '"ikwzm,u-dma-buf"' and memory["device-name"] == '"udmabuf-eftrain"'
    assert numbers(memory["size"]) == [0, buffer]


def test_large_numbers_take_two_cells() -> None:
    nodes = parsed(device_tree(**{**GOOD, "registers_base": 0x4_8000_0000, "buffer_bytes": 5 << 30}))["&{/}"]
    assert numbers(nodes["eftrain@480000000"]["reg"]) == [4, 0x8000_0000, 0, 4096]
    assert numbers(nodes["udmabuf-eftrain"]["size"]) == [1, 1 << 30]


def test_numbers_that_do_not_fit() -> None:
    for change, message in (
        ({"registers_base": 0xA000_0800}, r"registers_base must be whole pages in 2 word\(s\) .*, not 0xa0000800"),
        ({"registers_base": 1 << 32, "address_cells": 1}, r"registers_base must .* in 1 word\(s\) of 32 bits, not 0x1"),
        ({"registers_bytes": 100}, "registers_bytes must be whole pages"),
        ({"registers_bytes": 0}, "registers_bytes must be whole pages"),
        ({"buffer_bytes": 0}, "buffer_bytes must be whole pages of 4096 bytes, not 0"),
        ({"buffer_bytes": 4097}, "buffer_bytes must be whole pages of 4096 bytes, not 4097"),
        ({"interrupt_spi": 988}, "interrupt_spi must be 0 to 987, as a GIC has them, not 988"),
        ({"interrupt_spi": -1}, "interrupt_spi must be 0 to 987"),
    ):
        with pytest.raises(ValueError, match=message):
            device_tree(**{**GOOD, **change})
    with pytest.raises(ValueError, match="pynqz2 has 536870912 bytes of DRAM, no room for buffer_bytes=536870912"):
        board_device_tree(boards.get("pynqz2"), 512 << 20)


@pytest.mark.skipif(not (shutil.which("dtc") and shutil.which("fdtoverlay")), reason="no device tree compiler")
@pytest.mark.parametrize("name", BOARDS)
def test_the_overlay_can_be_applied(tmp_path: Path, name: str) -> None:
    """To the least tree that has the family's cells and interrupt controller; no warning may name the overlay."""
    base, cells, parent, spi, _ = BOARDS[name]
    reg = " ".join(["0"] * (cells - 1) + ["0xf0000000"] + ["0"] * (cells - 1) + ["0x1000"])
    (tmp_path / "base.dts").write_text(
        f"/dts-v1/;\n/ {{ #address-cells = <{cells}>; #size-cells = <{cells}>; {parent}: interrupt-controller@f0000000 "
        f"{{ reg = <{reg}>; interrupt-controller; #interrupt-cells = <3>; #address-cells = <0>; }}; }};\n"
    )
    (tmp_path / "overlay.dtso").write_text(board_device_tree(boards.get(name)))

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "overlay.dtso" not in done.stderr, done.stderr
        return done.stdout

    run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", "base.dtb", "base.dts")
    run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", "overlay.dtbo", "overlay.dtso")
    run("fdtoverlay", "-i", "base.dtb", "-o", "whole.dtb", "overlay.dtbo")
    whole = run("dtc", "-I", "dtb", "-O", "dts", "whole.dtb")
    assert f"eftrain@{base:x} {{" in whole and f"interrupts = <0x00 {spi:#04x} 0x04>;" in whole
