PYTHON ?= python3
BIN := .venv/bin

CASES ?= 5000
SEED ?= 1

.PHONY: demo test check lint fuzz clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/installed        ## subclone a really pretrained model and show what came of it
	$(BIN)/python benchmarks/demo.py

test: .venv/installed        ## run the tests
	$(BIN)/python -m pytest -n 2

fuzz: .venv/installed        ## change every kind of file, recipe and option at random: CASES=5000 SEED=1
	$(BIN)/python -m tests.attacks.fuzz --cases $(CASES) --seed $(SEED)

check: test lint             ## tests, lint and types

lint: .venv/installed        ## ruff, mypy, and the contracts of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

clean:
	rm -rf .venv demo-output
