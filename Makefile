# `make demo` and `make test` do all set-up themselves, in .venv; nothing is installed outside this folder.
PYTHON ?= python3
VENV ?= .venv
RESOLUTION ?= highest
THREADS ?= 1
WORKERS ?= 2
BIN := $(VENV)/bin
TESTS := $(BIN)/python -m pytest -p no:cacheprovider -n $(WORKERS) --dist loadfile
# one thread each: the tests are small, and threads that wait for each other cost more than they bring
PYTEST := OMP_NUM_THREADS=1 $(TESTS)

.PHONY: help demo test test-all test-portable test-lowest lint types setup clean

help:
	@echo "make demo      train Vid-ODE for five minutes, rank it, draw it at 4x the frame rate"
	@echo "make test      the tests"
	@echo "make test-all  the slow tests too, style, types, and the tests with other processors' instructions, on two"
	@echo "               threads, in another order, and with the lowest allowed versions"

# threads that wait for each other awake would halve the speed of a machine that has anything else to do
demo: $(VENV)/.runtime
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m benchmarks.commands.demo

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev lint types
	$(PYTEST) --cov --cov-report=term
	$(MAKE) test-portable
	$(MAKE) test-lowest

# what older processors compute differs in the last digits, and so does a sum over two threads: no test may stand on them;
# nor on a test that ran before it
test-portable: $(VENV)/.dev
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(TESTS) -m "not slow" --reverse
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=2 $(TESTS) -m "not slow"

test-lowest:
	$(MAKE) test VENV=.venv-lowest RESOLUTION=lowest-direct

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

setup: $(VENV)/.dev

clean:
	rm -rf .venv .venv-lowest .tools

# uv reads the index from UV_INDEX_URL; where only pip knows it, pip installs
define install
	@echo "Installing into $(VENV) (the standard torch wheel is about 5 GB; see README for a smaller one)"
	@$(BIN)/uv pip install --python $(BIN)/python --resolution $(RESOLUTION) --editable '$(1)' \
	  || { test $(RESOLUTION) = highest && $(BIN)/python -m pip install --editable '$(1)'; }
	@touch $@
endef

$(VENV)/.runtime: pyproject.toml | $(BIN)/uv
	$(call install,.)

$(VENV)/.dev: pyproject.toml | $(BIN)/uv
	$(call install,.[dev])
	@touch $(VENV)/.runtime

# a Python without the venv module (Debian splits it off) makes its environment with uv, which pip can bring
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@if $(PYTHON) -m venv $(VENV) >/dev/null 2>&1; then :; else \
	  rm -rf $(VENV) .tools; \
	  $(PYTHON) -m pip install --quiet --target .tools uv \
	    && .tools/bin/uv venv --quiet --seed --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) \
	    || { echo "This Python has neither a working venv module nor pip; install one of them"; \
	         echo "(on Debian and Ubuntu: apt-get install python3-venv)."; exit 1; }; \
	fi
	@$(BIN)/python -m pip install --quiet uv
