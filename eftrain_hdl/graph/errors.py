"""The error of every network description that cannot be built."""


class GraphError(ValueError):
    """A layer parameter out of range, or layers whose shapes do not fit; the message names layer and parameter."""
