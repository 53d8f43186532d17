"""What the golden model calls an array."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
