"""Boosts of phrases, their look-ahead scores, and hot words in files and options."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.grammar import read_grammar
from edgespeech.runtime.decoder.hot_words import (
    DEFAULT_BOOST,
    HotState,
    HotWords,
    parse_hot_word,
    read_hot_words,
    spell,
    spell_boosts,
)
from edgespeech.runtime.decoder.vocabulary import read_word_list
from tests.runtime.decoder.ctc_examples import best_cover

BOOSTS = {"new york": 5.0, "york": 4.0, "new york city": 6.0, "city": 3.0, "city hall": 7.5}
WORDS = st.lists(st.sampled_from(["new", "york", "city", "hall", "in"]), max_size=9)
PHRASES = st.dictionaries(
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(" ".join), st.floats(0.5, 20.0), min_size=1, max_size=6
)


def total_boost(hot_words: HotWords, words: list[str]) -> float:
    total, state = 0.0, HotState()
    for word in words:
        gain, state = hot_words.step(word, state)
        total += gain
    return total


@given(words=WORDS)
def test_the_boost_of_a_text_is_that_of_the_best_phrases_without_overlap(words: list[str]) -> None:
    hot_words = HotWords(BOOSTS)
    assert total_boost(hot_words, words) == pytest.approx(best_cover(words, BOOSTS))
    found = [" ".join(words[first:last]) for first, last in hot_words.find(words)]
    assert sum(BOOSTS[phrase] for phrase in found) == pytest.approx(best_cover(words, BOOSTS))


@given(boosts=PHRASES, words=st.lists(st.sampled_from("wxyz"), max_size=10))
def test_boosts_of_random_phrases_equal_brute_force(boosts: dict[str, float], words: list[str]) -> None:
    hot_words = HotWords(boosts)
    assert total_boost(hot_words, words) == pytest.approx(best_cover(words, boosts))


def test_the_look_ahead_is_proportional_to_the_letters() -> None:
    hot_words = HotWords({"new york": 7.0, "nest": 4.0})
    assert [hot_words.lookahead_score(text, ()) for text in ("", "n", "ne", "new", "nes", "nex")] == [
        0.0,
        1.0,
        2.0,
        3.0,
        3.0,
        0.0,
    ]
    gain, state = hot_words.step("new", ())
    assert gain == 0.0
    assert [hot_words.lookahead_score(text, state) for text in ("", "y", "york", "yorks", "n")] == [
        3.0,
        4.0,
        7.0,
        0.0,
        1.0,
    ]
    assert hot_words.step("york", state) == (7.0, ())
    assert hot_words.step("nest", state) == (4.0, ())


def test_the_look_ahead_of_a_longer_phrase_is_what_it_adds_to_a_shorter_one() -> None:
    hot_words = HotWords({"a": 2.0, "a b": 3.0})
    gain, state = hot_words.step("a", ())
    assert gain == 2.0
    assert hot_words.lookahead_score("", state) == 0.0  # 1.5 of 3 for the first letter, minus the 2 of "a"
    assert hot_words.lookahead_score("b", state) == pytest.approx(1.0)
    assert hot_words.step("b", state)[0] == pytest.approx(1.0)


def test_without_hot_words_nothing_is_added() -> None:
    nothing = HotWords({})
    assert not nothing and nothing.lookahead_score("a", ()) == 0.0 and nothing.step("a", ()) == (0.0, ())


@pytest.mark.parametrize(
    ("phrase", "boost"), [("", 1.0), ("  ", 1.0), ("a", 0.0), ("a", -1.0), ("a", 101.0), ("a", float("nan"))]
)
def test_invalid_phrases_are_refused(phrase: str, boost: float) -> None:
    with pytest.raises(UsageError, match="hot word") as caught:
        HotWords({phrase: boost})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("phrase", "labels", "expected"),
    [
        ("ab cab", ("", " ", "a", "bc"), "ab cab"),
        ("Ab  CAB", ("", " ", "a", "bc"), "ab  cab"),
        ("New York", ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "NEW YORK"),
        ("New York", ("", *"neworkNYORK"), "New York"),
        ("Ä\u00a0Ö", ("", *"äö"), "ä\u00a0ö"),
    ],
)
def test_phrases_take_the_case_of_the_labels(phrase: str, labels: tuple[str, ...], expected: str) -> None:
    assert spell(phrase, labels) == expected


def test_letters_that_the_labels_lack_are_named() -> None:
    with pytest.raises(UsageError, match="'ab ä' cannot be spelled: the labels have no ä$"):
        spell("Ab Ä", ("", " ", "a", "b"))
    with pytest.raises(UsageError, match="'a1' cannot be spelled: the labels have no 1$"):
        spell("a1", ("", " ", "a", "b"))


def test_of_phrases_that_become_equal_the_largest_boost_counts() -> None:
    assert spell_boosts({"York": 5.0, "york": 3.0, "YORK": 4.0, "a": 1.0}, ("", *"york a")) == {"york": 5.0, "a": 1.0}


def test_a_hot_word_is_parsed_from_text() -> None:
    assert parse_hot_word("new  york:7.5") == ("new york", 7.5)
    assert parse_hot_word(" york ") == ("york", DEFAULT_BOOST)


@pytest.mark.parametrize("text", ["", ":", ":3", "a:", "a:b", "a:0", "a:-3", "a:nan", "a:inf", "a:1000"])
def test_invalid_hot_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="WORDS:BOOST"):
        parse_hot_word(text)


def test_hot_words_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hot.txt"
    path.write_text("# places\nnew york:7\n\n  boston  \n")
    assert read_hot_words(path) == {"new york": 7.0, "boston": DEFAULT_BOOST}
    for content, message in (
        (b"boston\nnew york:x\n", r"hot.txt:2: hot word 'new york:x'"),
        (b"# nothing\n\n", "contains no hot words"),
        (b"boston\r\n\r\nm\xfcnchen\r\n", r"hot.txt:3: the line cannot be read: it is not UTF-8 text"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_hot_words(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_hot_words(tmp_path)


def test_a_byte_order_mark_is_not_part_of_the_first_phrase(tmp_path: Path) -> None:
    (tmp_path / "phrases.txt").write_bytes("turn on\r\nturn off\r\n".encode("utf-8-sig"))
    assert read_hot_words(tmp_path / "phrases.txt") == {"turn on": DEFAULT_BOOST, "turn off": DEFAULT_BOOST}
    assert read_grammar(tmp_path / "phrases.txt") == ["turn on", "turn off"]
    assert sorted(read_word_list(tmp_path / "phrases.txt")) == ["off", "on", "turn"]
