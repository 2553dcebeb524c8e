# `make study` and `make test` do everything on a fresh machine that has make and Python 3.11 or newer.
# PYTHON=python3.12 make test  uses another Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
UV := $(shell command -v uv 2>/dev/null)
# A study needs no extras. Whoever has installed everything for the tests stays with that.
CORE := $(if $(wildcard $(VENV)/.installed),$(VENV)/.installed,$(VENV)/.core)

.PHONY: all study test lint types dist slow storm ssh soak clean docs

all: lint types test

study: $(CORE)
	$(BIN)/wsml-study run studies/rejection_rate.yaml

# Tests that start Ray run alone, one after another; all others in two processes, as many as the smallest machine has cores.
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --durations 12 --ignore tests/end_to_end
	$(BIN)/python -m pytest --durations 20 tests/end_to_end

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

# The wheel and the source distribution, in dist/.
dist: $(VENV)/.installed
	$(BIN)/hatchling build --clean

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

storm: $(VENV)/.installed
	$(BIN)/python -m pytest -m storm

ssh: $(VENV)/.installed
	$(BIN)/python -m pytest -m ssh

# The documentation as a site in build/site, which needs no network.
docs: $(VENV)/.installed
	$(BIN)/python -m docs.site.build

soak: $(VENV)/.installed
	$(BIN)/python benchmarks/many_trials.py --trials 1000

$(VENV)/.core: pyproject.toml constraints.txt
	$(call install,.)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call install,.[dev])

# uv where it is present; pip also knows registries that only its own configuration names. A module is compiled when it is
# first imported, and most of what torch and Ray bring never is; unless Python is told to keep nothing that it compiles.
UV_COMPILES := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
PIP_COMPILES := $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
define install
	$(PYTHON) -c 'import sys; v = sys.version_info; assert v >= (3, 11), f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(if $(UV),$(UV) pip install --quiet $(UV_COMPILES) --python $(BIN)/python --constraint constraints.txt --editable '$(1)' ||) \
	$(BIN)/pip install --quiet $(PIP_COMPILES) --disable-pip-version-check --constraint constraints.txt --editable '$(1)'
	touch $@
endef

clean:
	rm -rf $(VENV)
