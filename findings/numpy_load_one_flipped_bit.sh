#!/bin/sh
# numpy.load returns other arrays, without an error, from an .npz file in which one bit was flipped.
#
# Ground:    an .npz file is a zip archive, whose members carry a CRC-32; `unzip -t` and zipfile's testzip() find the
#            damage. numpy.load reads as many bytes as the array's header asks for, and zipfile compares the CRC only
#            when a member is read to its end: a header that asks for less is never found out.
# Version:   numpy 2.4.6, CPython 3.11.7
# Seen:      (200, 10) instead of (2000, 10); with another bit, the right shape with all values moved.
#            An array of less than 4 KiB is safe, since zipfile reads that much at once.
# Wanted:    an error, as for a bit among the values (BadZipFile: Bad CRC-32).
#
# Fails (status 1) if the behaviour changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys
import zipfile

import numpy as np

array = np.arange(20000.0).reshape(2000, 10)
file = io.BytesIO()
np.savez(file, x=array)
whole = file.getvalue()
header = whole.index(b"\x93NUMPY")


def load(place: int, bit: int) -> np.ndarray:
    content = bytearray(whole)
    content[place] ^= 1 << bit
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() == "x.npy", "zipfile does not find the damage"
    return np.load(io.BytesIO(content))["x"]


shorter = load(whole.index(b"2000, 10") + 3, 4)  # '0' becomes ' '
moved = load(header + 8, 4)  # the length of the header: 118 becomes 102
print(f"numpy {np.__version__}, Python {sys.version.split()[0]}")
print(f"one bit of the shape: {shorter.shape} instead of {array.shape}")
print(f"one bit of the header's length: {moved.shape}, x[0, :4] = {moved[0, :4]} instead of {array[0, :4]}")
sys.exit(not (shorter.shape == (200, 10) and moved.shape == array.shape and (moved != array).any()))
PYTHON
