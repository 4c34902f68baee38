# Needs Python 3.10 or newer and git; uses uv when it is there. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
# Where it is set, each of the tests' many processes would compile all modules anew: half as long again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
# One more than most machines have cores: processes of tests wait for each other.
JOBS ?= 3
python := .venv/bin/python
install = $(if $(shell command -v uv),uv pip install -q -p $(python),$(python) -m pip install -q --disable-pip-version-check)

PART ?= 1/1
OLDEST ?= 1/1
on_oldest =
quick = not slow and not long

.PHONY: help demo test slow long test-connectors registry faults faults-cluster lakes leaks fuzz guided-fuzz equality lint types layers docs site oldest pythons smoke lowest floor ci bench bench-growth bench-report bench-peers constraints audit format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '%-16s %s\n' "$$name" "$$what"; done

# --- set-up ---------------------------------------------------------------------------------------

.venv/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "dango needs Python 3.10 or newer: here $(PYTHON) is $$($(PYTHON) --version 2>&1 || true); name another one: make PYTHON=python3.12" >&2; exit 1; }
	@if command -v uv >/dev/null; then uv venv -q --seed --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv; \
	elif $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv --clear .venv; \
	else echo "this Python cannot make virtual environments: install the package python3-venv (Debian, Ubuntu), or uv" >&2; exit 1; fi
	@touch $@

.venv/.stamp-demo: .venv/.stamp-venv pyproject.toml constraints.txt
	$(install) -c constraints.txt -e .
	@touch $@

.venv/.stamp-dev: .venv/.stamp-venv pyproject.toml constraints.txt
	$(install) -c constraints.txt -e '.[dev,postgres]'
	@touch .venv/.stamp-demo $@

# Apart, since it is as large as all others together, and no quick test wants it.
.venv/.stamp-ray: .venv/.stamp-dev
	$(install) -c constraints.txt -e '.[ray]'
	@touch $@

.venv-oldest/.stamp: .venv/.stamp-dev constraints-oldest.txt
	$(python) -m venv --clear .venv-oldest
	$(if $(shell command -v uv),uv pip install -q -p .venv-oldest/bin/python,.venv-oldest/bin/python -m pip install -q --disable-pip-version-check) -c constraints-oldest.txt -e '.[dev,postgres]'
	@touch $@

# By the newest versions as everywhere, except DuckDB's; without them pip looks for some for many minutes.
.venv-lakes/.stamp: .venv/.stamp-dev constraints.txt
	$(python) -m venv --clear .venv-lakes
	sed '/^duckdb=/d' constraints.txt > .venv-lakes/constraints.txt
	$(if $(shell command -v uv),uv pip install -q -p .venv-lakes/bin/python,.venv-lakes/bin/python -m pip install -q --disable-pip-version-check) -c .venv-lakes/constraints.txt -e '.[dev,postgres,ray]' $(lakes)
	@touch $@

# --- a first look ---------------------------------------------------------------------------------

define demo_sql
select 'penguins: mean body mass of a ' || species as what, round(avg(body_mass_g))::bigint || ' g' as answer
  from raw_penguins.penguins where body_mass_g is not null group by species
union all
select 'packages installed', count(*)::varchar from raw_installed_packages.packages
union all
(select 'commits that changed ' || path, count(*)::varchar
  from raw_git_history.commits__files group by path order by count(*) desc, path limit 5)
endef
export demo_sql

demo: .venv/.stamp-demo ## load this root's own sources, load them again, ask the warehouse
	$(python) -m dango sync
	@echo; echo 'Again: what is loaded already is not loaded twice.'
	$(python) -m dango sync
	@echo; $(python) -c 'import duckdb, os; duckdb.connect("data/warehouse.duckdb", read_only=True).sql(os.environ["demo_sql"]).show(max_width=110)'

# --- checks ---------------------------------------------------------------------------------------

test: .venv/.stamp-dev ## the quick tests
	$(python) -m pytest -n $(JOBS) --dist loadgroup -m '$(quick)'

# PART=1/2: a half of them.
slow: .venv/.stamp-ray ## the slow tests; PART=1/2
	$(python) -m pytest -n $(JOBS) --dist loadgroup -m 'slow and not long' --part $(PART)

