# Needs only Python 3.10 or newer, gcc, g++, cmake and make; every target does its own set-up, once.
PYTHON ?= python3
IN = .venv/bin/python
PIP = $(IN) -m pip install --quiet --constraint constraints.txt
KENLM_VERSION = 0.3.0

.DEFAULT_GOAL := help
.PHONY: help demo docs screenshot test check lint kenlm-tools model-card quantization-report recipe recipe-check bench-table bench-agree clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

demo: .venv/.cpu ## transcribe a few recordings with the bundle that ships (no torch)
	@$(IN) -m edgespeech.demo.showcase

screenshot: .venv/.cpu ## draw the live view of README.md again (docs/live.svg)
	@$(IN) -m edgespeech.demo.live.screenshot docs/live.svg

test: lint ## style, types and the quick tests
	$(IN) -m pytest -q -m "not slow"

check: lint ## style, types and all tests
	$(IN) -m pytest -q

lint: .venv/.all ## style and types
	$(IN) -m ruff check .
	$(IN) -m ruff format --check .
	$(IN) -m mypy
	$(IN) -m mypy tests

kenlm-tools: work/kenlm/bin/lmplz ## build lmplz and build_binary (needs Boost, see CONTRIBUTING.md)

SPEECH ?= ../shared/speech
NOISE ?= ../shared/noise
# Speech of people that no training heard.
STRANGERS = $(SPEECH)/librispeech/dev.jsonl $(SPEECH)/speechocean762/dev.jsonl $(SPEECH)/spoken_digits/train.jsonl
CARD = docs/results/model-card.md
model-card: .venv/.all ## measure the figures of docs/results/model-card.md again (SPEECH=, NOISE=: the folders)
	$(IN) -m edgespeech.demo.cli evaluate $(STRANGERS) --confusions 10 --into $(CARD)#corpora
	$(IN) -m edgespeech.demo.cli evaluate $(SPEECH)/librispeech/dev.jsonl --noise $(NOISE)/esc10 --noise $(NOISE)/background \
		--noise $(NOISE)/ambient --snr 20,10,5,0 --rooms $(NOISE)/rooms --into $(CARD)#conditions

QUANTIZED = work/quantization
TABLES = docs/results/quantization.md
# The bundle's own: blank score, weights and beam of the search.
EXPORT_OPTIONS ?= --blank-score -0.75 --alpha 1 --beta 1 --unknown-score -80 --beam-width 512 --least-confidence 0.22
# So many utterances of the dev manifest; empty: all.
DEV_LIMIT ?=
QUANTIZE = $(IN) -m edgespeech.demo.cli quantize --speech $(SPEECH)/librispeech_many_speakers/train.jsonl \
	--dev $(SPEECH)/librispeech/dev.jsonl $(if $(DEV_LIMIT),--dev-limit $(DEV_LIMIT))
quantization-report: .venv/.all ## measure the tables and the picture of docs/results/quantization.md again (EXPORT_OPTIONS=, DEV_LIMIT=)
	rm -rf $(QUANTIZED)
	mkdir -p $(QUANTIZED)
	for form in fused cells; do \
		$(IN) -m edgespeech.demo.cli export models/edge.pt -o $(QUANTIZED)/$$form --form $$form \
			--lm runtime/default_bundle/lm.bin $(EXPORT_OPTIONS) || exit; \
	done
	$(QUANTIZE) $(QUANTIZED)/fused -o $(QUANTIZED)/int8 --precision int8 --report $(QUANTIZED)/int8.json --into $(TABLES)#int8
	$(QUANTIZE) $(QUANTIZED)/cells -o $(QUANTIZED)/int4 --precision int4 --baseline $(QUANTIZED)/fused --into $(TABLES)#int4
	$(QUANTIZE) $(QUANTIZED)/fused -o $(QUANTIZED)/fp16 --precision fp16 --into $(TABLES)#fp16
	cp $(QUANTIZED)/int8.png docs/results/quantization.png

