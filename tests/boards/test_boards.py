"""Boards as data: what they say of themselves, and what they refuse."""

import re
from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, Module, Signal

from eftrain_hdl import boards
from eftrain_hdl.config import Config
from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.runtime.verilator.memory import memory_config


def test_names():
    assert boards.names() == ("zcu102", "ultra96")
    with pytest.raises(ValueError, match="no board called 'zcu999'; there are zcu102, ultra96"):
        boards.get("zcu999")


@pytest.mark.parametrize("name, part", [("zcu102", "xczu9eg-ffvb1156-2-e"), ("ultra96", "xczu3eg-sbva484-1-i")])
def test_vivado_is_given_the_part(name, part):
    board = boards.get(name)
    assert board.part == part
    platform = board.platform()
    assert platform.family == "ultrascaleplus"
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
    # Two DSP blocks a product of FP32.
    board = boards.get(name)
    assert 2 * board.config.macs <= board.dsp


@pytest.mark.parametrize("change, message", [
    ({"hp": (0, 1)}, "3 ports of the accelerator need as many in hp"),
    ({"hp": (0, 1, 2)}, "HP1 and HP2 share one port"),
    ({"hp": (0, 3, 3)}, "hp must name different ports from 0 to 3"),
    ({"hp": (0, 3, 4)}, "hp must name different ports from 0 to 3"),
    ({"clock_mhz": 400.0}, "the ports run at up to 333 MHz, not 400.0"),
    ({"clock_mhz": 0.0}, "the ports run at up to 333 MHz, not 0.0"),
    ({"config": Config(ports=3, data_width=256)}, "a port has at most 128 bits, not 256"),
])
def test_impossible_boards_are_refused(change, message):
    with pytest.raises(ValueError, match=f"zcu102: .*{message}"):
        replace(boards.get("zcu102"), **change)


def test_verilog_has_the_ports_that_the_board_wires():
    board = replace(boards.get("zcu102"), config=Config(
        rows=4, lanes=4, ports=3, streaming_depth=64, stationary_depth=64, accumulator_depth=32, operand_depth=64))
    text = board.verilog()
    header = text[text.index("module eftrain("):]
    header = header[:header.index(");")]
    for port in range(3):
        assert re.search(rf"\bm_axi_{port}_arvalid\b", header)
    assert "m_axi_3_" not in header
    for name in ("aclk", "aresetn", "interrupt", "s_axi_ctrl_awvalid"):
        assert re.search(rf"\b{name}\b", header)