long: .venv/.stamp-dev ## the tests that `make ci` leaves out
	$(python) -m pytest -n $(JOBS) --dist loadgroup -m long

test-connectors: .venv/.stamp-dev ## connectors of other frameworks, unmodified, each in its own environment
	$(python) -m pytest -n $(JOBS) $(wildcard tests/connectors/test_singer*.py) tests/connectors/test_foreign.py \
		$(foreach world,airbyte datahub openmetadata vdk,tests/connectors/test_$(world).py) tests/test_environments.py

# ONLY="stripe github": these rows alone are written anew.
registry: .venv/.stamp-dev ## check every entry of the registry, and write docs/sources/STATUS.md; ONLY="stripe github"
	$(python) -m tests.registry.status $(ONLY) -n $(JOBS)

faults: .venv/.stamp-dev ## kill three hundred syncs, and look for rows that are lost or doubled
	FAULTS=300 $(python) -m pytest -n $(JOBS) tests/faults/test_kills.py

fuzz: .venv/.stamp-dev ## ten thousand files that no project should have
	FUZZ=10000 $(python) -m pytest -n $(JOBS) tests/test_fuzz.py

# Atheris has wheels for Linux alone. TARGET=lines: this one alone.
TARGET ?= lines yaml_edits toml_edits templates moments conditions
SECONDS ?= 60
guided-fuzz: .venv/.stamp-dev ## look for inputs that reach what no other has reached, a minute for each reader; SECONDS=600
	for target in $(TARGET); do echo "$$target:"; \
		$(python) -m uv run -q --isolated --no-project --python $(python) --with atheris --with-editable . -- python -m tests.guided_fuzz $$target $(SECONDS); done

# SEED: the same again.
faults-cluster: .venv/.stamp-ray ## lose workers, nodes, daemons and drivers of a Ray cluster, fifty times
	CLUSTER_KILLS=50 $(if $(SEED),CLUSTER_SEED=$(SEED)) $(python) -m pytest tests/cluster/test_lost_machines.py

# DuckDB's extensions come as packages for some of its versions only, and not yet for the newest.
lakes := deltalake 'pyiceberg[sql-sqlite]' duckdb==1.5.5 $(addprefix duckdb-,extensions==1.5.5 extension-ducklake==1.5.5 extension-postgres-scanner==1.5.5)
lakes: .venv-lakes/.stamp ## Delta, Iceberg and DuckLake as destinations of a cluster, in an environment of their own
	.venv-lakes/bin/python -m pytest tests/cluster/test_lakes.py

leaks: .venv/.stamp-dev ## plant secrets in every place, make everything fail, and look for them everywhere
	LEAKS=2,3,4 $(python) -m pytest -n $(JOBS) tests/faults/test_leaks.py

equality: .venv/.stamp-dev ## documents by columns against dlt's own code, a hundred thousand of them
	EQUALITY=1000 $(python) -m pytest tests/columnar/test_equality.py tests/columnar/test_rules.py

lint: .venv/.stamp-dev ## format and style
	$(python) -m ruff format --check .
	$(python) -m ruff check .

types: .venv/.stamp-dev ## types
	$(python) -m mypy

layers: .venv/.stamp-dev ## who may import whom
	.venv/bin/lint-imports --no-logo

docs: .venv/.stamp-dev ## write what is generated of the documentation (that it is fresh is a part of `test`)
	WRITE_DOCS=1 $(python) -m pytest -q -m 'not slow' tests/test_docs.py tests/test_sources_yml_page.py tests/test_coming_over_page.py tests/test_source_pages.py

site: .venv/.stamp-dev ## build the documentation as a site with search, in build/site
	NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build --strict

oldest: .venv-oldest/.stamp ## the quick tests with the oldest versions that pyproject.toml allows
	.venv-oldest/bin/python -m pytest -q -n $(JOBS) --dist loadgroup -m '$(quick)' --part $(OLDEST) $(on_oldest)

# ONLY=3.12: this Python alone.
pythons: .venv/.stamp-dev ## the quick tests with every Python here, on the wheel; ONLY=3.12
	$(python) tests/pythons.py $(if $(ONLY),--only $(ONLY)) -n $(JOBS) --dist loadgroup -m '$(quick)'

