"""What the compiler reports."""


class CompileError(ValueError):
    """A network that this configuration cannot train;
    the message names the layer, the limit and by how much it is missed.
    """
