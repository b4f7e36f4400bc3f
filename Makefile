# Needs only Python 3.10 or newer, gcc, g++, cmake and make; every target does its own set-up, once.
PYTHON ?= python3
IN = .venv/bin/python
PIP = $(IN) -m pip install --quiet --constraint constraints.txt
KENLM_VERSION = 0.3.0

.DEFAULT_GOAL := help
.PHONY: help demo docs screenshot test test-wheel test-oldest arm64-check arm64-root check lint kenlm-tools clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9-]+):.*## /  make \1|/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST))
	@echo '  make recipe, make model-card, ...: reference/recipes/figures.mk'

demo: .venv/.cpu ## transcribe the sample clips with the default bundle (no torch)
	@$(IN) -m edgespeech.demo.showcase

docs: .venv/.docs ## build the documents and the API reference as a site in work/site; a broken link fails
	$(IN) -m edgespeech.demo.reference_page docs/reference/command-line.md
	$(IN) -m mkdocs build --strict
	@echo "work/site/index.html"

screenshot: .venv/.cpu ## draw the live view of README.md again (docs/live.svg)
	@$(IN) -m edgespeech.demo.live.screenshot docs/live.svg

test: lint ## style, types and the quick tests
	$(IN) -m pytest -q -m "not slow"

test-wheel: .venv/.all ## build the wheel and the source distribution, install the wheel elsewhere and transcribe with it
	rm -rf work/dist work/wheel-test
	$(IN) -m build --quiet --outdir work/dist .
	$(IN) -m venv work/wheel-test
	work/wheel-test/bin/python -m pip install --quiet --constraint constraints.txt "$$(ls work/dist/*.whl)[cpu]"
	cd work/wheel-test && bin/edgespeech transcribe "$$(bin/python -c 'import edgespeech.runtime as r; print(*r.__path__)')/sample_clips/librispeech-1737-146161-0017.opus"

# uv finds the oldest release of each library that has a wheel for this Python; kenlm has none.
OLDEST = work/oldest
test-oldest: .venv/.all ## the tests of the runtime with the oldest libraries that pyproject.toml allows (PYTHON=)
	$(IN) -m tests.tiny_models work/tiny_bundles
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --only-binary :all: \
		--no-binary kenlm --requirements pyproject.toml --extra cpu
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python --no-deps .
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python pytest hypothesis
	$(IN) -m uv pip list --quiet --python $(OLDEST)/bin/python | grep -E '^(onnxruntime|numpy|msgspec|soxr|click) '
	EDGESPEECH_TINY_BUNDLES=work/tiny_bundles $(OLDEST)/bin/python -m pytest -q -o filterwarnings=default -p no:cacheprovider \
		-m "not slow" tests/runtime --ignore tests/runtime/live/test_virtual_microphone.py

# An arm64 Debian, made once in half a minute; qemu emulates the processors. tests/arm64/root.sh names the packages.
ARM64 = work/arm64/debian
arm64-check: $(ARM64)/.libraries ## doctor, sample clips and the runtime tests on emulated Arm processors (root, Debian; SHORT=1)
	@tests/arm64/root.sh ready
	tests/arm64/root.sh project $(ARM64)
	$(IN) -m tests.arm64.check $(ARM64) $(if $(SHORT),--short)

arm64-root: $(ARM64)/.libraries

$(ARM64)/.system: tests/arm64/root.sh
	@tests/arm64/root.sh ready
	tests/arm64/root.sh system $(ARM64)
	@touch $@

$(ARM64)/.libraries: pyproject.toml constraints.txt $(ARM64)/.system | .venv/.all work/kenlm/source/setup.py
	tests/arm64/root.sh libraries $(ARM64)
	@touch $@

check: lint ## style, types and all tests
	$(IN) -m pytest -q

lint: .venv/.all ## style and types
	$(IN) -m ruff check .
	$(IN) -m ruff format --check .
	$(IN) -m mypy
	$(IN) -m mypy tests

kenlm-tools: work/kenlm/bin/lmplz ## build lmplz and build_binary (needs Boost, see CONTRIBUTING.md)

# The recipe of the default model and the figures of the documents: make recipe, make model-card and so on.
include reference/recipes/figures.mk

clean: ## remove the environment and what tools left behind; work/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./work -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "edgespeech needs Python 3.10 or newer; set PYTHON")'
	$(PYTHON) -m venv .venv

.venv/.cpu: pyproject.toml constraints.txt | .venv/.kenlm
	$(PIP) --editable '.[cpu]'
	@touch $@

# What a demo needs is installed here too.
.venv/.all: pyproject.toml constraints.txt | .venv/.kenlm
	$(PIP) --editable '.[cpu,mic,media,export,train,report,dev]'
	@touch .venv/.cpu $@

.venv/.docs: pyproject.toml constraints.txt | .venv/.cpu
	$(PIP) --editable '.[cpu,docs]'
	@touch $@

# Since Python 3.13 the C++ that kenlm 0.3.0 carries no longer compiles; a newer Cython writes it again.
.venv/.kenlm: | .venv/bin/python
	@if $(IN) -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then $(MAKE) --no-print-directory kenlm-module; fi
	@touch $@

.PHONY: kenlm-module
kenlm-module: work/kenlm/source/setup.py
	$(PIP) cython
	$(IN) -m cython -3 --cplus work/kenlm/source/python/kenlm.pyx -o work/kenlm/source/python/kenlm.cpp
	$(PIP) ./work/kenlm/source

work/kenlm/bin/lmplz: work/kenlm/source/setup.py
	cmake -S work/kenlm/source -B work/kenlm/build -DCMAKE_BUILD_TYPE=Release -DENABLE_INTERPOLATE=OFF
	cmake --build work/kenlm/build --parallel 2 --target lmplz build_binary query
	rm -rf work/kenlm/bin
	mv work/kenlm/build/bin work/kenlm/bin
	touch $@

work/kenlm/source/setup.py: | .venv/bin/python
	rm -rf work/kenlm/source
	mkdir -p work/kenlm/source
	$(IN) -m pip download --quiet --no-binary kenlm --no-deps --dest work/kenlm kenlm==$(KENLM_VERSION)
	tar -xmf work/kenlm/kenlm-$(KENLM_VERSION).tar.gz -C work/kenlm/source --strip-components 1
