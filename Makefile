# Two commands do everything, set-up included:  make reproduce [EFFORT=quick|full]   and   make test
PYTHON ?= python3
EFFORT ?= quick
OUT ?= out
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

LOWEST := .venv-lowest
TESTS ?= tests

.PHONY: help reproduce measure test test-all browser test-browser lowest lint pages docs clean
.DEFAULT_GOAL := help

help:
	@echo "make reproduce [EFFORT=quick|full] [OUT=out]   figures, paper checks and report"
	@echo "make measure [OUT=out]                         the same at EFFORT=full, kept in the checkout for quick runs"
	@echo "make test                                      the tests"
	@echo "make test-all                                  slow tests too, with many more examples, and all faults"
	@echo "make browser                                   headless Chromium, by apt-get; test-browser looks at pages in it"
	@echo "make lowest [TESTS=tests]                      the tests on the lowest versions that pyproject.toml allows"
	@echo "make lint                                      ruff and mypy"
	@echo "make pages                                     every page that is made from code"
	@echo "make docs [OUT=out]                            the documentation as a site, OUT/site/html"

# what `make reproduce` needs is installed first, and everything else adds to it
$(INSTALLED)-%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@

$(INSTALLED)-dev: $(INSTALLED)-reproduce
$(INSTALLED)-site: $(INSTALLED)-reproduce
$(INSTALLED)-browser: $(INSTALLED)-dev

reproduce: $(INSTALLED)-reproduce
	$(BIN)/python -m analysis.reproduce --effort $(EFFORT) --out $(OUT)

# everything at full effort; what it measures of trained models is kept in this checkout, for quick runs
measure: $(INSTALLED)-reproduce
	$(BIN)/python -m analysis.reproduce --effort full --keep --out $(OUT)

test: $(INSTALLED)-dev
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n 2 -q

# the long tail as well: tests that are marked slow, many more examples of every law, and all faults
test-all: $(INSTALLED)-dev
	OMP_NUM_THREADS=1 MPLBACKEND=Agg HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 -q -m ""
	$(BIN)/python -m analysis.faults

browser:
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) || \
	 (echo "Chromium cannot be installed here: pages are not tested in a browser" >&2; exit 1)

# pages in headless Chromium; they are skipped, with the reason, where there is none
test-browser: $(INSTALLED)-browser
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -q -m browser tests/browser

# by uv, as pip cannot choose the lowest versions; Python's own deprecations are about code of those versions
$(LOWEST)/.installed: pyproject.toml
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[dev]'
	touch $@

lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 MPLBACKEND=Agg PYTEST_ADDOPTS='-W ignore::DeprecationWarning' \
	 $(LOWEST)/bin/python -m pytest -n 2 -q $(TESTS)

lint: $(INSTALLED)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pages: $(INSTALLED)-dev
	$(BIN)/python -m paper_checks --page
	$(BIN)/python -m paper_checks --verdicts
	$(BIN)/python -m figures --page
	$(BIN)/python -m analysis.contents
	$(BIN)/python -m analysis.tables --page
	$(BIN)/python -m analysis.memory --page
	$(BIN)/python -m analysis.tour

docs: $(INSTALLED)-site
	$(BIN)/python -m analysis.site --out $(OUT)/site

clean:
	rm -rf out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