lowest: .venv/.stamp-dev ## the same with the lowest versions that pyproject.toml allows, found anew
	$(python) tests/pythons.py --lowest $(if $(ONLY),--only $(ONLY)) -n $(JOBS) --dist loadgroup -m '$(quick)'

# What depends on Python itself: annotations, imports, processes, tracebacks, types.
touchy := tests/test_api.py tests/sources/test_arguments.py tests/sources/test_describe.py tests/sources/test_imports.py tests/workers/test_processes.py
smoke: .venv/.stamp-dev ## a few of them, with the other Pythons
	$(python) tests/pythons.py --others -n $(JOBS) --dist loadgroup -m '$(quick)' $(touchy)

# Not in `ci`: measured, each of the tests' many processes takes half as long again.
floor: .venv/.stamp-dev ## the quick tests, and how much of the code they run
	$(python) -m coverage erase
	$(python) -m pytest -n $(JOBS) --dist loadgroup -m '$(quick)' --cov --cov-report=
	$(python) -m coverage report

# By the oldest versions those tests in which dlt, DuckDB or Arrow does something; `make oldest` runs all.
ci: on_oldest = $(addprefix tests/,columnar connectors custom_sources dlt_internals load sources stored workers) \
	$(foreach name,cursor preview sync tables,tests/cli/test_$(name).py) \
	$(foreach name,api bad_input eject external jobs removal schema_contract secrets_isolation startup swap,tests/test_$(name).py)
# Of these one third, and of the slow tests one twelfth, by turns: which, tells the number of commits. `make slow` runs all.
turn = $(shell echo $$(( $$(git rev-list --count HEAD 2>/dev/null || echo 0) % $(1) + 1 ))/$(1))
ci: OLDEST = $(call turn,3)
ci: PART = $(call turn,12)
ci: lint types layers test slow oldest smoke ## everything that must hold before a change lands

# --- how fast it is -------------------------------------------------------------------------------

# ONLY="csv_duckdb help": these jobs (`python -m bench list`); ARGS="--scale 0.01": a try, kept apart from the results.
ONLY ?=
ARGS ?=

bench: .venv/.stamp-dev ## measure every job beside its reference (hours); ONLY="csv_duckdb help", ARGS="--scale 0.01"
	$(python) -m bench run $(ONLY) $(ARGS)

bench-growth: .venv/.stamp-dev ## measure with more and more rows, for the plots (hours)
	$(python) -m bench growth $(ONLY) $(ARGS)

bench-report: .venv/.stamp-dev ## write docs/PERFORMANCE.md from what was measured
	$(python) -m bench report

bench-peers: .venv/.stamp-dev ## install what the bench compares with, in environments of their own
	$(python) -m bench peers

# --- upkeep ---------------------------------------------------------------------------------------

format: .venv/.stamp-dev ## put the code into shape
	$(python) -m ruff check -q --fix --exit-zero .
	$(python) -m ruff format .

# Ray wants newer packages than dango does: on a cluster the newest alone are tested.
all_but_ray = $(shell sed -n '/^\[project.optional-dependencies\]/,/^$$/s/^\([a-z0-9]*\) = .*/--extra \1/p' pyproject.toml | grep -v ' ray$$')
constraints: .venv/.stamp-dev ## constraints anew: the newest versions, and the oldest that are allowed
	$(python) -m uv pip compile -q --universal --upgrade --python-version 3.10 --all-extras --no-annotate --no-header -o constraints.txt pyproject.toml
	$(python) -m uv pip compile -q --universal --resolution lowest-direct --python-version 3.10 $(all_but_ray) --no-annotate --no-header -o constraints-oldest.txt pyproject.toml

# Not in `ci`: what is known of versions has to be asked for over the network.
audit: .venv/.stamp-dev ## ask for known vulnerabilities of the versions that the tests run with
	$(python) -m uv tool run pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean: ## remove what the targets above made; data/ and .dango/ stay
	rm -rf .venv .venv-oldest .venv-lakes .pythons build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache bench/.data bench/.peers
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
