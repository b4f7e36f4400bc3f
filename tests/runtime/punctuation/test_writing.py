"""Writing finals: what was written stays, sentences go on behind endpoints, hot words keep their case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from edgespeech.runtime.decoder.hypothesis import Word, join_words
from edgespeech.runtime.formats import cues, segment_to_json
from edgespeech.runtime.punctuation.features import (
    COLUMNS,
    SEGMENT_END,
    TABLE_ROWS,
    UNKNOWN_PAUSE,
    features,
    pause_class,
)
from edgespeech.runtime.punctuation.tagger import Context
from edgespeech.runtime.punctuation.tags import Case, Mark, Tag
from edgespeech.runtime.punctuation.writing import Writer, cased_phrases
from edgespeech.runtime.transcript import Segment


@dataclass(frozen=True)
class ListedTags:
    """Stands for a tagger: a mark for each word that ends with one in ``marks``."""

    marks: dict[str, Mark]

    def initial_state(self) -> Context:
        """Return the state before the first segment."""
        return Context()

    def step(self, words: Sequence[str], pauses: Sequence[int], state: Context) -> tuple[list[Tag], Context]:
        """Return the tags of the words, and a state that has them all."""
        tags = [Tag(self.marks.get(word, Mark.NONE), Case.CAPITAL if word == "i" else Case.LOWER) for word in words]
        return tags, Context((*state.words, *words))


def writer(marks: dict[str, Mark], **settings: Any) -> Writer:
    return Writer(ListedTags(marks), **settings)  # type: ignore[arg-type]


def words(text: str, start: float = 0.0) -> list[Word]:
    return [Word(word, start + at, start + at + 0.5, 0.9) for at, word in enumerate(text.split())]


def write(one: Writer, *segments: str) -> list[str]:
    state, found = one.initial_state(), []
    for segment in segments:
        written, state = one.step(words(segment), state)
        found.append(join_words(written))
    return found


def test_a_sentence_begins_where_the_last_one_ended_not_at_an_endpoint() -> None:
    marks = {"house": Mark.COMMA, "door": Mark.PERIOD, "there": Mark.QUESTION}
    found = write(writer(marks), "she left the house", "and closed the door who was", "there said i", "you know")
    assert found == ["She left the house,", "and closed the door. Who was", "there? said I", "you know"]


def test_a_segment_without_words_changes_nothing() -> None:
    assert write(writer({"end": Mark.PERIOD}), "the end", "", "and more") == ["The end.", "", "And more"]


@pytest.mark.parametrize("phrase", ["McKenzie", "New York", "iPhone"])
def test_hot_words_keep_their_case(phrase: str) -> None:
    one = writer({}, cased=cased_phrases([phrase, "plain words"]))
    (found,) = write(one, f"i saw {phrase.lower()} in plain words")
    assert found == f"I saw {phrase} in plain words"


def test_a_number_is_the_written_form_of_its_first_word() -> None:
    one = writer({"three": Mark.COMMA}, numerals=lambda words: [(1, 3, "23")])
    written, _ = one.step(words("the twenty three people"), one.initial_state())
    assert [word.written for word in written] == ["The", "23,", "", "people"]
    assert [word.word for word in written] == ["the", "twenty", "three", "people"]
    assert join_words(written) == "The 23, people"


def test_json_has_plain_words_and_their_written_form_beside_them() -> None:
    one = writer({"door": Mark.PERIOD})
    written, _ = one.step(words("close the door"), one.initial_state())
    line = segment_to_json(Segment(join_words(written), 0.0, 2.5, written), "a.wav")
    assert '"text": "Close the door."' in line
    assert '"word": "door", "start": 2.0, "end": 2.5, "confidence": 0.9, "written": "door."' in line
    plain = segment_to_json(Segment("close", 0.0, 0.5, tuple(words("close"))), "a.wav")
    assert "written" not in plain


def test_cues_end_at_marks_and_show_the_written_form() -> None:
    text = "he came home late that night and then he slept for a very long time in the old chair by the fire"
    one = writer({"night": Mark.PERIOD, "time": Mark.COMMA})
    quick = [Word(word.word, word.start / 5, word.start / 5 + 0.15, 0.9) for word in words(text)]
    written, _ = one.step(quick, one.initial_state())
    lines = [" ".join(cue.lines) for cue in cues(Segment(join_words(written), 0.0, 5.0, written))]
    assert lines[0].endswith("for a very long time,")
    assert lines[0].startswith("He came home late that night. And then")


def test_features_are_rows_of_the_table() -> None:
    found = features(["i", "mckenzie", "étude", "何"], [UNKNOWN_PAUSE, pause_class(0.0), pause_class(9.0), SEGMENT_END])
    assert found.shape == (4, COLUMNS) and found.min() >= 0 and found.max() == TABLE_ROWS - 1
    assert [pause_class(seconds) for seconds in (-1.0, 0.1, 0.25, 0.79, 0.8)] == [1, 2, 3, 5, 6]
