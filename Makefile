# Two commands matter: `make run` and `make test`. Everything they need is set up on the way.
SHELL := /bin/bash
PY := .venv/bin/python
CARRIERS ?= deploy/local/carriers.yaml
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup run up down clean test lint lock contracts bench bench-routing

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: build/.python build/.tools ## everything that run and test need

# The packages, locked by hash. PyPI is found by the client's own settings.
build/.python: requirements.lock.txt pyproject.toml $(wildcard services/*/pyproject.toml) shared/pyproject.toml deploy/local/pyproject.toml
	@mkdir -p build
	@deploy/local/prepare.sh python
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check 'uv>=0.8'
	.venv/bin/uv pip sync -q --compile-bytecode --require-hashes requirements.lock.txt
	.venv/bin/uv pip install -q --no-deps --no-build-isolation --offline $(foreach p,shared services/ingest services/segmenter services/router services/smpp-connector services/dlr-processor services/analytics services/console deploy/local,-e $(p))
	@touch $@

# Java parts from Maven, PostgreSQL from Debian.
build/.tools: deploy/local/pom.xml deploy/local/prepare.sh
	@mkdir -p build
	@deploy/local/prepare.sh tools
	@touch $@

lock: ## lock the packages anew
	.venv/bin/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group pyproject.toml:dev \
	  pyproject.toml shared/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml $(foreach p,shared ingest segmenter router smpp-connector dlr-processor analytics console local,--no-emit-package relais-$(p)) -o requirements.lock.txt

lint: build/.python ## ruff, mypy, import-linter
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

LOCAL := $(PY) -m relais_local

run: setup ## start everything, send a campaign to a demo audience, stay up until Ctrl-C
	@$(LOCAL) run --carriers $(CARRIERS) $(if $(API_PORT),--port $(API_PORT))

up: setup ## start everything in the background (CARRIERS=file, API_PORT=number)
	@$(LOCAL) up --carriers $(CARRIERS) $(if $(API_PORT),--port $(API_PORT))

down: ## stop what `make up` started; the data stay
	@test ! -x $(PY) || $(LOCAL) down

clean: ## stop the stack and delete its data, keys and logs (.run)
	@if test -x $(PY); then $(LOCAL) clean; else rm -rf .run; fi

test: setup ## unit, contract and end-to-end tests, on real parts (ARGS='tests/unit -k word' for some of them)
	@$(if $(ARGS),.venv/bin/pytest -q $(ARGS),tests/run.sh)

contracts: build/.python ## write what is generated from the declarations: schemas, golden records, AsyncAPI, the picture
	$(PY) -m shared.contracts write
	$(PY) deploy/k8s/generate_topics.py write

bench-routing: setup ## the router's decisions a second with a million prices, and its timer table (ARGS="--rows 1000000")
	@$(PY) tests/bench/routing.py
	@$(PY) tests/bench/deferred_rows.py $(ARGS)

.PHONY: bench-codes
bench-codes: setup ## how long a one-time code takes to its carrier while bulk messages wait (ARGS="--bulk 100000 --tps 100")
	@$(PY) tests/bench/codes_beside_bulk.py $(ARGS)

bench: setup ## messages a second from the API to receipts in the ledger, CPU by process; writes .run/bench.json
	@$(PY) tests/bench/road.py $(ARGS)

# The warehouse's packages, apart from the services': dbt and pyiceberg have demands of their own.
WAREHOUSE := PYTHONPATH=deploy/warehouse/src build/warehouse/bin/python -m relais_warehouse
build/.warehouse: build/.python deploy/warehouse/requirements.lock.txt
	@test -x build/warehouse/bin/python || python3 -m venv build/warehouse
	@.venv/bin/uv pip sync -q --compile-bytecode --python build/warehouse/bin/python --require-hashes deploy/warehouse/requirements.lock.txt
	@touch $@

.PHONY: warehouse reconcile lock-warehouse
warehouse: build/.warehouse ## topics of the running stack into Iceberg tables, dbt's models and tests over them, a report
	@$(WAREHOUSE) run

reconcile: build/.warehouse ## is every accepted message accounted for? From topics alone (ARGS="--ledger postgresql://...")
	@$(WAREHOUSE) reconcile $(ARGS)

.PHONY: warehouse-connect
warehouse-connect: setup build/.warehouse ## Kafka Connect with the Iceberg sink for real, killed once: each record in the table once (minutes)
	@deploy/warehouse/kafka-connect/prepare.sh
	@$(PY) tests/jobs/warehouse_connect.py $(ARGS)

lock-warehouse: ## lock the warehouse's packages anew
	.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header deploy/warehouse/requirements.in -o deploy/warehouse/requirements.lock.txt

.PHONY: bench-truth
bench-truth: setup ## the ledger, callbacks and reports: figures with CPU by process
	@$(PY) tests/bench/ledger.py
	@$(PY) tests/bench/callbacks.py
	@$(PY) tests/bench/redirect.py
	@$(PY) tests/bench/reports.py

.PHONY: soak
soak: setup ## kill -9 a connector a hundred times under load; a checker looks for lost and repeated messages (KILLS=number)
	RELAIS_TEST_KILLS=$(or $(KILLS),100) .venv/bin/pytest -q -s tests/stack/smpp_connector/test_killed_connector.py $(ARGS)

.PHONY: bench-smpp
bench-smpp: setup ## the SMPP engine beside other libraries, then connectors with claims and Kafka; writes .run/bench-smpp*.json
	@$(PY) tests/bench/smpp.py $(ARGS)
	@$(PY) tests/bench/smpp_road.py $(ROAD_ARGS)

.PHONY: fuzz
fuzz: setup ## ten million spoilt inputs for whatever a carrier's octets reach first (ARGS="--inputs 1000000")
	@test -d build/fuzz/atheris || .venv/bin/pip install -q --disable-pip-version-check --no-deps --target build/fuzz/atheris 'atheris>=3,<4' \
	  || echo "no coverage-guided fuzzer for this Python: random damage only"
	@PYTHONPATH=build/fuzz/atheris $(PY) tests/fuzz $(ARGS)

.PHONY: bench-audience
bench-audience: setup ## import of a million contacts, then previews, plans and expansion over as many, in a PostgreSQL of its own (ARGS="100000 5")
	@$(PY) tests/bench/contacts.py $(firstword $(ARGS))
	@$(PY) tests/bench/audience.py $(ARGS)
