"""The Verilator harness, driven through a small copy engine with the accelerator's ports."""

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hdl.planner.dram import memory_model
from eftrain_hdl.rtl.verilog import component_verilog
from eftrain_hdl.runtime.verilator import (
    BusError,
    ProtocolError,
    ToolError,
    VerilatedModel,
    build,
    build_model,
    find_toolchain,
)
from tests.runtime.copy_engine import BUSY, DONE, DROP_ARVALID, EARLY_WLAST, ERROR, IDENTITY, REGISTERS, CopyEngine

PORTS, WIDTH = 2, 128
TARGET = 1 << 22
STRIDE = 1 << 20
DRAM_BYTES = 1 << 24


@pytest.fixture(scope="module")
def text():
    return component_verilog(CopyEngine(ports=PORTS, data_width=WIDTH))


@pytest.fixture(scope="module")
def library(text):
    return build_model(text, ports=PORTS, data_width=WIDTH, top="top")


def make(library, memory="zcu102", **changes):
    model = memory_model(memory).with_(**changes)
    return VerilatedModel(library, ports=PORTS, data_width=WIDTH, memory=model, dram_bytes=DRAM_BYTES, clock_mhz=300)


@pytest.fixture
def model(library):
    with make(library) as model:
        yield model


def start(model, *, source=0, target=TARGET, bursts=100, beats=8, break_rule=0):
    for name, value in {"source": source, "target": target, "bursts": bursts, "length": beats - 1, "stride": STRIDE,
                        "break_rule": break_rule}.items():
        model.write32(REGISTERS[name], value)
    model.write32(REGISTERS["control"], 1)


def fill(model):
    model.dram[:PORTS * STRIDE] = np.random.default_rng(7).integers(0, 256, PORTS * STRIDE, dtype=np.uint8)


def assert_copied(model, size, source=0):
    for port in range(PORTS):
        want = model.dram[source + port * STRIDE:][:size]
        np.testing.assert_array_equal(model.dram[TARGET + port * STRIDE:][:size], want)


