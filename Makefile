# The environment, the pipeline, the tests. Needs Python 3.11, git and make.

PYTHON ?= python3.11
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro test clean

repro: .venv/ready
	dvc repro

test: .venv/ready
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .venv .semisynth
