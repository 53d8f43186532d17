"""The best configurations of a board for a network: which fit, which are quick, and what speed costs in area."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from eftrain_hdl.checks import check_kind, integer, number
from eftrain_hdl.config import Config
from eftrain_hdl.numerics import FloatFormat
from eftrain_hdl.planner.resources import Resources, estimate_resources

__all__ = ["Choice", "SearchError", "fitting", "pareto", "search"]

_LANES = (8, 16, 32)
_TIMES = (1, 2, 3, 4, 6, 8, 12, 16)
"""Rows in lanes."""
_DEPTHS = (
    (8192, 8192, 2048), (4096, 4096, 1024), (2048, 2048, 1024), (1024, 1024, 1024),
    (2048, 2048, 512), (1024, 1024, 512), (512, 512, 512),
)  # fmt: skip
"""Of the streaming and the stationary buffer and of an accumulator bank, largest first."""
_JUDGED = 3
"""Configurations that the timing model judges; of the best one, smaller variants as well."""
_LEAST_SHARE = 0.001
_FLIP_FLOPS = 0.9
"""Share of the flip-flops that may be taken in any case: there are two for each LUT."""


class SearchError(ValueError):
    """Nothing fits; the message says which limit is missed and by how much."""


@dataclass(frozen=True)
class Choice:
    """A configuration, what it takes of the board, and the cycles of a step.

    ``share`` is the largest fraction of the board's LUTs, DSP and RAM blocks.
    """

    config: Config
    resources: Resources
    share: float
    cycles: float


def fitting(board: Resources, share: float, operand: FloatFormat, base: Config) -> list[Config]:
    """Arrays that take at most ``share`` of LUTs, DSP and RAM blocks, each with the largest buffers that fit; with the
    ports, their width and the addresses of ``base``.
    """
    configs = []
    for rows, lanes in _shapes():
        for depths in _DEPTHS:
            config = _config(rows, lanes, operand, base, depths)
            if _fits(config, board, share):
                configs.append(config)
                break
    return configs


def _config(rows: int, lanes: int, operand: FloatFormat, base: Config, depths: tuple[int, int, int]) -> Config:
    streaming, stationary, words = depths
    return replace(
        base, rows=rows, lanes=lanes, operand=operand, streaming_depth=streaming, stationary_depth=stationary,
        accumulator_depth=words * max(1, lanes // rows), operand_depth=64 * max(16, lanes) * (2 if words > 512 else 1),
    )  # fmt: skip


def _fits(config: Config, board: Resources, share: float) -> bool:
    used = estimate_resources(config).fractions(board)
    return used["ff"] <= max(share, _FLIP_FLOPS) and _share(config, board) <= share


def _shapes() -> Iterator[tuple[int, int]]:
    """Rows and lanes: one is a multiple of the other, and both fill beats of 128 bits."""
    yield 4, 4
    for lanes in _LANES:
        for part in (4, 2):
            if lanes // part >= 4:
                yield lanes // part, lanes
        for times in _TIMES:
            yield times * lanes, lanes


def _share(config: Config, board: Resources) -> float:
    used = estimate_resources(config).fractions(board)
    return max(part for name, part in used.items() if name != "ff")


def search(
    board: Resources, share: float, operand: FloatFormat, base: Config, macs: int,
    rough: Callable[[Sequence[Config]], Sequence[float | None]],
    exact: Callable[[Sequence[Config]], Sequence[float | None]],
) -> list[Choice]:  # fmt: skip
    """The quickest configurations, and those that need less area than any quicker one; quickest first.

    ``rough`` and ``exact`` give cycles of a step of ``macs``, or None where the network cannot be compiled. Raises
    SearchError; TypeError or ValueError for arguments of another kind.
    """
    check_kind("board", board, Resources, "the Resources of a board")
    share = number("share", share, _LEAST_SHARE, 1)
    check_kind("operand", operand, FloatFormat, "a FloatFormat such as FP32 or BF16")
    check_kind("base", base, Config, "a Config")
    macs = integer("macs", macs, 1)
    configs = fitting(board, share, operand, base)
    if not configs:
        raise SearchError(_nothing_fits(board, share, operand, base))
    left = _promising(board, configs, macs, rough)
    judged: list[Choice] = []
    while left and len(judged) < _JUDGED:
        # Some cannot be compiled after all; others take their places.
        configs = [choice.config for choice in pareto(left)[: _JUDGED - len(judged)]]
        judged += _choices(board, configs, exact(configs))
        left = [choice for choice in left if choice.config not in configs]
    if not judged:
        raise SearchError("none of the configurations that fit can be compiled for this network")
    best = pareto(judged)[0]
    variants = [config for config in _smaller(best.config) if _share(config, board) < best.share]
    return pareto(judged + _choices(board, variants, exact(variants)))


def _promising(
    board: Resources, configs: Sequence[Config], macs: int,
    rough: Callable[[Sequence[Config]], Sequence[float | None]],
) -> list[Choice]:  # fmt: skip
    """Configurations and their rough cycles, without arrays too small to be among the quickest of the front."""
    waiting, found = sorted(configs, key=lambda config: -config.macs), list[Choice]()
    while waiting:
        front = pareto(found)
        if len(front) >= _JUDGED and front[_JUDGED - 1].cycles < macs / waiting[0].macs:
            break
        some, waiting = waiting[:_JUDGED], waiting[_JUDGED:]
        found += _choices(board, some, rough(some))
    return found


def _smaller(config: Config) -> Iterator[Config]:
    """The same array with half a buffer, or with fewer ports."""
    if config.ports > 1:
        yield replace(config, ports=config.ports - 1)
    for name in ("streaming_depth", "stationary_depth"):
        if getattr(config, name) > _DEPTHS[-1][0]:
            yield replace(config, **{name: getattr(config, name) // 2})


def _choices(board: Resources, configs: Sequence[Config], cycles: Sequence[float | None]) -> list[Choice]:
    return [
        Choice(config, estimate_resources(config), _share(config, board), count)
        for config, count in zip(configs, cycles, strict=True) if count is not None
    ]  # fmt: skip


def pareto(choices: Sequence[Choice]) -> list[Choice]:
    """Choices that no other one beats in both cycles and share; quickest first."""
    front: list[Choice] = []
    for choice in sorted(choices, key=lambda one: (one.cycles, one.share)):
        if not front or choice.share < front[-1].share:
            front.append(choice)
    return front


def _nothing_fits(board: Resources, share: float, operand: FloatFormat, base: Config) -> str:
    least = min(
        (_config(rows, lanes, operand, base, _DEPTHS[-1]) for rows, lanes in _shapes()),
        key=lambda config: _share(config, board),
    )
    used = estimate_resources(least).fractions(board)
    over = ", ".join(
        f"{name} {part:.0%} of the board's, {part - share:.0%} too much" for name, part in used.items() if part > share
    )
    return f"no configuration fits {share:.0%} of the board: even {least.rows} x {least.lanes} needs {over}"
