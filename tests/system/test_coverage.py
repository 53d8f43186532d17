"""The fixed networks reach every kind of shape that the comparison with the emulator is meant to cover."""

from __future__ import annotations

from collections.abc import Iterator

from eftrain_hdl.graph import Conv2d, Linear, Node
from tests.compiler.networks import NETWORKS
from tests.system.machines import DEFAULT, WIDE


def nodes(kind: type[Conv2d] | type[Linear]) -> Iterator[tuple[Node, Conv2d | Linear]]:
    for network in NETWORKS.values():
        for node in network.model:
            if isinstance(node.layer, kind):
                yield node, node.layer


CONVOLUTIONS = list(nodes(Conv2d))


def test_kernels_strides_and_paddings() -> None:
    axes = [
        (layer.kernel_size[k], layer.stride[k], layer.padding[k]) for _, layer in CONVOLUTIONS for k in range(2)
    ]
    assert {1, 2, 3, 5, 7, 11} <= {kernel for kernel, _, _ in axes}
    assert {1, 2, 3, 4} <= {stride for _, stride, _ in axes}
    assert any(stride > kernel for kernel, stride, _ in axes)
    for kernel in (2, 3, 5):
        assert {0, kernel - 1} <= {padding for size, _, padding in axes if size == kernel}


def test_windows_that_leave_pixels_over() -> None:
    left = {
        layer.stride[k]
        for node, layer in CONVOLUTIONS
        for k in range(2)
        if (node.input_shape[1 + k] + 2 * layer.padding[k] - layer.kernel_size[k]) % layer.stride[k]
    }
    assert {2, 3, 4} <= left


def test_sizes() -> None:
    maps = {node.input_shape[1:] for node, _ in CONVOLUTIONS} | {node.output_shape[1:] for node, _ in CONVOLUTIONS}
    assert {(1, 1), (2, 2)} <= maps
    channels = {node.input_shape[0] for node, _ in CONVOLUTIONS} | {node.output_shape[0] for node, _ in CONVOLUTIONS}
    features = {size for _, layer in nodes(Linear) for size in (layer.in_features, layer.out_features)}
    for sizes in (channels, features):
        for unit in {size for config in (DEFAULT, WIDE) for size in (config.rows, config.lanes)}:
            assert any(size < unit for size in sizes) and any(size > unit and size % unit for size in sizes)
            assert any(size % 2 for size in sizes if size > unit)
    batches = {network.batch for network in NETWORKS.values()}
    assert 1 in batches
    assert {0, 1} == {batch % 2 for batch in batches if batch > 1}
