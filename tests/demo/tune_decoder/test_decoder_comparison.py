"""Comparing decoders: the real ones where they are installed, on log-probabilities made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.demo.tune_decoder.compared_decoders import DECODERS, Task
from edgespeech.demo.tune_decoder.decoder_comparison import Comparison, enter, measure_entrants, parse_weights
from edgespeech.demo.tune_decoder.log_prob_cache import HeardUtterance
from edgespeech.demo.tune_decoder.weight_search import Weights
from edgespeech.errors import MissingDependencyError, UsageError
from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.decoder.language_model import LanguageModel

pytest.importorskip("kenlm")

GOLDEN = Path(__file__).parents[2] / "golden"
LABELS = ("", " ", "a", "b")
MODULES = {"flashlight-text": "flashlight", "flashlight-text-10": "flashlight", "pyctcdecode": "pyctcdecode"}


def speak(text: str, certainty: float = 0.99) -> HeardUtterance:
    """Log-probabilities of a text: each label, then a blank."""
    probabilities = np.full((2 * len(text), len(LABELS)), (1.0 - certainty) / 3)
    for frame, letter in enumerate(text):
        probabilities[2 * frame, LABELS.index(letter)] = certainty
        probabilities[2 * frame + 1, 0] = certainty
    return HeardUtterance(text, np.log(probabilities).astype(np.float32), 0.08 * len(text))


@pytest.fixture
def task() -> Task:
    path = GOLDEN / "tiny.bin"
    return Task(LABELS, 0, LanguageModel(path), SentenceScorer(path))


@pytest.fixture(params=DECODERS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in MODULES:
        pytest.importorskip(MODULES[request.param])
    return str(request.param)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_every_decoder_reads_what_is_clear(task: Task, name: str) -> None:
    decoder = DECODERS[name](task)
    search = decoder.search(decoder.start, 16)
    for text in ("a", "bab a ab", "ab b"):
        heard = speak(text)
        assert search.text(heard.log_probs) == text
        readings = search.readings(heard.log_probs)
        assert readings[0].text == text
        score = task.scorer.score(text)
        assert readings[0][2:] == (score.log_prob, len(text.split()), 0)


@pytest.mark.filterwarnings("ignore")
def test_the_weights_mean_the_same_to_every_decoder(task: Task, name: str) -> None:
    # "a ab" or "a b": the sound prefers the second by about 0.25, the model the first by 0.6 ln 10 = 1.38.
    frames = speak("a ab").log_probs.copy()
    frames[4] = np.log([0.56, 0.002, 0.436, 0.002])
    decoder = DECODERS[name](task)
    for alpha, text in ((0.0, "a b"), (0.1, "a b"), (0.3, "a ab"), (1.0, "a ab")):
        assert decoder.search(Weights(alpha, 0.0, decoder.start.unknown_score), 16).text(frames) == text


def test_decoders_are_tuned_and_measured_and_those_that_are_missing_say_so(task: Task) -> None:
    def missing(task: Task) -> Any:
        raise MissingDependencyError("not installed; run: pip install it")

    heard = [speak("a ab"), speak("bab a"), speak("a", 0.3)]
    entrants = enter({"edgespeech": DECODERS["edgespeech"], "other": missing}, task, heard[:2], {})
    done: list[tuple[int, int]] = []
    ours, other = measure_entrants(entrants, heard, (2, 8), lambda *both: done.append(both))
    assert ours.decodings >= 2 and ours.weights is not None
    assert set(ours.wer) == set(ours.cpu) == {2, 8}
    assert all(seconds > 0.0 for seconds in ours.cpu.values()) and ours.wer[8] <= 0.2
    assert other.wer == {} and other.weights is None
    assert done == [(1, 3), (2, 3), (3, 3)]
    table = Comparison(3, 5, 1.0, 2, (2, 8), (ours, other)).table()
    assert "other: not installed; run: pip install it" in table and "tuned on 2 of these" in table


def test_given_weights_are_not_tuned(task: Task) -> None:
    weights = Weights(0.5, 1.0, -10.0)
    (entrant,) = enter({"edgespeech": DECODERS["edgespeech"]}, task, [speak("a")], {"edgespeech": weights})
    assert entrant.figures.weights == weights and entrant.figures.decodings == 0


def test_weights_are_read() -> None:
    assert parse_weights(["a=0.5,1.5,-60", "b=1,2"]) == {"a": Weights(0.5, 1.5, -60.0), "b": Weights(1.0, 2.0, 0.0)}


@pytest.mark.parametrize("option", ["", "0.5,1", "a=", "a=1", "a=1,2,3,4", "a=x,1", "a=nan,1", "a=-1,1", "a=1,1,5"])
def test_weights_that_are_none_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match="wanted NAME=ALPHA,BETA,UNKNOWN"):
        parse_weights([option])


def test_the_command_refuses_what_it_does_not_know(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    for arguments, message in (
        (["--decoder", "nix"], "decoder 'nix' is unknown; wanted one of: edgespeech;"),
        (["--weights", "nix=1,1"], "decoder 'nix' is unknown"),
        (["--tune-every", "0"], "every 0th utterance"),
        (["--beams", "no"], "beams are 'no'"),
    ):
        outcome = edgespeech("lm", "compare", tmp_path / "m.jsonl", *arguments)
        assert outcome.code == 2 and outcome.err.count("\n") == 1 and message in outcome.err


@pytest.mark.slow
def test_the_command_measures_the_bundle_that_ships(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    from edgespeech.runtime.manifest import SAMPLE_CLIPS

    arguments = ["--cache", tmp_path, "--beams", "4", "--decoder", "edgespeech", "--weights", "edgespeech=0.5,1.5,-20"]
    outcome = edgespeech("lm", "compare", SAMPLE_CLIPS, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    (figures,) = json.loads(outcome.out)["decoders"]
    assert 0.0 < figures["wer"]["4"] < 1.5 and figures["cpu"]["4"] > 0.0
