"""Comparing figures with a stored baseline."""

import pytest

from eftrain_hdl.synthesis import compare, load_baseline, save_baseline

BEFORE = {"lc": 1000, "dsp": 32, "srl": 0, "depth": 6}


def test_within_the_tolerance_is_as_before():
    assert compare(BEFORE, BEFORE) == []
    assert compare(BEFORE, {**BEFORE, "lc": 1100}) == []
    assert compare(BEFORE, {**BEFORE, "lc": 900}) == []


@pytest.mark.parametrize("change, line", [
    ({"lc": 1101}, "lc: was 1000, is 1101 (+10%)"),
    ({"lc": 700}, "lc: was 1000, is 700 (-30%)"),
    ({"srl": 1}, "srl: was 0, is 1"),
    ({"depth": 7}, "depth: was 6, is 7 (+17%)"),
    ({"depth": 5}, "depth: was 6, is 5 (-17%)"),
])
def test_beyond_it_is_reported(change, line):
    assert compare(BEFORE, {**BEFORE, **change}) == [line]


def test_one_level_more_is_never_within_the_tolerance():
    assert compare({"depth": 40}, {"depth": 41}) == ["depth: was 40, is 41 (+2%)"]
    assert compare({"depth": 40}, {"depth": 39}) == []


def test_tolerance_can_be_given():
    assert compare({"lc": 100}, {"lc": 103}, tolerance=0.02) == ["lc: was 100, is 103 (+3%)"]


def test_figures_on_one_side_only():
    assert compare({"lc": 5}, {"ff": 7}) == ["ff: 7, not in the baseline", "lc: was 5, not measured now"]


def test_files(tmp_path):
    path = tmp_path / "baseline.json"
    assert load_baseline(path) == {}
    save_baseline(path, {"unit": BEFORE})
    assert load_baseline(path) == {"unit": BEFORE}
