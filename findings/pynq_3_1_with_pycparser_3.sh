#!/usr/bin/env bash
# Ground:    PYNQ on Zynq-7000, from a package registry on any Linux machine.
# Version:   pynq 3.1.2 (the last with Zynq-7000), Python 3.10, NumPy 1.26.4; pycparser 3.0 and 2.23.
# Behaviour: pynq 3.1.2 asks for cffi, which takes the newest pycparser; with pycparser 3 `import pynq.lib` fails, with
#            pycparser 2.23 it works. Its metadata do not exclude pycparser 3.
# Seen:      ModuleNotFoundError: No module named 'pycparser.plyparser'
set -euo pipefail
python=${PYTHON310:-python3.10}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' || { echo "needs Python 3.10 (or PYTHON310=/path)"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$python" -m venv venv
venv/bin/pip install --quiet 'pynq==3.1.2' 'numpy==1.26.4' 'cffi==2.1.1' 'pycparser==3.0' 2> pip.txt || { cat pip.txt; exit 2; }
attempt() { venv/bin/python -c 'import pynq.lib; print("imported")' 2>&1 | tail -n 1 || true; }
new=$(attempt)
venv/bin/pip install --quiet 'pycparser==2.23' 2> pip.txt || { cat pip.txt; exit 2; }
old=$(attempt)
echo "pycparser 3.0:  $new"
echo "pycparser 2.23: $old"
[[ $new == "ModuleNotFoundError: No module named 'pycparser.plyparser'" && $old == imported ]]
echo "as described"
