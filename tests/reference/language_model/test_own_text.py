"""A text mixed into a language model: it must help on its held-out part, cost little elsewhere, and be usable."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError, VerificationError
from edgespeech.reference.language_model import own_text
from edgespeech.reference.language_model.build import build_language_model
from edgespeech.reference.language_model.info import inspect_language_model
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.reference.language_model.ngrams import read_ngrams
from edgespeech.reference.language_model.own_text import MixedModel, OwnTextRequest, mix_text
from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.reference.language_model.sampling import Distributions
from edgespeech.reference.language_model.text import LABELS
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native.library import search_kind
from tests.runtime.decoder.ctc_examples import ALPHABET, spoken

GENERAL = [f"the {one} {verb} the {other}" for one in ("cat", "dog", "man", "bird", "cow")
           for verb in ("saw", "met", "had") for other in ("house", "tree", "mat", "road")]  # fmt: skip
ORDERS = [f"one {size} {kind} {drink} please" for size in ("small", "large", "double", "single")
          for kind in ("iced", "hot", "oat") for drink in ("latte", "mocha", "flat white")]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a quantized model of general sentences."""
    folder = tmp_path_factory.mktemp("base")
    try:
        find_tool("build_binary")
        find_tool("lmplz")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    text, lm = folder / "general.txt", folder / "lm.bin"
    text.write_text("\n".join(GENERAL) + "\n")
    build_language_model(BuildRequest(texts=(text,), output=lm, prune="0", held_out_fraction=0.0, bits=8))
    return lm


def mix(base: Path, tmp_path: Path, lines: list[str], **options: float) -> tuple[MixedModel, Path]:
    text, output = tmp_path / "mine.txt", tmp_path / "mixed.bin"
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    weight = options.get("weight")
    return mix_text(OwnTextRequest(texts=(text,), base=base, labels=LABELS, weight=weight), output), output


def test_the_text_is_less_perplexing_and_its_words_are_known(base: Path, tmp_path: Path) -> None:
    mixed, output = mix(base, tmp_path, ORDERS)
    assert mixed.chosen.held_out.perplexity < 0.5 * mixed.before.perplexity
    assert mixed.general_increase <= own_text.MAX_GENERAL_INCREASE
    assert (mixed.sentences, mixed.words) == (len(ORDERS), sum(len(line.split()) for line in ORDERS))
    assert set(mixed.new_words) == {word for line in ORDERS for word in line.split()}
    model = LanguageModel(output)
    assert all(word in model for word in mixed.new_words) and "cat" in model
    facts, before = inspect_language_model(output), inspect_language_model(base)
    assert (facts.kind, facts.order) == (before.kind, before.order)


def test_the_file_sums_to_one_after_every_context(base: Path, tmp_path: Path) -> None:
    _, output = mix(base, tmp_path, ORDERS, weight=0.2)
    model = read_ngrams(output)
    distributions, draw = Distributions(model), np.random.default_rng(0)
    known = draw.integers(0, len(model.words), (200, 2))
    sums = [np.exp(distributions.after([int(word) for word in words])).sum() for words in known]
    assert sums == pytest.approx(np.ones(200), abs=0.05)  # 8 bits for each weight


def test_both_searches_recognise_new_words_alike(base: Path, tmp_path: Path) -> None:
    if reason := search_kind().reason:
        pytest.skip(reason)
    _, output = mix(base, tmp_path, ORDERS)
    said, unclear = "one large oat mocha please", "one large oat mucho please"
    log_probs = np.logaddexp(spoken(said, ALPHABET, 0.8), spoken(unclear, ALPHABET, 0.9)) - math.log(2.0)
    settings: dict[str, Any] = {"beam_width": 32, "alpha": 1.0, "beta": 1.0, "unknown_score": -80.0}
    found = {}
    for lm in (base, output):
        for search in ("native", "numpy"):
            decoder = BeamSearchDecoder(ALPHABET, lm=LanguageModel(lm), search=search, **settings)
            _, state = decoder.step(log_probs, decoder.initial_state())
            found[lm.name, search] = decoder.finish(state)[0]
    assert found["mixed.bin", "native"].text == said != found["lm.bin", "native"].text
    for name in ("lm.bin", "mixed.bin"):
        one, other = found[name, "native"], found[name, "numpy"]
        assert one.text == other.text and one.score == pytest.approx(other.score, abs=1e-5)


def test_a_text_of_chance_is_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=9)) for _ in range(4000)]
    draw.shuffle(words)
    lines = [" ".join(words[at : at + 5]) for at in range(0, len(words), 5)]
    with pytest.raises(VerificationError, match=r"perplexity of \d+ held-out sentences .*: nothing is written"):
        mix(base, tmp_path, lines)
    assert not (tmp_path / "mixed.bin").exists()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no text|different sentences"),
        (["one latte please"] * 100, "the text has 1 different sentences that can be used; wanted 20 or more"),
        (["\x00\x01 \u202e <s> </s> <unk>"] * 100, "the text has 1 different"),
        ([f"{number} lattes" for number in range(100)], "0 different sentences .*; 100 lines dropped: unspoken"),
        (["x" * 5000] * 30, "30 lines dropped: word of more than 60 letters"),
    ],
)
def test_texts_without_sentences_are_refused_in_one_line(
    base: Path, tmp_path: Path, lines: list[str], words: str
) -> None:
    with pytest.raises(LanguageModelError, match=words) as found:
        mix(base, tmp_path, lines)
    assert "\n" not in str(found.value)


def test_marks_of_models_in_a_text_are_only_letters(base: Path, tmp_path: Path) -> None:
    mixed, output = mix(base, tmp_path, [f"{line} <s> </s> <unk> \\data\\ \x00" for line in ORDERS])
    assert {"s", "unk", "data"} <= set(mixed.new_words)
    assert "unk" in LanguageModel(output)


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.1, float("nan")])
def test_a_weight_out_of_range_is_refused(weight: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the weight of the text is"):
        OwnTextRequest(texts=(tmp_path,), base=tmp_path, labels=LABELS, weight=weight)


def test_a_weight_that_is_given_is_used(base: Path, tmp_path: Path) -> None:
    mixed, _ = mix(base, tmp_path, ORDERS, weight=0.6)
    assert mixed.chosen.weight == 0.6
    assert mixed.general_increase > own_text.MAX_GENERAL_INCREASE


def test_a_model_of_characters_is_mixed(base: Path, tmp_path: Path) -> None:
    text, lm = tmp_path / "general.txt", tmp_path / "characters.bin"
    text.write_text("\n".join(GENERAL) + "\n")
    build_language_model(
        BuildRequest(texts=(text,), output=lm, prune="0", held_out_fraction=0.0, characters=True, order=4)
    )
    mixed, output = mix(lm, tmp_path, ORDERS)
    vocabulary = LanguageModel(output).vocabulary
    assert vocabulary is not None and vocabulary.is_of_characters()
    assert mixed.chosen.held_out.perplexity < mixed.before.perplexity
