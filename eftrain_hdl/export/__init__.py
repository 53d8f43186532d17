"""Descriptions of the accelerator for other software, all from the tables in `registers.py` and `isa.py`.

One generator a file; each returns a whole text that ends in a newline, the same text each time.
"""
