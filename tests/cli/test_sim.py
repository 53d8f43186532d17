"""Training and Verilog of a small accelerator; its first use compiles it, later ones find it in the cache."""

import json

import pytest

import eftrain_hdl.rtl.top
from eftrain_hdl.cli import main
from eftrain_hdl.config import Config
from eftrain_hdl.runtime.sim import cached_verilog

SMALL = ["--rows", "4", "--lanes", "8"]  # the array of tests/system, so that it is compiled once


def test_sim_trains_with_the_bits_of_the_emulator_and_counts_cycles(capsys, tmp_path):
    options = ["train", "--model", "shallow", "--batch", "4", "--steps", "2", *SMALL, "--json", "-"]
    plot = tmp_path / "loss.png"
    assert main([*options, "--device", "sim", "--memory", "ideal", "--clock", "100", "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    sim = json.loads(captured.out)
    assert main([*options, "--device", "emulator"]) == 0
    emulated = json.loads(capsys.readouterr().out)

    assert sim["loss"] == emulated["loss"]
    assert sim["accuracy"] == emulated["accuracy"]
    assert len(sim["cycles"]) == 2 and min(sim["cycles"]) > 0
    assert sim["seconds"] == pytest.approx(sum(sim["cycles"]) / 100e6)
    assert set(sim["utilization"]) == {"overall", "FP", "BP", "WU"}
    assert all(0 < share <= 1 for share in sim["utilization"].values())
    places = {(layer["layer"], layer["phase"]) for layer in sim["layers"]}
    # The first layer has no input gradient, but that of its pooling counts as its BP.
    assert places == {(0, "FP"), (0, "BP"), (0, "WU"), (4, "FP"), (4, "BP"), (4, "WU")}
    assert [layer["macs"] for layer in sim["layers"] if (layer["layer"], layer["phase"]) == (0, "BP")] == [0]
    assert 0.5 < sum(layer["cycles"] for layer in sim["layers"]) / sim["cycles_per_step"] <= 1
    assert "layer 4 (Linear)" in captured.err
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_verilog_is_written(capsys, tmp_path, monkeypatch):
    """The text is that of the cache, which is what the command would make, without making it again."""
    cached = cached_verilog(Config(rows=4, lanes=8))
    monkeypatch.setattr(eftrain_hdl.rtl.top, "generate_verilog", lambda config, name: cached)
    path = tmp_path / "new" / "accelerator.v"
    assert main(["verilog", *SMALL, "--output", str(path), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    text = path.read_text()
    assert found["bytes"] == len(text) and found["config"] == Config(rows=4, lanes=8).as_dict()
    for port in ("aclk", "aresetn", "interrupt", "m_axi_0_araddr", "s_axi_ctrl_awvalid"):
        assert port in text
    assert found["waivers"] == str(path.with_suffix(".vlt")) and "interrupt" in path.with_suffix(".vlt").read_text()
