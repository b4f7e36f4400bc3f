"""JSON lines have the documented keys; subtitles are valid, short enough and lose no word."""

from __future__ import annotations

import html
import json
import re

import pytest

from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.formats import (
    LINE_WIDTH,
    MAX_CUE_SECONDS,
    VTT_HEADER,
    Cue,
    cues,
    event_to_json,
    srt_cue,
    to_json,
    to_srt,
    to_vtt,
    vtt_cue,
    wrap,
)
from edgespeech.runtime.transcript import Event, RecordingHypothesis, Segment, Transcript


def segment(text: str, start: float = 0.0, per_word: float = 0.3) -> Segment:
    words = tuple(
        Word(word, start + index * per_word, start + (index + 0.9) * per_word, 0.5)
        for index, word in enumerate(text.split())
    )
    return Segment(text, start, words[-1].end if words else start, words)


HELLO = segment("hello world", start=1.0)
LONG = segment(" ".join(f"word{index}" for index in range(100)), start=3600.0, per_word=0.25)


def test_a_transcript_becomes_one_line_of_json() -> None:
    hypothesis = RecordingHypothesis("hello world", -4.0, -3.0, -2.00004, 0.5)
    transcript = Transcript("hello world", (HELLO,), duration=2.0, seconds=0.1, nbest=(hypothesis,))
    line = to_json(transcript, "a\nb.wav")
    assert "\n" not in line
    assert json.loads(line) == {
        "file": "a\nb.wav",
        "duration": 2.0,
        "text": "hello world",
        "words": [
            {"word": "hello", "start": 1.0, "end": 1.27, "confidence": 0.5},
            {"word": "world", "start": 1.3, "end": 1.57, "confidence": 0.5},
        ],
        "nbest": [
            {"text": "hello world", "score": -4.0, "acoustic_score": -3.0, "lm_score": -2.0, "hot_word_score": 0.5}
        ],
        "seconds": 0.1,
        "rtf": 0.05,
    }
    assert list(json.loads(line)) == ["file", "duration", "text", "words", "nbest", "seconds", "rtf"]


def test_json_can_be_printed_on_any_terminal() -> None:
    line = to_json(Transcript("naïve", (), 0.0, 0.0), "\udcff.wav")
    assert line.isascii() and json.loads(line)["text"] == "naïve"
    assert json.loads(line)["rtf"] == 0.0


def test_events_become_json() -> None:
    partial = Event("partial", "hello wor", "hello ", "wor", 1.0, 1.5, (), 12.345)
    assert json.loads(event_to_json(partial)) == {
        "type": "partial",
        "text": "hello wor",
        "committed": "hello ",
        "tentative": "wor",
        "start": 1.0,
        "end": 1.5,
        "latency_ms": 12.3,
    }
    final = Event("final", "hello world", "hello world", "", 1.0, 1.6, HELLO.words, 20.0)
    assert [word["word"] for word in json.loads(event_to_json(final))["words"]] == ["hello", "world"]
    assert json.loads(event_to_json(Event("final", "")))["words"] == []
    status = json.loads(event_to_json(Event("status", "3 blocks lost\nso far")))
    assert status["text"] == "3 blocks lost\nso far" and "words" not in status


def test_segments_become_srt() -> None:
    assert to_srt([HELLO, segment("again", start=3725.5)]) == (
        "1\n00:00:01,000 --> 00:00:01,800\nhello world\n\n2\n01:02:05,500 --> 01:02:06,300\nagain\n\n"
    )
    assert to_srt([]) == ""


def test_vtt_is_escaped() -> None:
    assert to_vtt([segment("r&d <b>", start=0.5)]) == ("WEBVTT\n\n00:00:00.500 --> 00:00:01.300\nr&amp;d &lt;b&gt;\n\n")
    assert to_vtt([]) == VTT_HEADER


def test_long_segments_are_cut_at_word_boundaries() -> None:
    pieces = cues(LONG)
    assert " ".join(line for cue in pieces for line in cue.lines) == LONG.text
    assert all(len(line) <= LINE_WIDTH for cue in pieces for line in cue.lines)
    assert {len(cue.lines) for cue in pieces[:-1]} == {2}
    assert all(0 < cue.end - cue.start <= MAX_CUE_SECONDS for cue in pieces)
    assert all(before.end <= after.start for before, after in zip(pieces, pieces[1:], strict=False))
    assert pieces[0].start == LONG.words[0].start and pieces[-1].end >= LONG.words[-1].end


def test_wide_characters_are_cut_anywhere_and_count_twice() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    whole = Segment(text, 1.0, 21.0, (Word(text, 1.0, 21.0, 0.9),))
    pieces = cues(whole)
    lines = [line for cue in pieces for line in cue.lines]
    assert "".join(lines) == text
    assert max(map(len, lines)) == LINE_WIDTH // 2
    assert all(0 < cue.end - cue.start <= MAX_CUE_SECONDS for cue in pieces)
    assert [cue.start for cue in pieces[1:]] == pytest.approx([cue.end for cue in pieces[:-1]])
    assert pieces[0].start == 1.0 and pieces[-1].end == pytest.approx(21.0)
    assert wrap("版本 two 世界 ok " * 4) == ["版本 two 世界 ok 版本 two 世界 ok 版本 two", "世界 ok 版本 two 世界 ok"]
    assert wrap("") == [] and wrap("x" * 90) == ["x" * 42, "x" * 42, "x" * 6]


