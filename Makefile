# One line each. ARGS goes to the command, for instance: make demo ARGS=--exit
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check docs histories soak bench clean

.venv/.product: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -c constraints.txt -e . && touch $@

.venv/.test: .venv/.product
	$(BIN)/pip install -q -c constraints.txt -e '.[test]' && touch $@

demo: .venv/.product
	$(BIN)/als demo $(ARGS)

test: .venv/.test
	bash tests/browser-setup.sh && bash tests/slurm-setup.sh && $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/.test
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

docs: .venv/.test
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]' && $(BIN)/mkdocs build --strict

histories: .venv/.test
	ALS_SOAK_STEPS=10000 $(BIN)/pytest tests/soak/test_histories.py -q $(ARGS)

soak: .venv/.test
	ALS_SOAK_STEPS=100000 $(BIN)/pytest tests/soak/test_histories.py -q $(ARGS) && $(BIN)/als soak

.venv/.bench: .venv/.test
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]' && touch $@

bench: .venv/.bench
	for b in benchmarks/*.py; do $(BIN)/python $$b || exit 1; done

clean:
	rm -rf .venv .als .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis site als_assets.egg-info
