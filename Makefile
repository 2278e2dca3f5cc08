PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Workers that share the tests. One of them has the browser.
JOBS   ?= 2

.PHONY: install viewer screenshots test lint demo bench docs lock clean

install: $(VENV)/.run

# What `install` does already when it has network: OHIF, htmx and the font (hatch_build.py).
viewer: $(VENV)/.run
	$(BIN)/python hatch_build.py

test: $(VENV)/.test lint
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --no-loadscope-reorder

lint: $(VENV)/.test
	$(BIN)/ruff check src tests bench hatch_build.py
	$(BIN)/ruff format --check src tests bench hatch_build.py
	$(BIN)/lint-imports
	$(BIN)/mypy

demo: $(VENV)/.run
	$(BIN)/python -m leadglass.cli.demo

bench: $(VENV)/.bench
	$(BIN)/python -m bench

screenshots: $(VENV)/.test
	$(BIN)/python -m pytest tests/browser/screenshots.py

docs: $(VENV)/.run
	$(BIN)/python -m leadglass.cli.conformance > docs/conformance-statement.md

# Every environment is installed from a lock with hashes; the project itself is linked in without asking an index.
$(VENV)/.%: requirements/%.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/$*.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock:
	uv pip compile -q pyproject.toml requirements/build.in --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements/run.txt
	uv pip compile -q pyproject.toml requirements/build.in --group test -c requirements/run.txt --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements/test.txt
	uv pip compile -q pyproject.toml requirements/build.in --group test --group bench -c requirements/run.txt --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -o requirements/bench.txt

clean:
	rm -rf $(VENV) build dist
