PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check lint clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/installed        ## subclone a really pretrained model and show what came of it
	$(BIN)/python benchmarks/demo.py

test: .venv/installed        ## run the tests
	$(BIN)/python -m pytest -n 2

check: test lint             ## tests, lint and types

lint: .venv/installed        ## ruff, mypy, and the contracts of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

clean:
	rm -rf .venv demo-output
