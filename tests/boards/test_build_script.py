"""The Tcl of a project, run to its end with a stand-in for Vivado: what it asks of Vivado, and what it does on failure.

What the stand-in knows of Vivado's pins and segments is written down by itself (vivado.tcl); no Vivado has run this.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eftrain_hdl import boards
from eftrain_hdl.registers import IP_VLNV
from tests.boards.projects import BOARDS, CASES, quick_project
from tests.boards.standin import Recording, needs_tclsh, run_build

pytestmark = needs_tclsh

# Vivado's commands that the scripts may use (UG835): a misspelt one would be recorded like any other.
COMMANDS = set("""
    create_project close_project current_project current_fileset add_files set_property get_property get_files
    update_compile_order set_param version get_board_parts get_ipdefs update_ip_catalog
    ipx::package_project ipx::current_core ipx::get_bus_interfaces ipx::get_bus_parameters ipx::add_bus_parameter
    ipx::remove_bus_parameter ipx::get_address_spaces ipx::add_address_space ipx::remove_address_space
    ipx::get_memory_maps ipx::add_memory_map ipx::remove_memory_map ipx::add_address_block
    ipx::create_xgui_files ipx::update_checksums ipx::check_integrity ipx::save_core
    create_bd_design create_bd_cell apply_bd_automation connect_bd_net connect_bd_intf_net get_bd_cells get_bd_pins
    get_bd_intf_pins get_bd_addr_spaces get_bd_addr_segs assign_bd_address exclude_bd_addr_seg validate_bd_design
    save_bd_design make_wrapper generate_target
    launch_runs wait_on_run get_runs open_run close_design report_utilization report_timing_summary report_power
    write_hw_platform
""".split())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[Path, Recording]]:
    """A run of every board's every configuration."""
    found = {}
    for name, operand in CASES:
        board = boards.get(name)
        folder = tmp_path_factory.mktemp(f"{name}-{operand}")
        project = quick_project(folder / "project", board, board.configs[operand])
        found[name, operand] = project, run_build(project, folder / "record", "-jobs", "4")
    return found


@pytest.fixture(params=CASES, ids="-".join)
def case(
    request: pytest.FixtureRequest, recordings: dict[tuple[str, str], tuple[Path, Recording]]
) -> tuple[boards.Board, str, Path, Recording]:
    """Board, operand, project and recording."""
    name, operand = request.param
    return boards.get(name), operand, *recordings[name, operand]


Case = tuple[boards.Board, str, Path, Recording]


def words(text: str) -> dict[str, str]:
    """A Tcl list of names and values without spaces."""
    parts = text.split()
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_it_runs_to_the_end_with_commands_of_vivado(case: Case) -> None:
    _, _, project, run = case
    assert (run.status, run.errors) == (0, "")
    assert {command[0] for command in run.commands} <= COMMANDS
    for name in ("eftrain.bit", "eftrain.hwh", "eftrain.xsa", "reports/timing.rpt", "reports/utilization.rpt",
                 "reports/power.rpt"):  # fmt: skip
        assert (project / name).is_file()
    results = json.loads((project / "results.json").read_text())
    assert results["vivado"] == "2023.2" and results["setup_slack_ns"] == 0.105
    # The clock that the dividers give, not the one asked for.
    assert results["clock_mhz"] in (187.498123, 100.0)


