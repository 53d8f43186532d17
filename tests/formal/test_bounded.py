# amaranth: UnusedElaboratable=no
"""Bounded proofs of the DMA engines: all inputs free, every cycle from reset up to the depth given here.

Each proof has counterparts with one bound tightened (by one, or to half a page), which must fail: they show that the
depth is enough for the assertion to be exercised at its limit.
"""

import pytest

from tests.formal.bounded import prove, tools_missing
from tests.formal.designs import Write

pytestmark = pytest.mark.skipif(bool(tools_missing()), reason=f"not installed: {', '.join(tools_missing())}")

DEPTHS = {Write: 13}


@pytest.mark.parametrize("harness", DEPTHS)
def test_holds(harness: type[Write]) -> None:
    status, log = prove(harness(), f"axi_{harness.__name__.lower()}", depth=DEPTHS[harness])
    assert status == "PASS", log[-4000:]


@pytest.mark.parametrize(
    ("harness", "tight"),
    [
        pytest.param(Write, "outstanding", marks=pytest.mark.full),
        (Write, "in_hand"),
    ],
)
def test_bound_is_reached(harness: type[Write], tight: str) -> None:
    # A burst is issued every second cycle, so that the last one in flight comes late.
    depth = DEPTHS[harness] + (5 if (harness, tight) == (Write, "outstanding") else 0)
    status, log = prove(harness(tight=tight), f"axi_{harness.__name__.lower()}_{tight}", depth=depth)
    assert status == "FAIL", log[-4000:]