def test_characters_that_are_words_stand_side_by_side_and_are_cut_at_their_own_times() -> None:
    for first in (0x4E00, 0x0E01):  # wide ones, and those of Thai, which are not
        text = "".join(map(chr, range(first, first + 40)))
        starts = [0.25 * at + (6.0 if at >= 10 else 0.0) for at in range(40)]  # a pause behind the tenth
        words = tuple(
            Word(one, start, start + 0.04, 0.9, joined=at > 0)
            for at, (one, start) in enumerate(zip(text, starts, strict=True))
        )
        pieces = cues(Segment(text, 0.0, words[-1].end, words))
        assert "".join(line for cue in pieces for line in cue.lines) == text
        assert [cue.start for cue in pieces] == [starts[0], starts[10]] or pieces[1].start in starts
        assert all(" " not in line for cue in pieces for line in cue.lines)


def test_slow_speech_is_cut_by_time() -> None:
    pieces = cues(segment("one two three four five", per_word=3.0))
    assert [cue.lines for cue in pieces] == [("one two",), ("three four",), ("five",)]


def test_a_cue_stays_as_long_as_it_takes_to_read_where_there_is_room() -> None:
    def shown(*given: Segment) -> list[tuple[str, str]]:
        blocks = to_srt(given).split("\n\n")[:-1]
        return [(block.split("\n")[1][6:12], block.split("\n")[1][-6:]) for block in blocks]

    short, long = segment("yes", 1.0, 0.2), segment(" ".join(["letters"] * 10), 1.0, 0.1)
    assert shown(short) == [("01,000", "01,800")]
    assert shown(short, segment("no", 1.5)) == [("01,000", "01,500"), ("01,500", "02,300")]
    assert shown(short, segment("no", 2.5))[0] == ("01,000", "01,800")
    assert shown(short, segment("no", 1.1))[0] == ("01,000", "01,180")  # overlapping speech keeps its times
    # two lines of 39 characters, at 20 per second
    assert shown(long)[0] == ("01,000", "04,900")
    assert shown(long, segment("no", 4.0))[0] == ("01,000", "04,000")


def test_the_last_cue_of_a_segment_is_not_too_short_for_the_next_to_follow_at_once() -> None:
    text = " ".join(["abcdefghi"] * 9)  # eight fill two lines
    first, last = to_srt([segment(text, 0.0, 0.4), segment("next", 3.6)]).split("\n\n")[:2]
    assert last.endswith("abcdefghi abcdefghi abcdefghi") and first.count("abcdefghi") == 6
    assert [len(cue.lines) for cue in cues(segment("abcdefghi", 0.0))] == [1]


def test_a_cue_begins_after_the_one_that_is_shown() -> None:
    assert [(cue.start, cue.end) for cue in cues(segment("again", 1.2), after=1.8)] == [(1.8, 2.6)]
    assert [(cue.start, cue.end) for cue in cues(segment("again", 1.2), after=0.5)] == [(1.2, 2.0)]


def test_players_do_not_take_unknown_words_for_tags() -> None:
    assert "\nturn on [unknown]\n" in to_srt([segment("turn on <unknown>")])
    assert "\nturn on [unknown] &lt;b&gt;\n" in to_vtt([segment("turn on <unknown> <b>")])


def test_a_word_wider_than_a_line_and_longer_than_a_cue_stays_whole() -> None:
    word = "a" * 50
    pieces = cues(Segment(f"b {word}", 0.0, 20.0, (Word("b", 0.0, 0.1, 1.0), Word(word, 0.2, 20.0, 1.0))))
    assert [cue.lines for cue in pieces] == [("b",), (word,)]


def test_words_without_times_share_the_segment() -> None:
    assert cues(Segment("aaa b", 2.0, 6.0, ())) == (Cue(2.0, 6.0, ("aaa b",)),)
    long = cues(Segment("aaa b", 0.0, 16.0, ()))
    assert long == (Cue(0.0, 12.0, ("aaa",)), Cue(12.0, 16.0, ("b",)))
    assert cues(Segment("", 0.0, 16.0, ())) == ()


def test_a_cue_without_length_still_lasts() -> None:
    assert srt_cue(7, Cue(1.0, 1.0, ("a", "b"))) == "7\n00:00:01,000 --> 00:00:01,001\na\nb\n\n"
    assert vtt_cue(Cue(-0.01, 59.9996, ("a",))) == "00:00:00.000 --> 00:01:00.000\na\n\n"


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_finals_appended_one_by_one_equal_the_whole_file(kind: str) -> None:
    segments = [HELLO, LONG, segment("the end", start=4000.0)]
    finals = [Event("final", s.text, s.text, "", s.start, s.end, s.words, 0.0) for s in segments]
    flat = [cue for final in finals for cue in cues(final)]
    if kind == "srt":
        assert "".join(srt_cue(index, cue) for index, cue in enumerate(flat, start=1)) == to_srt(segments)
    else:
        assert VTT_HEADER + "".join(vtt_cue(cue) for cue in flat) == to_vtt(segments)


def test_every_block_of_a_vtt_file_is_valid() -> None:
    blocks = to_vtt([HELLO, segment("a --> b & c"), LONG]).split("\n\n")
    assert blocks[0] == "WEBVTT" and blocks[-1] == ""
    time = r"\d{2,}:[0-5]\d:[0-5]\d\.\d{3}"
    for block in blocks[1:-1]:
        timing, *text = block.split("\n")
        assert re.fullmatch(f"{time} --> {time}", timing)
        assert text and not any("-->" in line for line in text)
    assert "a --> b & c" in html.unescape("\n".join(blocks))
