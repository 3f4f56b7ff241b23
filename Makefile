# make book | test | lab | pdf | lint | lock | clean
# Variables: CORPUS and PROFILE (of all pages; else each has its own), DATA (folder of a corpus on
# disk), SKIP_DAMAGED (yes: leave damaged utterances out), PORT (of JupyterLab), PYTHON, CHROMIUM

CORPUS ?=
PROFILE ?=
DATA ?=
SKIP_DAMAGED ?=
PORT ?= 8888
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

BIN := .venv/bin
READY := .venv/.ready
PAGES := book/_build/html/index.html
PDF := book/_build/report.pdf
export REPLICATE_CORPUS := $(CORPUS)
export REPLICATE_PROFILE := $(PROFILE)
export REPLICATE_DATA := $(DATA)
export REPLICATE_SKIP_DAMAGED := $(SKIP_DAMAGED)
# commands started here find the environment's own programs
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: book test lab pdf lint lock clean
.DEFAULT_GOAL := book

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $@

book: $(READY)
	jupyter-book build book/
	@echo
	@echo "The report: file://$(CURDIR)/$(PAGES)"

test: $(READY)
	python -m pytest

lab: $(READY)
	jupyter lab --port $(PORT) --notebook-dir . notebooks

pdf: $(READY)
	@test -n "$(CHROMIUM)" || { echo "make pdf needs Chromium; CHROMIUM=path names one"; exit 1; }
	jupyter-book build book/ --builder singlehtml
	@rm -f $(PDF).new
	"$(CHROMIUM)" --headless --no-sandbox --disable-gpu --window-size=700,1000 \
	  --no-pdf-header-footer --generate-pdf-document-outline --virtual-time-budget=60000 \
	  --print-to-pdf=$(PDF).new \
	  "file://$(CURDIR)/book/_build/singlehtml/intro.html" >$(PDF).log 2>&1 || true
	@head -c 5 $(PDF).new 2>/dev/null | grep -q '^%PDF-' || { tail -n 5 $(PDF).log; \
	  echo "$(CHROMIUM) printed nothing, see $(PDF).log; CHROMIUM=path names another"; exit 1; }
	@mv $(PDF).new $(PDF)
	@echo "The report: $(CURDIR)/$(PDF)"

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -q tests/test_project.py -k notebooks

# needs uv; every platform's files, and nothing of this machine's own package sources
lock:
	uv pip compile pyproject.toml --no-config --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --upgrade --output-file requirements.lock

# of what lies in book/notebooks, only pages that a build wrote and nobody has changed
clean: $(READY)
	jupyter-book clean --all book/
	python -m replicate.report.sealed book/notebooks
