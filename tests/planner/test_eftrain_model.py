"""EF-Train's model restated gives the totals of the authors' script, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.eftrain_model import (
    ALEXNET,
    ALEXNET_MACHINE,
    NET_1X,
    RELEASED,
    VGG16,
    Conv,
    Machine,
    network_cycles,
    network_macs,
)


@pytest.mark.parametrize(
    ("layers", "machine", "batch", "cycles", "gflops"),
    [
        (VGG16, RELEASED, 1, (65_183_352, 62_987_624, 66_704_448), 47.16),
        (VGG16, RELEASED, 4, (260_733_408, 250_934_936, 257_064_960), 47.82),
        (VGG16, RELEASED, 16, (1_042_933_632, 1_002_724_184, 1_018_507_008), 47.99),
        (VGG16, RELEASED, 64, (4_171_734_528, 4_009_881_176, 4_064_275_200), 48.03),
        (NET_1X, RELEASED, 1, (105_797, 97_970, 111_441), 18.54),
        (NET_1X, RELEASED, 4, (423_188, 367_976, 382_468), 19.92),
        (NET_1X, RELEASED, 16, (1_692_752, 1_448_000, 1_464_016), 20.31),
        (NET_1X, RELEASED, 64, (6_771_008, 5_768_096, 5_790_208), 20.41),
        (ALEXNET, ALEXNET_MACHINE, 1, (6_801_580, 4_061_142, 7_012_672), 34.96),
        (ALEXNET, ALEXNET_MACHINE, 4, (27_206_320, 15_882_378, 25_581_428), 36.40),
        (ALEXNET, ALEXNET_MACHINE, 16, (108_825_280, 63_167_322, 99_482_948), 36.83),
        (ALEXNET, ALEXNET_MACHINE, 64, (435_301_120, 252_307_098, 395_089_028), 36.94),
    ],
)
def test_totals_of_the_published_script(
    layers: Sequence[Conv], machine: Machine, batch: int, cycles: tuple[int, int, int], gflops: float
) -> None:
    assert network_cycles(layers, batch, machine) == cycles
    assert round(2 * network_macs(layers, batch) / (10 * sum(cycles)), 2) == gflops