# What the default model was trained on: all but spoken_digits (share-alike) and coffee_orders (names no licence).
CORPORA = librispeech librispeech_dev_clean librispeech_three_speakers librispeech_many_speakers librispeech_more \
	speechocean762 kathleen ljspeech ljspeech_more lj_sentences_home_recorded vctk common_voice speech_commands \
	key_phrases grid wake_words wake_words_more custom_keywords an4
# Processes that train: as many as there are GPUs, or processor cores.
WORKERS ?= 2
TRAIN = OMP_NUM_THREADS=1 $(IN) -m torch.distributed.run --standalone --nproc-per-node $(WORKERS) -m edgespeech.reference.training.train
# A training that a signal stopped ends well, but the next step is not to begin with what it has.
finished = tail -n 1 work/$(1)/history.jsonl 2>/dev/null | grep -q "\"epoch\": $$(sed -n 's/^epochs = //p' reference/recipes/$(1).toml)," || \
	{ echo "reference/recipes/$(1).toml was stopped before its last pass; make recipe goes on with it"; exit 1; }
recipe: work/pronunciations.tsv ## train the default model from nothing into work/edge.pt (one GPU: WORKERS=1; goes on where it was)
	$(TRAIN) reference/recipes/edge.toml --resume
	@$(call finished,edge)
	$(TRAIN) reference/recipes/edge_tune.toml --resume
	@$(call finished,edge_tune)
	$(IN) -m edgespeech.demo.cli average work/edge_tune/best.pt --half -o work/edge.pt

recipe-check: .venv/.all ## whether work/edge.pt hears otherwise than the bundle that ships, beyond noise (ten minutes; SPEECH=)
	$(IN) -m edgespeech.demo.cli export work/edge.pt -o work/recipe_bundle $(EXPORT_OPTIONS) --lm runtime/default_bundle/lm.bin
	$(IN) -m edgespeech.demo.cli lm tune $(SPEECH)/librispeech/dev.jsonl --bundle work/recipe_bundle --search-beam 128 --beams 512
	$(IN) -m edgespeech.demo.cli evaluate $(STRANGERS) --bundle work/recipe_bundle --against runtime/default_bundle

work/speech.jsonl: | .venv/.all
	mkdir -p work
	$(IN) -m edgespeech.demo.cli data check $(CORPORA:%=$(SPEECH)/%/train.jsonl) --dev $(SPEECH)/librispeech/dev.jsonl \
		--dev $(SPEECH)/speechocean762/dev.jsonl -o $@

work/pronunciations.tsv: work/speech.jsonl
	$(IN) -m edgespeech.demo.cli data pronounce work/speech.jsonl -o $@

bench-table: .venv/.all ## measure the table of precisions in README.md again (SPEECH=; ten minutes of an idle machine)
	$(IN) -m edgespeech.demo.cli bench --checkpoint models/edge.pt --speech $(SPEECH)/librispeech/train.jsonl --threads 1 \
		--no-streams --dev $(SPEECH)/librispeech/dev.jsonl --into README.md#bench

bench-agree: .venv/.cpu ## whether two runs of bench on this machine agree (four minutes)
	@mkdir -p work
	$(IN) -m edgespeech.demo.cli bench --threads 1 --json > work/bench-first.json
	$(IN) -m edgespeech.demo.cli bench --threads 1 --json > work/bench-second.json
	@$(IN) -m edgespeech.demo.cli bench compare work/bench-first.json work/bench-second.json

docs: .venv/.docs ## build the documents and the API reference as a site in work/site; a broken link fails
	$(IN) -m edgespeech.demo.reference_page docs/reference/command-line.md
	$(IN) -m mkdocs build --quiet --strict
	@echo "work/site/index.html"

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
	$(PIP) --editable '.[cpu,mic,export,train,report,dev]'
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
