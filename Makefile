# Every target starts with the virtual environment; the bootstrap says what it installs and asks
# before it uses sudo (ASSUME_YES=1 answers yes).
.DELETE_ON_ERROR:
.PHONY: venv drill test test-quick lint bench schema

RUN := .venv/bin
DEBUGINFO ?= 0

venv:
	@./bootstrap $(if $(filter 1,$(ASSUME_YES)),--yes)

drill: venv
	@$(RUN)/kautopsy drill $(if $(filter 1,$(DEBUGINFO)),--debuginfo)

test: venv lint
	@$(RUN)/pytest

test-quick: venv
	@$(RUN)/pytest -m 'not guest'

lint: venv
	@$(RUN)/ruff check
	@$(RUN)/ruff format --check
	@$(RUN)/mypy

schema: venv
	@$(RUN)/python -m kautopsy.model.schema

bench: venv
	@for script in bench/*.py; do $(RUN)/python $$script || exit 1; done
