"""One rule normalises references and hypotheses."""

from __future__ import annotations

import pytest

from edgespeech.runtime.measure.normalisation import scoring_text


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("  The\tCAT \n sat ", "the cat sat"),
        ("\u201cHello,\u201d she said \u2013 it\u2019s 5 o'clock!", "hello she said it's 5 o'clock"),
        ("well-known and/or new_york", "well known and or new york"),
        ("yes\u2014no \u2212 maybe", "yes no maybe"),
        ("'quoted' words', rock \u2018n\u2019 roll", "quoted words rock n roll"),
        ("wait...what\u2026 no", "wait what no"),
        ("the U.S.A., i.e. 10,000 people (3 %)", "the usa ie 10000 people 3"),
        ("don\u00adt", "dont"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u00bfQu\u00e9 tal?", "qu\u00e9 tal"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("\ufeffhello\u200b", "hello"),
        ("-- ' ...", ""),
        ("今天天气，很 好ok", "今 天 天 气 很 好 ok"),
        ("カタカナとAI", "カ タ カ ナ と ai"),
        ("한국어 말", "한국어 말"),
        ("it`s it\u00b4s it\u02bcs", "it's it's it's"),
    ],
)
def test_punctuation_is_no_part_of_a_word(text: str, normalised: str) -> None:
    assert scoring_text(text) == normalised
    assert scoring_text(normalised) == normalised
