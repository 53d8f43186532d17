"""Boards as data: what they say of themselves, and what they refuse."""

import re
from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, Module, Signal

import eftrain_hdl as ef
from eftrain_hdl import boards
from eftrain_hdl.compiler.estimate import estimate_step
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import BF16
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.planner.ports import port_timing
from eftrain_hdl.runtime.verilator.memory import memory_config


def test_names():
    assert boards.names() == ("kv260", "pynqz2", "ultra96v2", "zcu102")
    with pytest.raises(ValueError, match="unknown board 'zcu999': choose from kv260, pynqz2, ultra96v2, zcu102"):
        boards.get("zcu999")


def test_a_board_is_found_by_its_file_alone(tmp_path, monkeypatch):
    """A new file is a board; a module without BOARD, or whose name begins with an underscore, is none."""
    (tmp_path / "copy.py").write_text(
        "from dataclasses import replace\nfrom eftrain_hdl.boards.zcu102 import BOARD as ZCU102\n"
        "BOARD = replace(ZCU102, name='mine')\n")
    (tmp_path / "harness.py").write_text("TARGET = 1\n")
    (tmp_path / "_shared.py").write_text("raise AssertionError\n")
    monkeypatch.setattr(boards, "__path__", [*boards.__path__, str(tmp_path)])
    boards._boards.cache_clear()
    try:
        assert boards.names() == ("mine", "kv260", "pynqz2", "ultra96v2", "zcu102")
        assert boards.get("mine").part == boards.get("zcu102").part
    finally:
        boards._boards.cache_clear()


@pytest.mark.parametrize("name, part, family", [
    ("zcu102", "xczu9eg-ffvb1156-2-e", "ultrascaleplus"),
    ("ultra96v2", "xczu3eg-sbva484-1-i", "ultrascaleplus"),
    ("kv260", "xck26-sfvc784-2LV-c", "ultrascaleplus"),
    ("pynqz2", "xc7z020clg400-1", "series7"),
])
def test_vivado_is_given_the_part(name, part, family):
    board = boards.get(name)
    assert board.part == part
    platform = board.platform()
    assert platform.family == family
    m = Module()
    m.domains.sync = ClockDomain()
    count = Signal(4)
    m.d.sync += count.eq(count + 1)
    plan = platform.build(m, do_build=False)
    assert re.search(rf"create_project .*-part {part}$", str(plan.files["top.tcl"]), re.MULTILINE)


@pytest.mark.parametrize("name", boards.names())
def test_the_memory_model_agrees_with_the_ports(name):
    board = boards.get(name)
    model = memory_model(board.memory)
    assert model.hp[:board.config.ports] == board.hp
    config = memory_config(model, dram_bytes=board.dram_bytes, clock_mhz=board.clock_mhz, ports=board.config.ports,
                           data_width=board.config.data_width)
    assert config.dram_bytes == board.dram_bytes


@pytest.mark.parametrize("name", boards.names())
def test_the_array_fits_the_dsp_blocks(name):
    # Two DSP blocks a product of FP32, one of BF16.
    board = boards.get(name)
    assert 2 * board.config.macs <= board.dsp
    assert board.configs["bf16"].macs <= board.dsp


@pytest.mark.parametrize("name, windows", [
    ("zcu102", ((0, 2 << 30), (0x8_0000_0000, 2 << 30))),
    ("kv260", ((0, 2 << 30), (0x8_0000_0000, 2 << 30))),
    ("ultra96v2", ((0, 2 << 30),)),
    ("pynqz2", ((0, 512 << 20),)),
])
def test_dram_windows(name, windows):
    assert boards.get(name).dram_windows == windows


@pytest.mark.parametrize("change, message", [
    ({"hp": (0, 1)}, r"wires 2 memory ports, the configuration has ports=3"),
    ({"hp": (0, 1, 2)}, "HP1 and HP2 share one port"),
    ({"hp": (0, 3, 3)}, "hp must name different ports from 0 to 3"),
    ({"hp": (0, 3, 4)}, "hp must name different ports from 0 to 3"),
    ({"clock_mhz": 400.0}, "the memory ports run at up to 333 MHz, not 400.0"),
    ({"clock_mhz": 0.0}, "the memory ports run at up to 333 MHz, not 0.0"),
    ({"configs": {"fp32": Config(ports=3, data_width=256)}}, "a memory port has at most 128 bits, not data_width=256"),
    ({"configs": {"bf16": Config(operand=BF16)}}, "configs has no fp32"),
    ({"configs": {"fp32": Config(operand=BF16)}}, "the configuration for fp32 has operand bf16"),
    ({"dram_bytes": 64 << 30}, "the ports do not reach 68719476736 bytes of DRAM"),
])
def test_impossible_boards_are_refused(change, message):
    with pytest.raises(ValueError, match=f"zcu102.* {message}"):
        replace(boards.get("zcu102"), **change)


@pytest.mark.parametrize("operand", ["fp32", "bf16"])
@pytest.mark.parametrize("name", boards.names())
def test_the_default_buffers_hold_what_the_array_was_chosen_for(name: str, operand: str) -> None:
    """The widest maps of VGG-16; of "1X" on a board whose memory does not hold VGG-16."""
    channels, size = (16, 32) if name == "pynqz2" else (64, 224)
    network = ef.Sequential(
        ef.Conv2d(3, channels, 3, padding=1), ef.ReLU(), ef.Conv2d(channels, channels, 3, padding=1), ef.ReLU(),
        ef.MaxPool2d(2), ef.Flatten(), ef.Linear(channels * (size // 2) ** 2, 10), input_shape=(3, size, size),
    )  # fmt: skip
    board = boards.get(name)
    config = board.configs[operand]
    ports = port_timing(memory_model(board.memory), config, board.clock_mhz)
    estimate = estimate_step(network, config, batch=1, optimizer=ef.SGD(lr=0.01), ports=ports)
    assert 0.1 < estimate.utilization <= 1