@pytest.mark.parametrize("memory", ["zcu102", "ultra96", "zynq7020", "ideal"])
@pytest.mark.parametrize("beats", [1, 8, 17, 256])
def test_copies_every_byte(library, memory, beats):
    with make(library, memory) as model:
        fill(model)
        # 17 beats of 16 bytes would cross 4 KiB on their way, so that case is one burst from a page's start.
        bursts = 1 if beats == 17 else 40
        start(model, bursts=bursts, beats=beats)
        assert model.run(200_000)
        assert_copied(model, bursts * beats * WIDTH // 8)
        assert model.read32(REGISTERS["status"]) == DONE
        for port in range(PORTS):
            stats = model.stats(port)
            assert stats["read_bytes"] == stats["write_bytes"] == bursts * beats * WIDTH // 8
            assert stats["read_bursts"] == stats["write_bursts"] == bursts


def test_bytes_beyond_the_copy_stay(model):
    fill(model)
    model.dram[TARGET:] = 0xAA
    start(model, bursts=3)
    assert model.run(10_000)
    for port in range(PORTS):
        assert (model.dram[TARGET + port * STRIDE + 3 * 128:][:4096] == 0xAA).all()


def test_latency_of_a_lone_burst(library):
    cycles = {}
    for nanoseconds in (50.0, 250.0):
        with make(library, read_latency_ns=nanoseconds) as model:
            start(model, bursts=1, beats=1)
            before = model.cycles
            assert model.run(10_000)
            cycles[nanoseconds] = model.cycles - before
    assert cycles[250.0] - cycles[50.0] == pytest.approx(200 * 0.3, abs=1)


def test_registers_and_bus_errors(model):
    assert model.read32(REGISTERS["identity"]) == IDENTITY
    model.write32(REGISTERS["source"], 0xDEADBEEF)
    assert model.read32(REGISTERS["source"]) == 0xDEADBEEF
    with pytest.raises(ValueError, match="strobe must lie between 0 and 15, not 16"):
        model.write32(REGISTERS["source"], 0, strobe=16)
    with pytest.raises(BusError, match="read of register 0x800: SLVERR"):
        model.read32(0x800)
    with pytest.raises(BusError, match="write of register 0x804: SLVERR"):
        model.write32(0x804, 1)


def test_run_stops_at_the_interrupt_or_the_budget(model):
    start(model, bursts=1000)
    before = model.cycles
    assert not model.run(100)
    assert model.cycles == before + 100
    assert model.read32(REGISTERS["status"]) == BUSY
    assert model.run(1_000_000)
    at_interrupt = model.cycles
    assert model.run(1_000_000) and model.cycles == at_interrupt
    model.write32(REGISTERS["control"], 2)
    assert not model.interrupt


@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize("response", [2, 3])
def test_a_fault_reaches_the_design(model, direction, response):
    fill(model)
    model.dram[TARGET:] = 0xAA
    address = 5 * 128 + 70 + (TARGET if direction == "write" else 0)
    model.add_fault(address, direction, response)
    start(model)
    assert model.run(100_000)
    assert model.read32(REGISTERS["status"]) == DONE | ERROR
    if direction == "write":
        assert (model.dram[address & ~15:][:16] == 0xAA).all()
    model.clear_faults()
    model.write32(REGISTERS["control"], 2)
    start(model)
    assert model.run(100_000)
    assert model.read32(REGISTERS["status"]) == DONE
    assert_copied(model, 100 * 128)


def test_beyond_the_end_of_dram_is_a_decode_error(model):
    start(model, source=DRAM_BYTES - 2 * 128, bursts=3)
    assert model.run(100_000)
    assert model.read32(REGISTERS["status"]) == DONE | ERROR


def test_a_stalled_memory_stands_still(model):
    fill(model)
    start(model)
    model.stall_memory()
    assert not model.run(50_000)
    assert model.read32(REGISTERS["status"]) == BUSY
    model.stall_memory(reads=False, writes=False)
    assert model.run(100_000)
    assert_copied(model, 100 * 128)


def test_channels_held_back_at_random(library):
    def cycles(seed, **chances):
        with make(library) as model:
            fill(model)
            start(model)
            model.hold_back(seed, **chances)
            assert model.run(500_000)
            assert_copied(model, 100 * 128)
            return model.cycles

    plain = cycles(0)
    for channel in ("ar", "aw", "w", "r", "b"):
        assert cycles(1, **{channel: 0.95}) > plain
    some = {"ar": 0.5, "w": 0.5, "r": 0.5, "b": 0.5}
    assert cycles(2, **some) == cycles(2, **some) != cycles(3, **some)
    with make(library) as model, pytest.raises(ValueError, match="w must be a chance from 0 to below 1, not 1"):
        model.hold_back(0, w=1)


def test_reset_in_the_middle_of_bursts(model):
    fill(model)
    start(model, bursts=1000)
    assert not model.run(200)
    model.reset()
    assert model.read32(REGISTERS["status"]) == 0
    start(model)
    assert model.run(100_000)
    assert model.read32(REGISTERS["status"]) == DONE
    assert_copied(model, 100 * 128)


def test_a_read_before_the_write_response_sees_old_data(library):
    # Target follows source in memory, so later reads meet earlier writes; with slow writes they must lose the race.
    with make(library, write_latency_ns=20_000.0) as model:
        fill(model)
        before = model.dram[:256].copy()
        start(model, bursts=4, target=128)
        assert model.run(100_000)
        np.testing.assert_array_equal(model.dram[128:384], before)


@pytest.mark.parametrize("setup, message", [
    ({"source": 4096 - 64, "bursts": 1}, r"port 0, cycle \d+: burst crosses a 4 KiB boundary \(address 0xfc0\)"),
    ({"break_rule": EARLY_WLAST}, "WLAST does not mark the last beat"),
    ({"break_rule": DROP_ARVALID, "bursts": 400}, "ARVALID fell before ARREADY"),
])
def test_protocol_breaches_are_reported(model, setup, message):
    start_error = None
    try:
        start(model, **setup)
        model.run(100_000)
    except ProtocolError as error:
        start_error = error
    assert start_error is not None
    with pytest.raises(ProtocolError, match=message):
        raise start_error
    assert model.protocol_error == str(start_error)
    model.reset()
    model.clear_protocol_error()
    assert model.protocol_error is None
    start(model)
    assert model.run(100_000)


def test_two_models_do_not_share_state(library):
    with make(library) as first, make(library) as second:
        fill(first)
        start(first)
        assert first.run(100_000)
        assert not second.dram.any()
        assert second.read32(REGISTERS["status"]) == 0


def test_a_closed_model_says_so(library):
    model = make(library)
    model.close()
    model.close()
    with pytest.raises(ValueError, match="the model is closed"):
        model.read32(0)
    with pytest.raises(ValueError, match="the model is closed"):
        _ = model.dram


def test_wrong_configuration_is_refused(library):
    with pytest.raises(ValueError, match="built for other than 1 ports of 128 bits"):
        VerilatedModel(library, ports=1, data_width=WIDTH, memory=memory_model("ideal"), dram_bytes=DRAM_BYTES,
                       clock_mhz=300)


def test_arguments_are_checked(model, text):
    with pytest.raises(ValueError, match="direction must be 'read' or 'write', not 'both'"):
        model.add_fault(0, "both")
    with pytest.raises(ValueError, match="response must be 2"):
        model.add_fault(0, "read", 1)
    with pytest.raises(ValueError, match="port must lie between 0 and 1, not 2"):
        model.stats(2)
    with pytest.raises(ValueError, match="ports must lie between 1 and 4, not 0"):
        build_model(text, ports=0, data_width=WIDTH, top="top")
    with pytest.raises(ValueError, match="data_width must be 32, 64, 128 or 256, not 12"):
        build_model(text, ports=1, data_width=12, top="top")


def test_the_cache_is_used(text, library):
    def no_progress(line):
        raise AssertionError(f"compiled again: {line}")

    assert build_model(text, ports=PORTS, data_width=WIDTH, top="top", progress=no_progress) == library


def test_verilator_errors_are_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path))
    with pytest.raises(ToolError, match=r"(?s)Verilator failed with status \d+:.*top.v:1"):
        build_model("module top(input a; endmodule", ports=1, data_width=32, top="top")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.so.lock"]


