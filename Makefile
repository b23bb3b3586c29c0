# Everything a developer types; each target sets itself up (scripts/uv) and needs only Python 3.11+.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# More words for the command behind a target: make test ARGS="tests/unit -k conditions"
ARGS ?=
# Test processes; each starts a Postgres and a Temporal server of its own.
JOBS ?= 2

RUN := scripts/uv run --no-sync

.PHONY: help setup demo dev test check fmt record-histories bench chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## Install the locked dependencies into .venv (every target does it by itself)
	@if [ -x .venv/bin/python ]; then scripts/uv sync --locked --quiet; \
	else echo 'Installing the locked dependencies into .venv …' >&2; \
	  scripts/uv sync --locked --compile-bytecode; fi

demo: setup ## Watch one SQL UPDATE become a delivered email and SMS
	@$(RUN) fixlify demo $(ARGS)

dev: setup ## Run the whole stack here: Postgres, Temporal with its Web UI, worker, mail and SMS capture
	@$(RUN) fixlify dev $(ARGS)

test: setup ## Run the tests: make test ARGS="tests/unit -k conditions"
	@$(RUN) pytest -n $(JOBS) --dist worksteal $(ARGS)

check: setup ## Lint, formatting, types, and who may import whom
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports --no-logo

fmt: setup ## Fix what the linter can fix and format the code
	@$(RUN) ruff check --fix-only .
	@$(RUN) ruff format .

record-histories: setup ## Record workflow histories from the real server for the replay tests
	@$(RUN) python -m tests.replay.record $(ARGS)

bench: setup ## Measure everything and write docs/benchmarks.md; under five minutes and no page: ARGS=--quick
	@scripts/uv sync --locked --quiet --group peers
	@$(RUN) python -m benchmarks.run $(ARGS)

chaos: setup ## Break everything while it works, and look for what was lost: make chaos ARGS="--seed 7 --minutes 2"
	@$(RUN) python -m benchmarks.chaos $(ARGS)

clean: ## Remove .venv, .build and caches; the data in .fixlify stays
	@rm -rf .venv .build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