def test_the_packaged_core_is_complete(case: Case) -> None:
    board, operand, _, run = case
    memories = [f"m_axi_{k}" for k in range(board.configs[operand].ports)]
    looked_for = [words[1] for words in run.of("ipx::get_bus_interfaces") if words[0] == "-quiet"]
    assert looked_for == ["aclk", "aresetn", "interrupt", "s_axi_ctrl", *memories]
    properties = {(words[0], words[-1]): words[1] for words in run.of("set_property")}
    assert properties["value", "aclk/ASSOCIATED_BUSIF"] == ":".join(["s_axi_ctrl", *memories])
    assert properties["value", "aclk/ASSOCIATED_RESET"] == "aresetn"
    vendor, library, name, version = IP_VLNV.split(":")
    assert (properties["name", "core"], properties["version", "core"]) == (name, version)
    (package,) = run.of("ipx::package_project")
    assert package[package.index("-vendor") + 1] == vendor and package[package.index("-library") + 1] == library
    assert properties["supported_families", "core"].split()[1] == "Production"
    # Whatever apertures Vivado inferred are gone, and each port reaches all of its address bits.
    assert run.of("ipx::remove_address_space") and run.of("ipx::remove_memory_map")
    for memory in memories:
        assert int(properties["range", f"space/{memory}"]) == 1 << board.configs[operand].address_width
        assert properties["master_address_space_ref", memory] == memory
    assert int(properties["range", "map/s_axi_ctrl/reg0"], 0) >= 4096
    assert properties["slave_memory_map_ref", "s_axi_ctrl"] == "s_axi_ctrl"
    order = [run.index(f"ipx::{step}", "core") for step in
             ("create_xgui_files", "update_checksums", "check_integrity", "save_core")]  # fmt: skip
    last_property = max(k for k, words in enumerate(run.commands) if words[0] == "set_property" and words[-1] == "core")
    assert [last_property, *order] == sorted([last_property, *order])


def test_no_frequency_is_packaged(case: Case) -> None:
    *_, run = case
    assert {words[0] for words in run.of("ipx::remove_bus_parameter")} == {"FREQ_HZ"}
    assert {"aclk", "s_axi_ctrl", "m_axi_0"} <= {words[1] for words in run.of("ipx::remove_bus_parameter")}
    assert not any("FREQ_HZ" in " ".join(words[:-1]) for words in run.of("set_property"))
    assert ["ipi_drc", "ignore_freq_hz true", "core"] in run.of("set_property")
    assert any(words[:2] == ["value_resolve_type", "user"] for words in run.of("set_property"))


def test_the_processing_system_has_the_ports_of_the_board(case: Case) -> None:
    board, operand, _, run = case
    config = board.configs[operand]
    (given,) = (words(call[1]) for call in run.of("set_property") if call[0] == "-dict" and call[2] == "/ps")
    if board.ps.name == "zynqmp":
        # HP0 to HP3 are GP2 to GP5.
        used = {f"CONFIG.PSU__USE__S_AXI_GP{port + 2}" for port in board.hp[: config.ports]}
        widths = {f"CONFIG.PSU__SAXIGP{port + 2}__DATA_WIDTH" for port in board.hp[: config.ports]}
        assert {name for name in given if "USE__S_AXI" in name} == used
        assert not {"CONFIG.PSU__USE__S_AXI_GP3", "CONFIG.PSU__USE__S_AXI_GP4"} <= used
        assert [given[f"CONFIG.PSU__USE__M_AXI_GP{k}"] for k in range(3)] == ["1", "0", "0"]
        assert given["CONFIG.PSU__USE__IRQ0"] == "1"
        assert float(given["CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"]) == board.clock_mhz
    else:
        used = {f"CONFIG.PCW_USE_S_AXI_HP{port}" for port in board.hp[: config.ports]}
        widths = {f"CONFIG.PCW_S_AXI_HP{port}_DATA_WIDTH" for port in board.hp[: config.ports]}
        assert {name for name in given if "USE_S_AXI" in name} == used
        assert (given["CONFIG.PCW_USE_M_AXI_GP0"], given["CONFIG.PCW_USE_M_AXI_GP1"]) == ("1", "0")
        assert (given["CONFIG.PCW_USE_FABRIC_INTERRUPT"], given["CONFIG.PCW_IRQ_F2P_INTR"]) == ("1", "1")
        assert float(given["CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ"]) == board.clock_mhz
    assert all(given[name] == "1" for name in used)
    assert {int(given[name]) for name in widths} == {config.data_width}


