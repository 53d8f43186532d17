"""The files that take longest come first, so that no worker is left with one at the end."""

import pytest

LONGEST = (
    "system/test_rtl_equals_emulator.py",
    "synthesis/test_accelerator_area.py",
    "runtime/test_trace.py",
    "system/test_bad_input.py",
    "rtl/fp/test_dot.py",
    "rtl/test_accelerator.py",
    "rtl/test_accelerator_ports.py",
    "boards/test_gateware.py",
    "rtl/axi/test_arbiter.py",
    "rtl/axi/test_read_dma.py",
    "rtl/axi/test_write_dma.py",
    "rtl/vector/test_vector_unit.py",
    "rtl/compute/test_compute_unit.py",
    "compiler/test_training.py",
    "formal/test_axi.py",
    "system/test_twenty_steps.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        return next((k for k, name in enumerate(LONGEST) if item.path.as_posix().endswith(name)), len(LONGEST))

    items.sort(key=rank)
