# `make demo` needs Python 3.10 or newer with venv, and make; the other targets need gcc, g++ and cmake too. Every target
# does its own set-up, once.
PYTHON ?= python3
IN = .venv/bin/python
PIP = $(IN) -m pip install --progress-bar off --constraint constraints.txt
# Shows what a long command does: a line at least every eight seconds.
STEP = @$(IN) .ci/step.py
KENLM_VERSION = 0.3.0

.DEFAULT_GOAL := help
.PHONY: lock audit bill crash soak
.PHONY: help demo docs screenshot test test-runtime test-wheel wheels test-oldest fuzz fuzz-long fuzz-guided debian-check arm64-check arm64-root check \
	lint web-types web-hour kenlm-tools kenlm-tools-if-possible clean

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

test: lint kenlm-tools-if-possible ## style, types and the quick tests
	@echo 'quick tests: some minutes; at the end, why tests were skipped ...'
	$(IN) -m pytest -q -rs -m "not slow" -n 2

test-runtime: .venv/.runtime-tests ## the tests of the runtime, without torch (two minutes of CPU time, on two cores)
	@echo 'tests of the runtime: two minutes of CPU time, on two cores; at the end, why tests were skipped ...'
	$(IN) -m pytest -q -rs -m "not slow" -n 2 tests/runtime

