"""Names as people write them, in the letters of a bundle."""

from __future__ import annotations

import pytest

from edgespeech.demo.server.phrases import check_phrases, spell, spell_all, spell_hot_words
from edgespeech.errors import UsageError

ENGLISH = ["", " ", "'", *"abcdefghijklmnopqrstuvwxyz"]
UPPER = [" ", "'", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
GERMAN = [*ENGLISH, *"äöüß"]


@pytest.mark.parametrize(
    ("phrase", "labels", "wanted"),
    [
        ("Living-Room Light", ENGLISH, "living room light"),
        ("Dr. Smith's lamp!", ENGLISH, "dr smith's lamp"),
        ("  café\tcrème ", ENGLISH, "cafe creme"),
        ("Küche", GERMAN, "küche"),
        ("Küche", ENGLISH, "kuche"),
        ("ﬁre", ENGLISH, "fire"),
        ("kitchen", UPPER, "KITCHEN"),
        ("Straße", ENGLISH, None),
        ("lamp 7", ENGLISH, None),
        ("灯", ENGLISH, None),
        ("!?", ENGLISH, None),
        ("", ENGLISH, None),
    ],
)
def test_phrases_are_spelled(phrase: str, labels: list[str], wanted: str | None) -> None:
    assert spell(phrase, labels) == wanted


def test_each_phrase_that_can_be_spelled_once() -> None:
    assert spell_all(["Lamp", "lamp 7", "lamp.", "door"], ENGLISH) == ["lamp", "door"]


def test_hot_words_keep_their_case_and_come_once() -> None:
    phrases = ["McKenzie", "mckenzie", "St. John's", "Café Noir", "lamp 7", "living  room"]
    assert spell_hot_words(phrases, ENGLISH) == ["McKenzie", "St John's", "cafe noir", "living room"]


@pytest.mark.parametrize(
    ("phrases", "wanted"), [(["lamp"] * 1001, "1001 phrases"), (["l" * 201], "a phrase of 201 characters")]
)
def test_too_many_or_too_long_phrases_are_refused(phrases: list[str], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        check_phrases(phrases)
    check_phrases([phrase[:200] for phrase in phrases[:1000]])
