# `make` alone lists the targets. Everything runs from .venv, which is made on first use.
PYTHON ?= python3
VENV   := .venv
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

# An interpreter of one version, such as 3.10, that can make environments: on PATH or of pyenv; empty if there is none.
interpreter = $(firstword $(shell for python in python$(1) $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$(1).*/bin/python; do \
  $$python -c 'import venv, ensurepip' >/dev/null 2>&1 && echo $$python; done))
PYTHON_TESTS := $(addprefix test-python,3.10 3.11 3.12 3.13)

.PHONY: help demo test test-full test-pythons $(PYTHON_TESTS) test-pynq test-pynq3 test-pynq4 sim bench lint clean
.PHONY: check-python check-cxx check-perl

help:
	@echo "make demo       train a small CNN on handwritten digits on the simulated accelerator (RTL in Verilator)"
	@echo "make test       the tests; make test-full adds those that take minutes each"
	@echo "make test-pynq  the tests of the PYNQ driver, with pynq 3.1 (where there is Python 3.10) and pynq 4"
	@echo "make test-pythons  the tests that simulate little, on each Python of 3.10 to 3.13 that is found"
	@echo "make sim        training steps of the RTL in cocotb, in Verilator; SIM=icarus: in Icarus Verilog"
	@echo "make bench      measure and print the figures that the documentation quotes"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove build/, caches and .venv"

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (Python 3.10 or newer; or make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "too old: $$($(PYTHON) --version); Python 3.10 or newer is needed (make PYTHON=/path/to/python3)"; exit 1; }
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
	@$(MAKE) --no-print-directory test-pythons

test-pythons: $(PYTHON_TESTS)

.venv-3.%/.installed: pyproject.toml setup.py
	$(call interpreter,3.$*) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --editable '.[data]' 'pytest>=8,<10' 'pytest-xdist>=3.7,<4' 'hypothesis>=6.100,<7'
	@touch $@

$(PYTHON_TESTS): test-python%: check-cxx
	$(if $(call interpreter,$*),@$(MAKE) --no-print-directory .venv-$*/.installed)
	$(if $(call interpreter,$*),PATH="$(CURDIR)/.venv-$*/bin:$$PATH" .venv-$*/bin/python -m pytest -q -n $(JOBS) \
	  tests/graph tests/golden tests/numerics tests/compiler tests/test_*.py tests/conformance,\
	  @echo "no Python $* was found: its tests are left out")

# pynq wants older versions of NumPy and gRPC than the rest needs: environments of their own, with the Python and the
# NumPy of the boards' images. pynq 4 takes another Python where there is no 3.12.
test-pynq: test-pynq3 test-pynq4

.venv-pynq3/.installed .venv-pynq4/.installed: pyproject.toml setup.py | check-python
	$(PYNQ_PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --editable '.[pynq]' '$(PYNQ)' 'pytest>=8,<10'
	$(@D)/bin/python -m pip install --quiet --no-deps '$(IMAGE_NUMPY)'
	@touch $@

test-pynq3: PYNQ_PYTHON = $(call interpreter,3.10)
test-pynq3: PYNQ := pynq<4
test-pynq3: IMAGE_NUMPY := numpy==1.21.5
test-pynq4: PYNQ_PYTHON = $(or $(call interpreter,3.12),$(PYTHON))
test-pynq4: PYNQ := pynq>=4
test-pynq4: IMAGE_NUMPY := numpy==1.26.4

test-pynq3: check-cxx check-perl $(if $(call interpreter,3.10),.venv-pynq3/.installed)
test-pynq4: check-cxx check-perl .venv-pynq4/.installed
test-pynq3 test-pynq4: test-pynq%:
	$(if $(PYNQ_PYTHON),PATH="$(CURDIR)/.venv-pynq$*/bin:$$PATH" .venv-pynq$*/bin/python -m pytest -q tests/conformance -k pynq,\
	  @echo "no Python 3.10 was found: the tests under pynq 3.1 are left out")

# cocotb's variable; empty is Verilator.
export SIM ?=

sim: check-cxx check-perl $(VENV)/.installed-test
	$(BIN)/python -m sim

bench: check-cxx $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf build .venv .venv-* .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