test-wheel: .venv/.all ## build the wheel and the source distribution, install and use both without a compiler (PYTHON=)
	rm -rf work/dist work/wheel-test
	$(STEP) 'wheel and source distribution in work/dist' -- $(IN) -m build --outdir work/dist .
	$(IN) tests/plain_install.py work/dist/*.whl work/wheel-test --search native --no-compiler
	$(PYTHON) tests/plain_install.py work/dist/*.tar.gz work/wheel-test --search numpy --no-compiler

wheels: .venv/.all ## build and check the wheels for Linux in work/wheels: x86-64 and aarch64, glibc and musl (no containers)
	rm -rf work/dist work/wheels work/wheel-test
	$(STEP) 'source distribution in work/dist' -- $(IN) -m build --sdist --outdir work/dist .
	$(STEP) 'wheels: zig compiles its C++ library, once: ten minutes of CPU time' -- .ci/wheels.sh work/dist/*.tar.gz work/wheels
	$(IN) -m tests.wheels.check work/wheels/*.whl
	$(IN) tests/plain_install.py work/wheels/*manylinux*x86_64.whl work/wheel-test --search native --no-compiler

# uv finds the oldest release of each library that has a wheel for this Python. Without the extra kenlm, as after a plain
# installation.
OLDEST = work/oldest
test-oldest: .venv/.all ## the tests of the runtime with the oldest libraries that pyproject.toml allows (PYTHON=)
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --only-binary :all: \
		--requirements pyproject.toml --extra cpu
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python --no-deps .
	$(IN) -m uv pip install --quiet --python $(OLDEST)/bin/python pytest hypothesis
	$(IN) -m uv pip list --quiet --python $(OLDEST)/bin/python | grep -E '^(onnxruntime|numpy|msgspec|soxr|click) '
	$(OLDEST)/bin/python -m pytest -q -o filterwarnings=default -p no:cacheprovider \
		-m "not slow" tests/runtime --ignore tests/runtime/live/test_virtual_microphone.py

debian-check: .venv/.all ## the same in a fresh Debian, without and with a compiler (root, Debian; RELEASE=)
	@tests/debian.sh ready
	rm -rf work/dist
	$(STEP) 'source distribution in work/dist' -- $(IN) -m build --sdist --outdir work/dist .
	tests/debian.sh check work/debian work/dist/*.tar.gz

# An arm64 Debian, made once in half a minute; qemu emulates the processors. tests/arm64/root.sh names the packages.
ARM64 = work/arm64/debian
arm64-check: $(ARM64)/.libraries ## doctor, sample clips and the runtime tests on emulated Arm processors (root, Debian; SHORT=1, WHEEL=)
	@tests/arm64/root.sh ready
	tests/arm64/root.sh project $(ARM64) $(WHEEL)
	$(IN) -m tests.arm64.check $(ARM64) $(if $(SHORT),--short)

arm64-root: $(ARM64)/.libraries

$(ARM64)/.system: tests/arm64/root.sh
	@tests/arm64/root.sh ready
	tests/arm64/root.sh system $(ARM64)
	@touch $@

$(ARM64)/.libraries: pyproject.toml constraints.txt $(ARM64)/.system | .venv/.all work/kenlm/source/setup.py
	tests/arm64/root.sh libraries $(ARM64)
	@touch $@

fuzz: .venv/.all ## damaged and hostile inputs of every kind: 10,000 in at most three minutes; findings in work/fuzz (SEED=)
	$(IN) -m tests.fuzz --inputs 10000 --minutes 3 --seed $(or $(SEED),1)

fuzz-long: .venv/.all ## a million of them, which goes on where it was interrupted (SEED=)
	nice $(IN) -m tests.fuzz --inputs 1000000 --resume --seed $(or $(SEED),2) --keep work/fuzz/long

GUIDED = bundle wire kenlm arpa manifest recipe words text

fuzz-guided: .venv/.all ## inputs that atheris chooses by the lines of code that they reach (MINUTES= for each kind, 5)
	$(STEP) 'atheris: 35 MB to download' -- $(PIP) atheris==3.0.0
	for kind in $(GUIDED); do $(IN) -m tests.fuzz.guided --kind $$kind --minutes $(or $(MINUTES),5) || exit 1; done

check: lint kenlm-tools-if-possible ## style, types and all tests
	$(IN) -m pytest -q -rs

lint: .venv/.all ## style and types
	$(IN) -m ruff check .
	$(IN) -m ruff format --check .
	$(STEP) 'types: a minute the first time' -- $(IN) -m mypy
	$(STEP) 'types of the tests' -- $(IN) -m mypy tests .ci/step.py docs/examples/*.py docs/examples/pyinstaller/app.py

# The types of demo/web/engine are checked by a test, where TypeScript is installed.
web-types: work/web/node_modules/.bin/tsc ## check the types of the web engine (npm; TypeScript, 30 MB, once)
	work/web/node_modules/.bin/tsc -p demo/web/engine

web-hour: .venv/.all ## an hour of speech through the web engine in Node: time per chunk and memory (MINUTES=)
	$(IN) -m tests.demo.web.engine.hour $(or $(MINUTES),60)

work/web/node_modules/.bin/tsc: tests/demo/web/engine/types/package-lock.json
	mkdir -p work/web
	cp tests/demo/web/engine/types/*.json work/web
	npm ci --prefix work/web --ignore-scripts --no-audit --no-fund
	@touch $@

LOCK = requirements-runtime.txt
lock: .venv/.all ## write requirements-runtime.txt again: the runtime's libraries with hashes, for every Python and processor
	$(IN) -m uv pip compile pyproject.toml --extra cpu --universal --python-version 3.10 --constraint constraints.txt \
		--generate-hashes --quiet --custom-compile-command 'make lock' --output-file $(LOCK)

audit: .venv/.all ## known vulnerabilities of the runtime's libraries (network; says what got no answer)
	$(IN) .ci/audit.py $(LOCK)

BILL = work/edgespeech.cdx.json
bill: .venv/.all ## a software bill of materials (CycloneDX) of an installation from the locked file, in work/edgespeech.cdx.json
	rm -rf work/bill
	$(IN) -m uv venv --quiet --python $(IN) work/bill
	$(IN) -m uv pip install --quiet --python work/bill/bin/python --require-hashes --requirements $(LOCK)
	$(IN) -m uv pip install --quiet --python work/bill/bin/python --no-deps .
	$(IN) -m uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment work/bill/bin/python \
		--pyproject pyproject.toml --mc-type library --output-reproducible --output-format JSON --output-file $(BILL)
	@echo $(BILL)

crash: .venv/.all kenlm-tools-if-possible ## kill every writer at every system call, let its disk fail, and print what is left (strace)
	$(IN) -m tests.crash
	$(IN) -m tests.crash --fail --points 40

soak: .venv/.all ## a day of audio through live and through the server, with faults (HOURS=; goes on where it was stopped)
	$(IN) -m tests.soak all --hours $(or $(HOURS),24) --picture docs/results/soak.png

kenlm-tools: work/kenlm/bin/lmplz ## build lmplz and build_binary (needs Boost, see CONTRIBUTING.md)

# Without them the tests that build a language model are skipped.
kenlm-tools-if-possible:
	@if [ -e work/kenlm/bin/lmplz ]; then :; \
	elif echo '#include <boost/program_options.hpp>' | $(CXX) -E -x c++ - >/dev/null 2>&1; then $(MAKE) --no-print-directory kenlm-tools; \
	else echo 'No Boost here, so lmplz is not built and its tests are skipped (CONTRIBUTING.md, "KenLM'"'"'s tools", names the packages)'; fi

# The compiled part of the package; it is optional, and installing compiles it.
NATIVE = setup.py $(wildcard runtime/decoder/native/*pp)

# The recipe of the default model and the figures of the documents: make recipe, make model-card and so on.
include reference/recipes/figures.mk

clean: ## remove the environment and what tools left behind; work/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis runtime/decoder/native/_search.*
	find . -path ./work -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "edgespeech needs Python 3.10 or newer; set PYTHON")'
	@echo 'new environment in .venv ...'
	@$(PYTHON) -m venv .venv

.venv/.cpu: pyproject.toml constraints.txt $(NATIVE) | .venv/bin/python
	$(STEP) 'libraries, once: 55 MB to download, 230 MB on disk, ten seconds to two minutes' -- $(PIP) --editable '.[cpu,mic]'
	@touch $@

.venv/.runtime-tests: .venv/.cpu
	$(STEP) 'pytest and hypothesis: 3 MB to download' -- $(PIP) pytest pytest-xdist hypothesis
	@touch $@

# What a demo needs is installed here too.
.venv/.all: pyproject.toml constraints.txt $(NATIVE) | .venv/.kenlm
	$(STEP) 'libraries of the tests, once: 0.6 GB to download and 1.7 GB on disk with a CPU build of torch, one to five minutes' \
		-- $(PIP) --editable '.[cpu,mic,media,kenlm,export,train,report,serve,align,numerals,dev]'
	@touch .venv/.cpu .venv/.runtime-tests $@

.venv/.docs: pyproject.toml constraints.txt | .venv/.cpu
	$(STEP) 'libraries of the documents, once: 10 MB to download' -- $(PIP) --editable '.[cpu,mic,docs]'
	@touch $@

# Since Python 3.13 the C++ that kenlm 0.3.0 carries no longer compiles; a newer Cython writes it again.
.venv/.kenlm: | .venv/bin/python
	@if $(IN) -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then $(MAKE) --no-print-directory kenlm-module; fi
	@touch $@

.PHONY: kenlm-module
kenlm-module: work/kenlm/source/setup.py
	$(STEP) 'cython' -- $(PIP) cython
	$(IN) -m cython -3 --cplus work/kenlm/source/python/kenlm.pyx -o work/kenlm/source/python/kenlm.cpp
	$(STEP) 'the package kenlm: compiled in a minute' -- $(PIP) ./work/kenlm/source

work/kenlm/bin/lmplz: work/kenlm/source/setup.py
	$(STEP) "KenLM's programs: configure" -- cmake -S work/kenlm/source -B work/kenlm/build -DCMAKE_BUILD_TYPE=Release -DENABLE_INTERPOLATE=OFF
	$(STEP) "KenLM's programs: compile, half a minute on two cores" -- cmake --build work/kenlm/build --parallel 2 --target lmplz build_binary query
	rm -rf work/kenlm/bin
	mv work/kenlm/build/bin work/kenlm/bin
	touch $@

work/kenlm/source/setup.py: | .venv/bin/python
	rm -rf work/kenlm/source
	mkdir -p work/kenlm/source
	$(STEP) 'source of KenLM: 0.4 MB to download' -- $(IN) -m pip download --progress-bar off --no-binary kenlm --no-deps --dest work/kenlm kenlm==$(KENLM_VERSION)
	tar -xmf work/kenlm/kenlm-$(KENLM_VERSION).tar.gz -C work/kenlm/source --strip-components 1
