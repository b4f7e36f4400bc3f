"""Segments that are a phrase of a grammar as a whole: what is accepted, and what is other speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.grammar import UNKNOWN
from edgespeech.runtime.decoder.options import DecoderOptions
from edgespeech.runtime.decoder.phrases.phrase_scores import PhraseScores
from tests.runtime.decoder.ctc_examples import ALPHABET, LETTERS, PIECES, Array, random_log_probs, spoken

pytestmark = pytest.mark.usefixtures("search")

COMMANDS = ["turn left", "turn right", "stop", "go on"]
PRIORS = tuple(float(np.log(0.4 if not text else 0.6 / (len(ALPHABET) - 1))) for text in ALPHABET)


def _whisper(text: str, sure: float) -> Array:
    """Make frames in which the blank is more probable than each letter of a text but the first one."""
    rows = np.exp(spoken(text, ALPHABET, sure))
    for row in rows[2:]:
        row[0] = max(row[0], 3.0 * row.max())
    return np.asarray(np.log(rows / rows.sum(axis=1, keepdims=True)))


def test_a_phrase_that_the_blank_wins_over_is_found() -> None:
    rows = _whisper("stop", 0.2)
    before = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, filler_score=-20.0, whole_phrases=False)
    assert before.decode(rows)[0].text == ""
    (best, *_) = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, filler_score=-20.0, label_priors=PRIORS).decode(rows)
    assert best.text == "stop"
    exact = PhraseScores(("stop",), ALPHABET, 0).log_probs(rows)
    assert exact is not None and best.acoustic_score == pytest.approx(float(exact[0]))
    assert best.score == pytest.approx(best.acoustic_score + best.hot_word_score)
    assert best.phrase_evidence is not None and best.phrase_evidence > 0.0


def test_the_priors_decide_between_phrases() -> None:
    labels = ("", "a", "b")
    rows = np.log(np.array([[0.2, 0.5, 0.3], [0.96, 0.02, 0.02]]))
    for b, text in ((0.3, "a"), (0.05, "b")):
        priors = tuple(float(one) for one in np.log([0.6, 0.4 - b, b]))
        decoder = BeamSearchDecoder(labels, grammar=["a", "b"], label_priors=priors)
        assert decoder.decode(rows, 1)[0].text == text


def test_silence_is_no_phrase() -> None:
    rows = np.log(np.full((40, len(ALPHABET)), 1e-4) + (1.0 - 1e-4 * len(ALPHABET)) * np.eye(len(ALPHABET))[0])
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, filler_score=-20.0, label_priors=PRIORS)
    assert decoder.decode(rows)[0].text == ""


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("stop", "stop"),
        (" stop ", "stop"),
        ("stop go on", "stop go on"),
        ("turn right stop", "turn right stop"),
        ("stopping", UNKNOWN),
        ("some other words", UNKNOWN),
        ("please stop now", f"{UNKNOWN} stop {UNKNOWN}"),
    ],
)
def test_clear_speech_is_a_phrase_a_sequence_or_other_speech(said: str, text: str) -> None:
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, label_priors=PRIORS, frame_seconds=0.1)
    (best, *others) = decoder.decode(spoken(said, ALPHABET, 0.9))
    assert best.text == text and [word.word for word in best.words] == text.split()
    assert text not in {one.text for one in others}
    starts = [round(word.start / 0.1) for word in best.words if word.word != UNKNOWN]
    assert starts == [2 * said.index(word) for word in text.split() if word != UNKNOWN]


def test_a_phrase_in_other_speech_needs_more_evidence_than_alone() -> None:
    said = "please stop now"
    rows = np.exp(spoken(said, ALPHABET, 0.9))
    for letter in "st":  # each less probable than another letter
        frame = rows[2 * said.index("stop") + 2 * "stop".index(letter)]
        frame[ALPHABET.index(letter)], frame[ALPHABET.index("z")] = 0.15, 0.75
    unclear = np.asarray(np.log(rows))
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS)
    assert decoder.decode(unclear, 1)[0].text == UNKNOWN
    begin = 2 * said.index("stop")
    assert decoder.decode(unclear[begin : begin + 8], 1)[0].text == "stop"
    unchecked = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, whole_phrases=False)
    assert unchecked.decode(unclear, 1)[0].text == f"{UNKNOWN} stop {UNKNOWN}"


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 60), max_size=8), peak=st.floats(0.5, 5.0))
@settings(deadline=None, max_examples=20)
def test_chunked_equals_whole_for_phrases(seed: int, cuts: list[int], peak: float) -> None:
    rows = random_log_probs(seed, 60, len(LETTERS), peak).astype(np.float32)
    decoder = BeamSearchDecoder(
        LETTERS, grammar=["ab", "b a", "b"], beam_width=12, label_priors=(-0.5, -2.0, -3.0, -2.0)
    )
    state = decoder.initial_state()
    for chunk in np.split(rows, sorted(cuts)):
        _, state = decoder.step(chunk, state)
    assert state.frame == 60
    assert decoder.finish(state) == decoder.decode(rows)
    assert decoder.finish(state, 1) == decoder.decode(rows)[:1]


def test_long_segments_keep_no_frames() -> None:
    rows = np.tile(spoken("stop go on ", ALPHABET, 0.9), (100, 1))
    decoder = BeamSearchDecoder(ALPHABET, grammar=COMMANDS, frame_seconds=0.1)
    state = decoder.initial_state()
    for chunk in np.split(rows, 20):
        _, state = decoder.step(chunk, state)
    assert state.rows is None  # type: ignore[union-attr]
    assert decoder.finish(state, 1)[0].text == " ".join(["stop go on"] * 100)


def test_labels_of_several_letters_are_left_to_the_search() -> None:
    rows = random_log_probs(3, 8, len(PIECES), 2.0)
    plain = BeamSearchDecoder(PIECES, grammar=["ab"], whole_phrases=False)
    assert BeamSearchDecoder(PIECES, grammar=["ab"]).decode(rows) == plain.decode(rows)


def test_invalid_priors_and_states_are_refused() -> None:
    with pytest.raises(UsageError, match="2 label priors for 4 labels"):
        BeamSearchDecoder(LETTERS, grammar=["a"], label_priors=(-1.0, -1.0))
    for priors in ((-1.0, 0.5), (float("nan"),), (-float("inf"),)):
        with pytest.raises(UsageError, match="label_priors"):
            DecoderOptions(label_priors=priors)
    other = BeamSearchDecoder(LETTERS).initial_state()
    with pytest.raises(UsageError, match="another decoder"):
        BeamSearchDecoder(LETTERS, grammar=["a"]).finish(other)
