# Every target starts with the virtual environment; the bootstrap says what it installs and asks
# before it uses sudo (ASSUME_YES=1 answers yes).
.DELETE_ON_ERROR:
.PHONY: venv drill test test-quick test-machines lint lock bench bench-verdicts bench-damage schema

RUN := .venv/bin
DEBUGINFO ?= 0

venv:
	@./bootstrap $(if $(filter 1,$(ASSUME_YES)),--yes)

drill: venv
	@$(RUN)/kautopsy drill $(if $(filter 1,$(DEBUGINFO)),--debuginfo)

test: venv lint
	@$(RUN)/pytest

test-quick: venv
	@$(RUN)/pytest -m 'not guest and not slow'

# A whole Debian from not ready, through arming, drills over its BMC and a rehearsal, and back.
test-machines: venv
	@KAUTOPSY_MACHINES=1 $(RUN)/pytest tests/machines

lint: venv
	@$(RUN)/ruff check
	@$(RUN)/ruff format --check
	@$(RUN)/mypy

schema: venv
	@$(RUN)/python -m kautopsy.model.schema docs/schema
	@$(RUN)/python -m kautopsy.shell.sql_schema

# The lock: every dependency of every extra, with its hashes and without an index's address.
lock: venv
	@$(RUN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    --all-extras --group dev pyproject.toml --output-file requirements.lock

bench: venv
	@for script in $(filter-out bench/verdicts.py bench/damage.py bench/one_word.py bench/fleet.py bench/fleet_http.py,$(wildcard bench/*.py)); do echo "== $$script"; $(RUN)/python $$script || exit 1; done

bench-verdicts: venv
	@$(RUN)/python bench/verdicts.py

# A thousand damaged dumps, then words and pages that the reports have read; takes about an hour of
# one core.
bench-damage: venv
	@$(RUN)/python bench/damage.py
	@$(RUN)/python bench/one_word.py --count 100

# Needs PostgreSQL for half of its figures; takes about ten minutes.
bench-fleet: venv
	@$(RUN)/python bench/fleet.py
	@$(RUN)/python bench/fleet_http.py
