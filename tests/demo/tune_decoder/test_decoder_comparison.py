"""Comparison of the installed decoders on log-probabilities made by hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.demo.tune_decoder.compared_decoders import DECODERS, Task
from edgespeech.demo.tune_decoder.decoder_comparison import (
    CompareRequest,
    Comparison,
    DecoderFigures,
    measure_decoders,
    parse_weights,
    prepare_decoders,
)
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance
from edgespeech.demo.tune_decoder.weight_search import Weights
from edgespeech.errors import MissingDependencyError, UsageError
from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.measure.tables import Table

pytest.importorskip("kenlm")

GOLDEN = Path(__file__).parents[2] / "golden"
LABELS = ("", " ", "a", "b")
MODULES = {"flashlight-text": "flashlight", "flashlight-text-10": "flashlight", "pyctcdecode": "pyctcdecode"}


def synthesise(text: str, certainty: float = 0.99) -> AcousticUtterance:
    """Make the log-probabilities of a text: each label, then a blank."""
    probabilities = np.full((2 * len(text), len(LABELS)), (1.0 - certainty) / 3)
    for frame, letter in enumerate(text):
        probabilities[2 * frame, LABELS.index(letter)] = certainty
        probabilities[2 * frame + 1, 0] = certainty
    return AcousticUtterance(text, np.log(probabilities).astype(np.float32), 0.08 * len(text))


@pytest.fixture
def task() -> Task:
    path = GOLDEN / "tiny.bin"
    return Task(LABELS, 0, LanguageModel(path), SentenceScorer(path))


@pytest.fixture(params=DECODERS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in MODULES:
        pytest.importorskip(MODULES[request.param])
    return str(request.param)


@pytest.mark.filterwarnings("ignore")  # those of the other libraries
def test_every_decoder_recognises_certain_labels(task: Task, name: str) -> None:
    decoder = DECODERS[name](task)
    search = decoder.search(decoder.start, 16)
    for text in ("a", "bab a ab", "ab b"):
        log_probs = synthesise(text).log_probs
        assert search.text(log_probs) == text
        best = search.nbest(log_probs)[0]
        assert best.text == text
        score = task.scorer.score(text)
        assert best[2:] == (score.log_prob, len(text.split()), 0)


@pytest.mark.filterwarnings("ignore")
def test_weights_have_the_same_unit_in_every_decoder(task: Task, name: str) -> None:
    # "a ab" or "a b": the acoustics prefer the second by about 0.25, the language model the first by 0.6 ln 10 = 1.38.
    frames = synthesise("a ab").log_probs.copy()
    frames[4] = np.log([0.56, 0.002, 0.436, 0.002])
    decoder = DECODERS[name](task)
    for alpha, text in ((0.0, "a b"), (0.1, "a b"), (0.3, "a ab"), (1.0, "a ab")):
        assert decoder.search(Weights(alpha, 0.0, decoder.start.unknown_score), 16).text(frames) == text


def test_decoders_are_tuned_and_measured_and_missing_ones_are_listed(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(task: Task) -> Any:
        raise MissingDependencyError("not installed; run: pip install it")

    utterances = [synthesise("a ab"), synthesise("bab a"), synthesise("a", 0.3)]
    caplog.set_level(logging.INFO, "edgespeech")
    decoders = {"edgespeech": DECODERS["edgespeech"], "other": missing}
    candidates = prepare_decoders(decoders, task, utterances[:2], {})
    ours, other = measure_decoders(candidates, utterances, (2, 8))
    assert ours.decodings >= 2 and ours.weights is not None
    assert set(ours.wer) == set(ours.cpu) == {2, 8}
    assert all(seconds > 0.0 for seconds in ours.cpu.values()) and ours.wer[8] <= 0.2
    assert other.wer == {} and other.weights is None
    lines = [line for line in caplog.messages if line.startswith("edgespeech: ")]
    assert len(lines) == ours.decodings and "; best " in lines[-1]
    notes = Comparison(3, 5, 1.0, 2, (2, 8), (ours, other)).page()[2:]
    assert notes == [
        "other: not installed; run: pip install it", "weights tuned on 2 of these utterances: optimistic",
    ]  # fmt: skip


def test_given_weights_are_not_tuned(task: Task) -> None:
    weights = Weights(0.5, 1.0, -10.0)
    (candidate,) = prepare_decoders(
        {"edgespeech": DECODERS["edgespeech"]}, task, [synthesise("a")], {"edgespeech": weights}
    )
    assert candidate.figures.weights == weights and candidate.figures.decodings == 0


def test_an_unavailable_decoder_keeps_its_older_json_key() -> None:
    found: Any = Comparison(1, 2, 1.0, 0, (2,), (DecoderFigures("other", unavailable="not installed"),)).as_dict()
    (entry,) = found["decoders"]
    assert entry["unavailable"] == entry["remark"] == "not installed" and entry["weights"] is None


def test_the_table_has_two_columns_per_beam() -> None:
    figures = DecoderFigures("ours", Weights(0.5, 1.5, -10.0), 3, 0.25, {2: 0.5, 8: 0.25}, {2: 0.001, 8: 0.002})
    title, table = Comparison(3, 5, 1.0, 0, (2, 8), (figures,)).page()
    assert isinstance(table, Table) and str(title).startswith("3 utterances, 5 words")
    assert table.headings == ("decoder", "weights", "beam 2: WER", "CPU", "beam 8: WER", "CPU", "set-up")
    (row,) = table.rows
    assert row[1] == "alpha 0.5, beta 1.5, unknown score -10, tuned with 3 decodings"
    assert row[2:] == ["50.00%", "0.00100", "25.00%", "0.00200", "0.25 s"]


def test_a_request_names_known_decoders_only() -> None:
    with pytest.raises(UsageError, match="decoder 'nix' is unknown"):
        CompareRequest(Path("m.jsonl"), given={"nix": Weights(1.0, 1.0, 0.0)})


def test_weights_are_parsed() -> None:
    assert parse_weights(["a=0.5,1.5,-60", "b=1,2"]) == {"a": Weights(0.5, 1.5, -60.0), "b": Weights(1.0, 2.0, 0.0)}


@pytest.mark.parametrize("option", ["", "0.5,1", "a=", "a=1", "a=1,2,3,4", "a=x,1", "a=nan,1", "a=-1,1", "a=1,1,5"])
def test_invalid_weights_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match="wanted NAME=ALPHA,BETA,UNKNOWN"):
        parse_weights([option])


def test_the_command_refuses_invalid_options(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    for arguments, message in (
        (["--decoder", "nix"], "decoder 'nix' is unknown; wanted one of: edgespeech;"),
        (["--weights", "nix=1,1"], "decoder 'nix' is unknown"),
        (["--tune-every", "0"], "every 0th utterance"),
        (["--beams", "no"], "beams are 'no'"),
    ):
        outcome = edgespeech("lm", "compare", tmp_path / "m.jsonl", *arguments)
        assert outcome.code == 2 and outcome.err.count("\n") == 1 and message in outcome.err


@pytest.mark.slow
def test_the_command_measures_the_default_bundle(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    from edgespeech.runtime.manifest import SAMPLE_CLIPS

    arguments = ["--cache", tmp_path, "--beams", "4", "--decoder", "edgespeech", "--weights", "edgespeech=0.5,1.5,-20"]
    outcome = edgespeech("lm", "compare", SAMPLE_CLIPS, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    (figures,) = json.loads(outcome.out)["decoders"]
    assert 0.0 < figures["wer"]["4"] < 1.5 and figures["cpu"]["4"] > 0.0