def test_everything_is_connected(case: Case) -> None:
    board, operand, _, run = case
    ports = board.hp[: board.configs[operand].ports]
    if board.ps.name == "zynqmp":
        clock, reset, interrupt, control = "pl_clk0", "pl_resetn0", "pl_ps_irq0", "M_AXI_HPM0_FPD"
        memory = {port: f"/ps/S_AXI_HP{port}_FPD" for port in ports}
        ps_clocks = {"/ps/maxihpm0_fpd_aclk", *(f"/ps/saxihp{port}_fpd_aclk" for port in ports)}
    else:
        clock, reset, interrupt, control = "FCLK_CLK0", "FCLK_RESET0_N", "IRQ_F2P", "M_AXI_GP0"
        memory = {port: f"/ps/S_AXI_HP{port}" for port in ports}
        ps_clocks = {"/ps/M_AXI_GP0_ACLK", *(f"/ps/S_AXI_HP{port}_ACLK" for port in ports)}
    nets: dict[str, set[str]] = {}
    for driver, *loads in run.of("connect_bd_net"):
        nets.setdefault(driver, set()).update(loads)
    switches = ["/registers", *(f"/memory_m_axi_{k}" for k in range(len(ports)))]
    assert nets == {
        f"/ps/{clock}": {"/accelerator/aclk", "/reset/slowest_sync_clk", *ps_clocks, *(f"{s}/aclk" for s in switches)},
        f"/ps/{reset}": {"/reset/ext_reset_in"},
        "/reset/peripheral_aresetn": {"/accelerator/aresetn"},
        "/reset/interconnect_aresetn": {f"{switch}/aresetn" for switch in switches},
        "/accelerator/interrupt": {f"/ps/{interrupt}"},
    }
    busses = [(f"/ps/{control}", "/registers/S00_AXI"), ("/registers/M00_AXI", "/accelerator/s_axi_ctrl")]
    for k, port in enumerate(ports):
        busses += [(f"/accelerator/m_axi_{k}", f"/memory_m_axi_{k}/S00_AXI"),
                   (f"/memory_m_axi_{k}/M00_AXI", memory[port])]  # fmt: skip
    assert sorted(map(tuple, run.of("connect_bd_intf_net"))) == sorted(busses)
    types = {call[-1]: call[call.index("-vlnv") + 1] for call in run.of("create_bd_cell")}
    # The newest that the catalogue has, by number and not by letter.
    assert types["registers"] == "xilinx.com:ip:smartconnect:1.10" and types["accelerator"] == IP_VLNV


def test_addresses(case: Case) -> None:
    board, operand, _, run = case
    registers, *memory = run.of("assign_bd_address")
    assert registers == ["-offset", hex(board.ps.registers_base), "-range", "0x1000", "-target_address_space",
                         "/ps/Data", "/accelerator/s_axi_ctrl/reg0"]  # fmt: skip
    assigned = {(call[1], call[2].rsplit("/", 1)[1]) for call in memory}
    excluded = {(call[1], call[2].rsplit("/", 1)[1]) for call in run.of("exclude_bd_addr_seg")}
    for k, port in enumerate(board.hp[: board.configs[operand].ports]):
        space = f"/accelerator/m_axi_{k}"
        windows = ["DDR_LOW", "DDR_HIGH"] if board.ps.name == "zynqmp" else ["DDR_LOWOCM"]
        assert {name for found, name in assigned if found == space} == {f"HP{port}_{window}" for window in windows}
        if board.ps.name == "zynqmp":
            assert {name for found, name in excluded if found == space} == {
                f"HP{port}_{other}" for other in ("LPS_OCM", "QSPI", "PCIE_LOW")
            }
    assert run.index("validate_bd_design") < run.index("generate_target")


def test_the_bitstream_is_written_after_timing_was_checked(case: Case) -> None:
    *_, run = case
    order = [
        run.index("launch_runs", "synth_1"), run.index("get_property", "PROGRESS", "synth_1"),
        run.index("launch_runs", "impl_1", "-jobs"), run.index("open_run", "impl_1"),
        run.index("report_timing_summary"), run.index("launch_runs", "impl_1", "-to_step", "write_bitstream"),
        run.index("write_hw_platform", "-fixed", "-include_bit", "-force", "eftrain.xsa"),
    ]  # fmt: skip
    assert order == sorted(order)
    slack = [k for k, words in enumerate(run.commands) if words[:2] in (["get_property", "STATS.WNS"],
                                                                         ["get_property", "STATS.WHS"])]
    assert order[-3] < slack[0] < slack[1] < order[-2]
    assert {words[words.index("-jobs") + 1] for words in run.of("launch_runs")} == {"4"}


