"""The search in JavaScript against Python's: the same hypotheses, partials, previews, scores and confidences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, PIECES, random_log_probs

Array = NDArray[np.float64]
Job = Callable[..., Any]

# The sums are of the same numbers in the same order, but for sums over many hypotheses, which numpy adds in pairs.
TOLERANCE = 1e-9

SMALL = GOLDEN / "random_both.bin"
BUNDLE = DEFAULT_BUNDLE / "lm.bin"
SPACES = ("", "a", "b ", " ", "a b", "", " b", "ab")
SPACELESS = ("", "a", "b", "打", "开", "ab", "\U00020000")
LONGER = ("", " ", "'", *"abcdefghijklmnop", "st", "ü", "eigh", "\U0001f600")

CASES: dict[str, tuple[Sequence[str], Path | None, dict[str, Any]]] = {
    "no model": (LETTERS, None, {}),
    "beta": (PIECES, None, {"beta": 1.2}),
    "model": (LONGER, SMALL, {"beta": -1.0, "alpha": 0.8, "unknown_score": -3.0}),
    "characters": (LONGER[2:19], SMALL, {"unit": "character", "beta": 0.3}),
    "characters and hot words": (LONGER[2:19], SMALL, {"unit": "character", "hot_words": {"ab": 3.0, "ba": 2.0}}),
    "no spaces": (SPACELESS, None, {}),
    "no spaces, one word": (SPACELESS, None, {"unit": "word", "beta": 0.4}),
    "no spaces, hot words": (SPACELESS, None, {"hot_words": {"ab": 3.0, "\U00020000打": 4.0, "a": 1.0}}),
    "no spaces, grammar": (SPACELESS, None, {"grammar": ["ab打", "打开"], "filler_score": -1.0}),
    "spaces anywhere": (SPACES, None, {"beta": -0.5}),
    "hot words": (LETTERS, None, {"hot_words": {"ab": 3.0, "b a": 4.0, "a": 1.0}}),
    "hot words and model": (LONGER, SMALL, {"hot_words": {"bba": 6.0, "A B": 2.0, "d ab": 5.0, "\U0001f600a": 3.0}}),
    "grammar": (LETTERS, None, {"grammar": ["ab", "b a", "b"], "filler_score": -1.0}),
    "grammar of pieces": (SPACES, None, {"grammar": ["ab b", "bb"]}),
    "no pruning": (LONGER, SMALL, {"symbol_mass": 1.0, "max_symbols": None, "beam_threshold": None}),
    "few symbols": (LONGER, SMALL, {"max_symbols": 3, "beam_threshold": 4.0, "confidence_power": 2.0}),
}  # fmt: skip
_NAMES = {
    "beam_width": "beamWidth", "unknown_score": "unknownScore", "filler_score": "fillerScore", "hot_words": "hotWords",
    "symbol_mass": "symbolMass", "max_symbols": "maxSymbols", "beam_threshold": "beamThreshold",
    "max_tentative": "maxTentative", "confidence_power": "confidencePower",
}  # fmt: skip


@cache
def language_model(path: Path | None) -> LanguageModel | None:
    return None if path is None else LanguageModel(path)


def compare(
    run_job: Job,
    labels: Sequence[str],
    lm: Path | None,
    options: dict[str, Any],
    log_probs: Array,
    cuts: list[int],
    nbest: int | None = None,
) -> dict[str, Any]:
    """Decode with both, require equal results, and return what the job in JavaScript reports."""
    # The port has no exact scores of whole segments.
    decoder = BeamSearchDecoder(labels, 0, language_model(lm), frame_seconds=0.03, whole_phrases=False, **options)
    state, partials, previews = decoder.initial_state(), [], []
    for chunk in np.split(log_probs, cuts):
        previews.append(decoder.preview(chunk, state))
        partial, state = decoder.step(chunk, state)
        partials.append([partial.text, partial.committed, partial.tentative])
    wanted = decoder.finish(state, nbest)
    found: dict[str, Any] = run_job(
        "search",
        labels=list(labels),
        blank=0,
        lm=lm,
        options={_NAMES.get(name, name): value for name, value in options.items()},
        logProbs=log_probs.astype(np.float64),
        cuts=cuts,
        nbest=nbest,
    )
    assert found["partials"] == partials and found["previews"] == previews
    assert [_exact(one) for one in found["hypotheses"]] == [_exact(_as_json(one)) for one in wanted]
    for one, other in zip(found["hypotheses"], wanted, strict=True):
        assert _numbers(one) == pytest.approx(_numbers(_as_json(other)), abs=TOLERANCE, rel=0.0)
    return found


def _as_json(hypothesis: Hypothesis) -> dict[str, Any]:
    return asdict(hypothesis)


def _exact(hypothesis: dict[str, Any]) -> list[Any]:
    words = [[word["word"], word["start"], word["end"], word["joined"]] for word in hypothesis["words"]]
    return [hypothesis["text"], list(hypothesis["labels"]), list(hypothesis["frames"]), words]


def _numbers(hypothesis: dict[str, Any]) -> list[float]:
    scores = [hypothesis[name] for name in ("score", "acoustic_score", "lm_score", "hot_word_score")]
    return [*scores, *(word["confidence"] for word in hypothesis["words"])]


@pytest.mark.parametrize("case", CASES)
def test_random_log_probabilities_give_equal_results(run_job: Job, case: str) -> None:
    labels, lm, options = CASES[case]
    for seed, (width, peak, tentative) in enumerate([(1, 2.0, 128), (7, 0.5, 20), (24, 1.5, 2), (60, 4.0, None)]):
        log_probs = random_log_probs(seed, 300, len(labels), peak)
        settings = {"beam_width": width, "max_tentative": tentative, **options}
        compare(run_job, labels, lm, settings, log_probs, [1, 30, 31, 130])


def test_ties_are_decided_by_the_order_of_the_labels(run_job: Job) -> None:
    log_probs = np.log(np.full((40, len(LETTERS)), 0.25))
    for width in (1, 3, 20):
        compare(run_job, LETTERS, None, {"beam_width": width}, log_probs, [5])


def test_impossible_labels_are_allowed(run_job: Job) -> None:
    log_probs = random_log_probs(3, 120, len(LONGER), 2.0)
    log_probs[::3, 1::2] = -np.inf
    log_probs[50:60, :-1] = -np.inf
    compare(run_job, LONGER, SMALL, {"beam_width": 30, "symbol_mass": 1.0}, log_probs, [])


@pytest.fixture(scope="module")
def speech(recognizer: Recognizer, clips: list[NDArray[np.float32]]) -> Callable[[float], Array]:
    """Log-probabilities of the sample clips, joined again and again: a little later and quieter in each round."""

    def compute(seconds: float) -> Array:
        rounds = range(1 + int(seconds * 16000) // sum(map(len, clips)))
        pieces = [clip[31 * number :] * np.float32(0.97**number) for number in rounds for clip in clips]
        samples = np.concatenate(pieces)[: int(seconds * 16000)]
        return np.asarray(recognizer.model.stream(samples[None])[0], np.float64)

    return compute


@pytest.mark.parametrize("width", [8, 64, 512])
@pytest.mark.parametrize(
    "options",
    [
        {"lm": BUNDLE, "alpha": 1.0, "beta": 1.0, "unknown_score": -80.0},
        {"lm": BUNDLE, "hot_words": {"wardens she saw": 9.0, "xylophone": 4.0}},
        {"grammar": ["pet cat and dog", "women", "the first row", "reassured"]},
        {},
    ],
    ids=["model", "hot words", "grammar", "no model"],
)
def test_speech_gives_equal_results(
    run_job: Job, recognizer: Recognizer, speech: Callable[[float], Array], width: int, options: dict[str, Any]
) -> None:
    log_probs, (lm, settings) = speech(29.0), _split(options)
    cuts = list(range(10, len(log_probs), 10))
    found = compare(run_job, recognizer.decoder.labels, lm, {"beam_width": width, **settings}, log_probs, cuts, 20)
    assert found["committed"] > 100 or "grammar" in settings


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 512])
def test_ten_minutes_without_an_endpoint_give_equal_results(
    run_job: Job, recognizer: Recognizer, speech: Callable[[float], Array], width: int
) -> None:
    """Here alternatives are dropped by the limit of tentative labels, and the table of prefix states is renewed."""
    log_probs = speech(600.0)
    settings = {"beam_width": width, "alpha": 1.0, "beta": 1.0, "unknown_score": -80.0}
    cuts = list(range(10, len(log_probs), 10))
    found = compare(run_job, recognizer.decoder.labels, BUNDLE, settings, log_probs, cuts, 20)
    assert found["committed"] > 5000
    assert len(found["hypotheses"][0]["words"]) > 1000


def _split(options: dict[str, Any]) -> tuple[Path | None, dict[str, Any]]:
    return options.get("lm"), {name: value for name, value in options.items() if name != "lm"}
