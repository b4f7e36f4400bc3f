"""Scores of the language model in JavaScript: the same numbers as KenLM's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder.kenlm_reader import Model
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.arpa_examples import GOLDEN, random_sentences

BINARIES = [GOLDEN / "random_both.bin", DEFAULT_BUNDLE / "lm.bin"]
ENGLISH = ["at the end of the day one of the most of them", "i do not know what to do", ""]
MARKERS = ["<unk>", "<UNK>", "unknownword", "über", "seventeenlettered", "\U0001f600"]


@pytest.mark.parametrize("path", BINARIES, ids=[path.name for path in BINARIES])
def test_scores_equal_kenlms(run_job: Callable[..., Any], path: Path) -> None:
    model = LanguageModel(path)  # by the package kenlm, where it is installed
    assert model.vocabulary is not None
    known = np.array(list(model.vocabulary))[np.argsort(-model.unigrams, kind="stable")].tolist()
    sentences = [*ENGLISH, *random_sentences([*known[:300], *MARKERS, *known[300:]], 3000, seed=3)]
    found = run_job("scores", lm=path, sentences=sentences)
    assert found["order"] == model.order
    assert sorted(found["words"]) == list(model.vocabulary)
    assert found["unigrams"] == [model.unigrams[model.vocabulary.index(word)] for word in found["words"]]
    wanted = [[[log_prob, unknown] for log_prob, unknown in model.full_scores(sentence)] for sentence in sentences]
    assert found["scored"] == wanted
    assert sum(map(len, wanted)) > 10_000
    reader = Model(KenlmTrie(path))
    lengths = {score.ngram_length for sentence in sentences[:500] for score in reader.full_scores(sentence)}
    assert lengths == set(range(1, model.order + 1)), "the sentences do not reach every length"
    assert any(unknown for sentence in wanted for _, unknown in sentence)
