"""The device tree overlay: what it says of each board, and that it can be applied where there is dtc."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.export.device_tree import board_device_tree, device_tree

# Base of the registers, label of the interrupt controller, interrupt, bytes of the buffer.
BOARDS = {
    "zcu102": (0xA000_0000, "gic", 89, 256 << 20),
    "kv260": (0xA000_0000, "gic", 89, 256 << 20),
    "ultra96v2": (0xA000_0000, "gic", 89, 256 << 20),
    "pynqz2": (0x4000_0000, "intc", 29, 128 << 20),
}
GOOD = {"registers_base": 0xA000_0000, "interrupt_spi": 89, "interrupt_parent": "gic", "buffer_bytes": 4096}

_TOKEN = re.compile(
    r"\s*(?:(?P<open>&\{/\}|[^\s;{}=]+)\s*\{|(?P<close>\}\s*;)|(?P<name>[^\s;{}=]+)\s*(?:=\s*(?P<value>[^;{}]+))?;)"
)


def parsed(text: str) -> dict:
    """Nodes as dictionaries, properties as texts. Fails at what is neither, and at braces that do not match."""
    head, found, rest = re.sub(r"//.*", "", text).partition("/dts-v1/;\n")
    assert not head.strip() and found
    rest = rest.removeprefix("/plugin/;\n")
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
            stack[-1][match["name"]] = match["value"] or ""
    assert not rest[at:].strip() and len(stack) == 1
    return stack[0]


def numbers(text: str) -> list[int]:
    assert text[0] == "<" and text[-1] == ">"
    return [int(word, 0) for word in text[1:-1].split()]


def place(bus: dict, node: dict) -> tuple[int, int]:
    """Address and size of a node by the cells of its bus."""
    cells = numbers(node["reg"])
    address, size = (numbers(bus[name])[0] for name in ("#address-cells", "#size-cells"))
    assert len(cells) == address + size
    words = "".join(f"{cell:08x}" for cell in cells)
    return int(words[: 8 * address], 16), int(words[8 * address :], 16)


def test_every_board_is_here() -> None:
    assert set(BOARDS) == set(boards.names())


@pytest.mark.parametrize("name", BOARDS)
def test_the_nodes_of_a_board(name: str) -> None:
    base, parent, spi, buffer = BOARDS[name]
    text = board_device_tree(boards.get(name))
    assert "/plugin/;\n" in text
    root = parsed(text)
    assert list(root) == ["&{/}"]
    nodes = root["&{/}"]
    # No property of the base's own node is set.
    assert set(nodes) == {"eftrain-bus", "udmabuf-eftrain"}
    bus = nodes["eftrain-bus"]
    assert set(bus) == {"compatible", "#address-cells", "#size-cells", "ranges", f"eftrain@{base:x}"}
    assert (bus["compatible"], bus["ranges"]) == ('"simple-pm-bus"', "")
    registers = bus[f"eftrain@{base:x}"]
    assert registers["compatible"] == '"eftrain-hdl,eftrain-2.0", "generic-uio"'
    assert place(bus, registers) == (base, 4096)
    assert registers["interrupt-parent"] == f"<&{parent}>"
    assert numbers(registers["interrupts"]) == [0, spi, 4]
    memory = nodes["udmabuf-eftrain"]
    assert memory["compatible"] == '"ikwzm,u-dma-buf"' and memory["device-name"] == '"udmabuf-eftrain"'
    assert numbers(memory["size"]) == [0, buffer]


def test_large_numbers_take_two_cells() -> None:
    nodes = parsed(device_tree(**{**GOOD, "registers_base": 0x4_8000_0000, "buffer_bytes": 5 << 30}))["&{/}"]
    bus = nodes["eftrain-bus"]
    assert place(bus, bus["eftrain@480000000"]) == (0x4_8000_0000, 4096)
    assert numbers(nodes["udmabuf-eftrain"]["size"]) == [1, 1 << 30]


def test_numbers_that_do_not_fit() -> None:
    for change, message in (
        ({"registers_base": 0xA000_0800}, "registers_base .* pages of 4096 bytes in 64 bits, not 0xa0000800"),
        ({"registers_base": 1 << 64}, "registers_base must be whole pages of 4096 bytes in 64 bits, not 0x1"),
        ({"registers_base": -4096}, "registers_base must be whole pages"),
        ({"registers_bytes": 1 << 32}, "registers_bytes must be whole pages of 4096 bytes in 32 bits, not 0x1"),
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
@pytest.mark.parametrize("cells", [(1, 1), (2, 1), (2, 2), (1, 2), (3, 2)], ids=str)
@pytest.mark.parametrize("name", BOARDS)
def test_a_base_keeps_what_it_had(tmp_path: Path, name: str, cells: tuple[int, int]) -> None:
    """Whatever cells the base has, its devices and ours are where they were said to be; dtc has nothing to say."""
    base, parent, spi, buffer = BOARDS[name]
    controller = " ".join(["0"] * (cells[0] - 1) + ["0xf0000000"] + ["0"] * (cells[1] - 1) + ["0x1000"])
    (tmp_path / "base.dts").write_text(
        f"/dts-v1/;\n/ {{ #address-cells = <{cells[0]}>; #size-cells = <{cells[1]}>; model = \"another\"; "
        f"{parent}: interrupt-controller@f0000000 {{ reg = <{controller}>; interrupt-controller; "
        "#interrupt-cells = <3>; #address-cells = <0>; }; };\n"
    )
    text = board_device_tree(boards.get(name))
    (tmp_path / "eftrain.dtso").write_text(text)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "eftrain.dtso" not in done.stderr, done.stderr
        return done.stdout

    (compile_overlay,) = re.findall(r"^//   (dtc .*)$", text, re.MULTILINE)
    run("dtc", "-@", "-I", "dts", "-O", "dtb", "-o", "base.dtb", "base.dts")
    run(*compile_overlay.split())
    run("fdtoverlay", "-i", "base.dtb", "-o", "whole.dtb", "eftrain.dtbo")
    before, after = (parsed(run("dtc", "-I", "dtb", "-O", "dts", tree))["/"] for tree in ("base.dtb", "whole.dtb"))
    del before["__symbols__"], after["__symbols__"]
    bus, memory = after.pop("eftrain-bus"), after.pop("udmabuf-eftrain")
    assert after == before and place(after, after["interrupt-controller@f0000000"]) == (0xF000_0000, 4096)
    node = bus[f"eftrain@{base:x}"]
    assert place(bus, node) == (base, 4096) and bus["ranges"] == ""
    assert node["interrupt-parent"] == after["interrupt-controller@f0000000"]["phandle"]
    assert numbers(node["interrupts"]) == [0, spi, 4] and numbers(memory["size"]) == [0, buffer]