FAULTS = [
    ("progress {synth_1 40%}", "synth_1 stopped at 40% (stand-in status): see project/eftrain/eftrain.runs/synth_1"),
    ("progress {impl_1 66%}", "impl_1 stopped at 66%"),
    ("slack {STATS.WNS -0.012}", "timing is not met at 200 MHz: slack for setup is -0.012 ns"),
    ("slack {STATS.WHS -0.3}", "timing is not met at 200 MHz: slack for hold is -0.3 ns"),
    ("slack {STATS.WNS {}}", 'Vivado gives no slack for setup (STATS.WNS is "")'),
    ("no_interface m_axi_2", "Vivado did not find the interface m_axi_2 among the ports of eftrain_ip"),
    ("no_interface interrupt", "Vivado did not find the interface interrupt"),
    ("no_board_files 1", "this Vivado has no board files that match *:zcu102:* (AMD ZCU102)"),
    ("no_ip xilinx.com:ip:smartconnect", "this Vivado has no IP called xilinx.com:ip:smartconnect"),
    ("no_segment HP0_DDR_HIGH", "m_axi_0 does not reach the DRAM's 0x80000000 bytes at 0x800000000"),
    ("no_segment HP3_DDR_LOW", "m_axi_2 does not reach the DRAM's 0x80000000 bytes at 0x0"),
    ("no_handoff 1", "Vivado wrote no hardware description"),
]


@pytest.mark.parametrize("faults, message", FAULTS, ids=[fault for fault, _ in FAULTS])
def test_a_failure_ends_with_a_status(tmp_path: Path, faults: str, message: str) -> None:
    board = boards.get("zcu102")
    project = quick_project(tmp_path / "project", board, board.config)
    run = run_build(project, tmp_path / "record", faults=faults)
    assert run.status == 1
    assert run.errors.splitlines()[0].startswith(f"ERROR: {message}")
    assert not (project / "results.json").exists()
    assert not (project / "eftrain.bit").exists() and not run.of("write_hw_platform")


def test_a_failure_leaves_no_earlier_bitstream(tmp_path: Path) -> None:
    board = boards.get("ultra96v2")
    project = quick_project(tmp_path / "project", board, board.config)
    assert run_build(project, tmp_path / "record").status == 0
    assert (project / "eftrain.bit").exists()
    assert run_build(project, tmp_path / "record", faults="slack {STATS.WNS -1}").status == 1
    assert not any((project / f"eftrain.{kind}").exists() for kind in ("bit", "hwh", "xsa"))


def test_options_of_the_script(tmp_path: Path) -> None:
    project = quick_project(tmp_path / "project", BOARDS[0], BOARDS[0].config)
    run = run_build(project, tmp_path / "record", "-board_files", "my boards")
    assert run.status == 0
    assert run.of("set_param") == [["board.repoPaths", f"{{{project / 'my boards'}}}"]]
    assert run.index("set_param") < run.index("get_board_parts")
    refused = run_build(project, tmp_path / "record", "-cores", "4")
    assert refused.status == 1 and "unknown option -cores: there are -jobs, -board_files and -until" in refused.errors
    refused = run_build(project, tmp_path / "record", "-until", "synthesis")
    assert refused.status == 1 and "-until is bitstream or block_design, not synthesis" in refused.errors
    assert refused.commands == []


def test_it_can_stop_at_the_block_design(tmp_path: Path) -> None:
    """As far as with a bitstream, word for word; an earlier bitstream stays."""
    project = quick_project(tmp_path / "project", BOARDS[0], BOARDS[0].config)
    whole = run_build(project, tmp_path / "record")
    part = run_build(project, tmp_path / "record", "-until", "block_design")
    assert (part.status, part.errors) == (0, "")
    assert part.commands == whole.commands[: len(part.commands)]
    assert part.index("validate_bd_design") < part.index("generate_target") and not part.of("launch_runs")
    assert (project / "eftrain.bit").exists() and (project / "results.json").exists()


def test_fewer_ports_take_the_first_of_the_board(tmp_path: Path) -> None:
    board = boards.get("zcu102")
    project = quick_project(tmp_path / "project", board, replace(board.config, ports=1))
    run = run_build(project, tmp_path / "record")
    assert run.status == 0
    assert ["/memory_m_axi_0/M00_AXI", "/ps/S_AXI_HP0_FPD"] in run.of("connect_bd_intf_net")
    assert not any("m_axi_1" in word for words in run.commands for word in words)
