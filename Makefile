# Needs python3 (3.11 or newer) and make; `make setup` does the rest inside .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
KILLS ?= 40
USERS ?= 8
FAN_OUT_KILLS ?= 200
SEED ?= 7

.PHONY: help setup run test test-slow browser lint fmt bench chaos lock clean

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(READY)  ## install exactly what requirements.lock names

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip check --disable-pip-version-check
	@touch $@

run: setup  ## the demo: real servers, real actors, a made-up market
	$(BIN)/shoal demo

test: setup  ## everything that takes minutes at most
	$(BIN)/pytest -n 2 -m "not slow and not cluster"
	$(BIN)/pytest -n 0 -m "not slow and cluster"

browser:  ## Chromium, in which tests open the HTML reports; without it they skip
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } || \
		{ echo "no Chromium, and it can only be installed by root with apt-get: install it and name it in CHROMIUM"; exit 1; }

test-slow: setup  ## what takes longer
	$(BIN)/pytest -n 2 -m slow --timeout 1800

lint: setup  ## style, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

fmt: setup  ## rewrite the sources in the agreed format
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

bench: setup  ## measure what the README states; some of it with ONLY="latency day"
	$(BIN)/python -m tests.benchmarks --json $(ONLY)

chaos: setup  ## kill processes at random and check the books
	$(BIN)/python -m tests.faults.chaos --kills $(KILLS) --users $(USERS) --seed $(SEED) --json
	$(BIN)/python -m tests.faults.fan_out --kills $(FAN_OUT_KILLS) --seed $(SEED) --json

lock:  ## resolve pyproject.toml anew into requirements.lock, with hashes
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header --all-extras \
		--output-file requirements.lock pyproject.toml

clean:  ## remove the environment and caches, not the state in .shoal
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
