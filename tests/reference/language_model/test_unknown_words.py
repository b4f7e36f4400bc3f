"""Words that a language model does not know become a file of hot words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.reference.language_model.text import LABELS
from edgespeech.reference.language_model.unknown_words import WordsRequest, find_unknown_words
from edgespeech.runtime.decoder.hot_words import read_hot_words
from tests.runtime.decoder.arpa_examples import GOLDEN

TEXT = "Bab, a fortnight! A fortnight in ab\nthe FORTNIGHT a ab bab zebra\nfive5 quagga\n"


def request_of(tmp_path: Path, **settings: Any) -> WordsRequest:
    path = tmp_path / "mine.txt"
    path.write_text(TEXT, encoding="utf-8")
    return WordsRequest(texts=(path,), lm=GOLDEN / "tiny.bin", labels=LABELS, **settings)


def test_unknown_words_are_listed_the_most_frequent_first(tmp_path: Path) -> None:
    found = find_unknown_words(request_of(tmp_path))
    assert found.listed == (("fortnight", 3), ("zebra", 1))
    assert (found.running, found.unknown, found.different) == (13, 6, 4)  # "in" and "the" are too short to be listed
    path = tmp_path / "words.txt"
    path.write_text("\n".join(found.lines()) + "\n", encoding="utf-8")
    assert read_hot_words(path) == {"fortnight": 8.0, "zebra": 8.0}


def test_the_list_is_limited(tmp_path: Path) -> None:
    assert find_unknown_words(request_of(tmp_path, limit=1)).listed == (("fortnight", 3),)
    assert find_unknown_words(request_of(tmp_path, min_count=2)).listed == (("fortnight", 3),)
    assert find_unknown_words(request_of(tmp_path, min_letters=3)).listed[1:] == (("the", 1), ("zebra", 1))
    with pytest.raises(LanguageModelError, match="no word to list: 4 of 7 words of the text are unknown"):
        find_unknown_words(request_of(tmp_path, min_letters=30))


@pytest.mark.parametrize("settings", [{"boost": 0.0}, {"boost": 101.0}, {"limit": 0}, {"min_count": 0}])
def test_settings_out_of_range_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="wanted"):
        request_of(tmp_path, **settings)


def test_a_model_over_characters_is_refused(tmp_path: Path) -> None:
    request = WordsRequest(texts=request_of(tmp_path).texts, lm=GOLDEN / "tiny_characters.bin", labels=LABELS)
    with pytest.raises(LanguageModelError, match="does not list words"):
        find_unknown_words(request)