def test_a_damaged_library_is_built_again_before_it_is_loaded(library, text, tmp_path, monkeypatch):
    """A process that maps a library cut short is killed."""
    whole = library.read_bytes()

    def copy_build(work, *_):
        (work / "model.so").write_bytes(whole)
        return work / "model.so"

    monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_build", copy_build)
    lines = []
    copy = build_model(text, ports=PORTS, data_width=WIDTH, top="top")
    for content in (whole[:-1], whole[: len(whole) // 2], b""):
        copy.unlink()  # not the file that this process has mapped
        copy.write_bytes(content)
        assert build_model(text, ports=PORTS, data_width=WIDTH, top="top", progress=lines.append) == copy
        assert copy.read_bytes() == whole
        with make(copy) as model:
            assert model.read32(REGISTERS["identity"]) == IDENTITY
    assert lines == [f"{copy} is damaged: it is made again"] * 3


@pytest.mark.full
def test_paths_with_spaces(text, tmp_path, monkeypatch):
    """Of the cache, of Verilator and of Python; characters that shells and make know besides."""
    for name in ("a b", "a$b#c:d'e\"(%)&;\u00e9"):
        place = tmp_path / name
        place.mkdir()
        tools = find_toolchain()
        (place / "root").symlink_to(tools.root)
        (place / "verilator").symlink_to(tools.verilator)
        (place / "python").symlink_to(tools.python)
        moved = replace(
            tools, verilator=str(place / "verilator"), root=str(place / "root"), python=str(place / "python")
        )
        monkeypatch.setattr(build, "find_toolchain", lambda moved=moved: moved)
        monkeypatch.setenv("EFTRAIN_CACHE", str(place / "cache"))
        with make(build_model(text, ports=PORTS, data_width=WIDTH, top="top")) as model:
            assert model.read32(REGISTERS["identity"]) == IDENTITY
