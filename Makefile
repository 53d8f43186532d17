# `make` alone lists the targets. Everything runs from .venv, which is made on first use.
PYTHON ?= python3
VENV   := .venv
PYNQ_VENV := .venv-pynq
BIN    := $(VENV)/bin
JOBS   ?= 2
# A file's tests share what they compile; tests/conftest.py says which files start first.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Netlist order depends on the hash seed; a native Yosys, where one is installed, must not change the Verilog.
export PYTHONHASHSEED := 0
export AMARANTH_USE_YOSYS := builtin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tools that look for `python` by name (Verilator's make rules) find the one of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-full test-pynq bench lint clean check-python check-cxx check-perl

help:
	@echo "make demo       train a small CNN on handwritten digits on the simulated accelerator (RTL in Verilator)"
	@echo "make test       the tests; make test-full adds those that take minutes each"
	@echo "make test-pynq  the tests of the PYNQ driver, with pynq in .venv-pynq"
	@echo "make bench      measure and print the figures that the documentation quotes"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove build/, caches and .venv"

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (Python 3.11 or newer; or make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "too old: $$($(PYTHON) --version); Python 3.11 or newer is needed (make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "missing: the venv module of $(PYTHON) (Debian and Ubuntu: apt install python3-venv)"; exit 1; }

check-cxx:
	@missing=; for tool in g++ make; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	[ -z "$$missing" ] || { echo "missing:$$missing (Debian and Ubuntu: apt install g++ make)"; exit 1; }

# cocotb starts Verilator through its Perl script, which needs more modules than perl-base has.
check-perl:
	@perl -MPod::Usage -MGetopt::Long -MIO::File -e 1 2>/dev/null || \
	  { echo "missing: perl with its standard modules (Debian and Ubuntu: apt install perl)"; exit 1; }

$(BIN)/python: | check-python
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras, renewed when the requirements change.
$(VENV)/.installed-demo: EXTRAS := data,plot
$(VENV)/.installed-test: EXTRAS := test
$(VENV)/.installed-lint: EXTRAS := lint
$(VENV)/.installed-%: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

demo: check-cxx $(VENV)/.installed-demo
	@mkdir -p build/demo
	$(BIN)/eftrain train --model shallow --data digits --device sim --rows 8 --lanes 8 --batch 16 --steps 70 \
	  --plot build/demo/loss.png

test: check-cxx check-perl $(VENV)/.installed-test
	$(PYTEST) -q

test-full: check-cxx check-perl $(VENV)/.installed-test
	$(PYTEST) -m ""

# pynq wants older versions of NumPy and gRPC than the rest needs: an environment of its own.
$(PYNQ_VENV)/.installed: pyproject.toml setup.py | check-python
	$(PYTHON) -m venv $(PYNQ_VENV)
	$(PYNQ_VENV)/bin/python -m pip install --quiet --editable '.[pynq]' 'pytest>=8,<10'
	@touch $@

test-pynq: check-cxx check-perl $(PYNQ_VENV)/.installed
	PATH="$(CURDIR)/$(PYNQ_VENV)/bin:$$PATH" $(PYNQ_VENV)/bin/python -m pytest -q tests/conformance -k pynq

bench: check-cxx $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf build .venv .venv-pynq .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
