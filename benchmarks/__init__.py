"""Measurements: ``python -m benchmarks`` (``make bench``)."""
