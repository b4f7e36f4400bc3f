# The recipe of the default model, and the programs that measure the figures of the documents. Included by the Makefile;
# run from the root of the repository.
.PHONY: model-card quantization-report recipe recipe-check bench-table bench-agree

SPEECH ?= ../shared/speech
NOISE ?= ../shared/noise
# Speech of unseen speakers.
UNSEEN = $(SPEECH)/librispeech/dev.jsonl $(SPEECH)/speechocean762/dev.jsonl $(SPEECH)/spoken_digits/train.jsonl
CARD = docs/results/model-card.md
model-card: .venv/.all ## measure the figures of docs/results/model-card.md again (SPEECH=, NOISE=: the folders)
	$(IN) -m edgespeech.demo.cli evaluate $(UNSEEN) --confusions 10 --into $(CARD)#corpora
	$(IN) -m edgespeech.demo.cli evaluate $(SPEECH)/librispeech/dev.jsonl --noise $(NOISE)/esc10 --noise $(NOISE)/background \
		--noise $(NOISE)/ambient --snr 20,10,5,0 --rooms $(NOISE)/rooms --into $(CARD)#conditions

QUANTIZED = work/quantization
TABLES = docs/results/quantization.md
# Settings of the default bundle: label scores, weights and beam width of the search.
EXPORT_OPTIONS ?= --blank-score -0.75 --prior-power 0.4 --alpha 1 --beta 0.5 --unknown-score -80 --beam-width 512 --min-confidence 0.05
# Number of utterances of the dev manifest; all if empty.
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
	$(TRAIN) reference/recipes/edge_words.toml --resume
	@$(call finished,edge_words)
	$(IN) -m edgespeech.demo.cli average work/edge_tune/best.pt work/edge_words/best.pt --half -o work/edge.pt --overwrite

recipe-check: .venv/.all ## whether work/edge.pt differs from the default bundle by more than noise (ten minutes; SPEECH=)
	$(IN) -m edgespeech.demo.cli export work/edge.pt -o work/recipe_bundle --overwrite $(EXPORT_OPTIONS) \
		--lm runtime/default_bundle/lm.bin
	$(IN) -m edgespeech.demo.cli lm tune $(SPEECH)/librispeech/dev.jsonl --bundle work/recipe_bundle --search-beam 128 --beams 512
	$(IN) -m edgespeech.demo.cli evaluate $(UNSEEN) --bundle work/recipe_bundle --against runtime/default_bundle

work/speech.jsonl: | .venv/.all
	mkdir -p work
	$(IN) -m edgespeech.demo.cli data check $(CORPORA:%=$(SPEECH)/%/train.jsonl) --dev $(SPEECH)/librispeech/dev.jsonl \
		--dev $(SPEECH)/speechocean762/dev.jsonl -o $@ --overwrite

work/pronunciations.tsv: work/speech.jsonl
	$(IN) -m edgespeech.demo.cli data pronounce work/speech.jsonl -o $@ --overwrite

bench-table: .venv/.all ## measure the table of precisions in README.md again (SPEECH=; on an idle machine, prints how long it takes)
	$(IN) -m edgespeech.demo.cli bench --checkpoint models/edge.pt --speech $(SPEECH)/librispeech/train.jsonl --threads 1 \
		--no-streams --dev $(SPEECH)/librispeech/dev.jsonl --into README.md#bench

WEB_FIGURES ?= clips latency hour
web-figures: .venv/.all ## measure the page in a headless Chromium (SPEECH=; WEB_FIGURES="clips peer" with PEER= and PEER_ORT=)
	$(IN) -m tests.demo.web.figures $(WEB_FIGURES) --limit 12 --speech $(SPEECH)/librispeech/dev.jsonl \
		$(if $(PEER),--peer $(PEER) --peer-ort $(PEER_ORT))

bench-agree: .venv/.cpu ## whether two runs of bench on this machine agree (prints how long each takes)
	@mkdir -p work
	$(IN) -m edgespeech.demo.cli bench --threads 1 --json > work/bench-first.json
	$(IN) -m edgespeech.demo.cli bench --threads 1 --json > work/bench-second.json
	@$(IN) -m edgespeech.demo.cli bench compare work/bench-first.json work/bench-second.json
