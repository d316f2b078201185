# Doorstep on a machine with git, make and Python 3.12 or newer. `make` alone says what there is.
# The work is in .ci/: venv (Python packages by lock file), pages (web pages), chromium (for the end-to-end tests).

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
DATA_DIR := $(or $(DOORSTEP_DATA_DIR),.doorstep)
PORT ?= 8080

DEMO_OPTIONS = --port $(PORT) $(if $(FRESH),--fresh) $(if $(TECHNICIANS),--technicians $(TECHNICIANS)) \
	$(if $(SPEED),--speed $(SPEED)) $(if $(TRACES),--traces '$(TRACES)')

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check pages format lock clean

help: ## What can be made
	@printf '\nDoorstep\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s%s\n", $$1, $$2 }' Makefile
	@printf '\n  make demo takes PORT=8080 FRESH=1 TECHNICIANS=40 SPEED=5 TRACES=app/city/traces\n\n'

demo: ## The whole of Doorstep on one screen, with phones driving through Baltimore
	@.ci/venv run
	@.ci/pages
	@exec $(BIN)/doorstep demo $(DEMO_OPTIONS)

test: ## Every test, with a real PostgreSQL, Valkey and Chromium
	@.ci/venv dev
	@.ci/pages
	@.ci/chromium
	@exec $(BIN)/pytest -n 2 --dist loadgroup -m 'not slow' $(PYTEST_OPTIONS)

test-long: ## The tests of `make test` and the slow ones
	@.ci/venv dev
	@.ci/pages
	@.ci/chromium
	@exec $(BIN)/pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS)

check: ## Format, lint, types, floors and unit tests, in under a minute
	@.ci/venv dev
	@$(BIN)/ruff format --check --quiet . || { echo 'Not formatted: run `make format`.' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >.venv/floors.log || { cat .venv/floors.log; exit 1; }
	@if [ -d pages/node_modules ]; then cd pages && npm run --silent check; fi
	@exec $(BIN)/pytest -q tests/unit

pages: ## Build the web pages
	@.ci/venv run
	@.ci/pages

format: ## Format the code and fix what can be fixed
	@.ci/venv dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Resolve the lock files anew, with hashes and no addresses
	@.ci/venv dev
	@.ci/lock

clean: ## Remove all that was built or installed here; the demo's data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info \
		pages/node_modules pages/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
