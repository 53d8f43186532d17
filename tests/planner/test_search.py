"""Search for configurations, with the cycles of a step given by a formula."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eftrain_hdl.config import Config
from eftrain_hdl.numerics import FP32
from eftrain_hdl.planner.resources import Resources, estimate_resources
from eftrain_hdl.planner.search import Choice, SearchError, fitting, pareto, search

BOARD = Resources(274_080, 548_160, 2520, 912)


MACS = 10**9


def ideal(configs: Sequence[Config]) -> list[float | None]:
    return [MACS / config.macs for config in configs]


def test_everything_found_fits() -> None:
    for config in fitting(BOARD, 0.8, FP32, Config(ports=3)):
        used = estimate_resources(config).fractions(BOARD)
        assert max(used[name] for name in ("lut", "dsp", "bram36")) <= 0.8 and used["ff"] <= 0.9


def test_the_largest_array_that_fits_is_the_quickest() -> None:
    found = search(BOARD, 0.8, FP32, Config(ports=3), MACS, ideal, ideal)
    assert found[0].config.macs == max(config.macs for config in fitting(BOARD, 0.8, FP32, Config(ports=3)))
    assert [choice.cycles for choice in found] == sorted(choice.cycles for choice in found)


def test_ports_and_addresses_are_the_board_s() -> None:
    base = Config(rows=8, lanes=8, ports=2, data_width=64, address_width=32, axi3=True)
    for choice in search(BOARD, 0.5, FP32, base, MACS, ideal, ideal):
        config = choice.config
        assert (config.data_width, config.address_width, config.axi3) == (64, 32, True) and config.ports <= 2


def test_what_cannot_be_compiled_is_left_out() -> None:
    def small_only(configs: Sequence[Config]) -> list[float | None]:
        return [MACS / config.macs if config.macs <= 64 else None for config in configs]

    assert search(BOARD, 0.8, FP32, Config(ports=3), MACS, small_only, small_only)[0].config.macs == 64
    with pytest.raises(SearchError, match="none of the .* can be compiled"):
        search(BOARD, 0.8, FP32, Config(ports=3), MACS, lambda configs: [None] * len(configs), ideal)


def test_a_board_that_is_too_small_is_told_what_is_missing() -> None:
    small = Resources(5000, 10_000, 10, 20)
    with pytest.raises(SearchError, match=r"even 4 x 4 needs .*lut \d+% of the board's, \d+% too much"):
        search(small, 0.8, FP32, Config(), MACS, ideal, ideal)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1))
def test_nothing_on_the_front_is_beaten(pairs: list[tuple[int, int]]) -> None:
    choices = [Choice(Config(), Resources(0, 0, 0, 0), share, cycles) for cycles, share in pairs]
    front = pareto(choices)
    for choice in front:
        mine = choice.cycles, choice.share
        assert not any(
            other.cycles <= mine[0] and other.share <= mine[1] and (other.cycles, other.share) != mine
            for other in choices
        )  # fmt: skip
    for other in choices:
        assert any(choice.cycles <= other.cycles and choice.share <= other.share for choice in front)
