"""The work of ``edgespeech punctuation evaluate``: a tagger on printed text that is spoken in simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgespeech.errors import UsageError
from edgespeech.reference.punctuation.speech import UNKNOWN, ErrorRates, Simulation, Speech
from edgespeech.reference.punctuation.training import read_text
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.measure.tables import Table
from edgespeech.runtime.measure.written_errors import MARK_NAMES, WrittenScore
from edgespeech.runtime.punctuation.tagger import PunctuationTagger
from edgespeech.runtime.punctuation.tags import MARKS, Case, Mark, Tag
from edgespeech.runtime.punctuation.writing import cases_in_text

SEED = 7
TAGGER, RULE = "tagger", "period at each endpoint"


@dataclass(frozen=True)
class TextRequest:
    """What ``edgespeech punctuation evaluate`` asks for.

    Attributes:
        texts: Printed texts, a paragraph per line.
        bundle: Bundle with a tagger; None for the default bundle.
        pauses: Whether the tagger is given pauses, as measured on read speech.
        errors: Fraction of words that are misspelled, replaced, left out or inserted.
        limit: Number of words to read at most.
    """

    texts: Sequence[Path]
    bundle: Path | None = None
    pauses: bool = True
    errors: float = 0.0
    limit: int | None = None


def evaluate_tagger(request: TextRequest) -> dict[str, WrittenScore]:
    """Return the scores of the tagger and of the rule that writes a capital and a period at each endpoint.

    Raises:
        UsageError: The bundle has no tagger.
        EdgespeechError: The bundle or a text cannot be read.
    """
    bundle = load_bundle(request.bundle)
    if bundle.punctuation_path is None:
        raise UsageError(f"bundle {bundle.folder} has no tagger; add one with `edgespeech punctuation add`")
    tagger = PunctuationTagger(bundle.punctuation_path, import_onnxruntime())
    text = read_text(request.texts)
    share = request.errors / 7.0
    simulation = Simulation(text, SEED, ErrorRates(3.0 * share, 2.0 * share, share, share))
    speech = simulation.speak(known_pauses=float(request.pauses), hesitation=0.0)
    scores = {TAGGER: WrittenScore(), RULE: WrittenScore()}
    state, begins = tagger.initial_state(), True
    for span in _segments(speech, request.limit):
        words = [simulation.forms[index] for index in speech.words[span]]
        tags, state = tagger.step(words, speech.pauses[span].tolist(), state)
        _add(scores[TAGGER], speech, span, tags, begins)
        begins = tags[-1].mark is Mark.PERIOD
        rule = [Tag(Mark.NONE, Case.LOWER)] * (len(words) - 1)
        _add(scores[RULE], speech, span, [*rule, Tag(Mark.PERIOD, Case.LOWER)], True)
    return scores


def scores_table(scores: Mapping[str, WrittenScore]) -> Table:
    """Return a table with a row for each way of writing."""
    headings = ("written by", *(f"{name} F1" for name in MARK_NAMES.values()), "mean F1", "case %", "words")
    rows = [
        (
            name,
            *(f"{score.marks[mark].f1:.3f}" for mark in MARK_NAMES),
            f"{score.mean_f1:.3f}",
            f"{100 * score.case:.2f}",
            str(score.words),
        )
        for name, score in scores.items()
    ]
    return Table(headings, rows, 1)


def _segments(speech: Speech, limit: int | None) -> Iterator[slice]:
    first = 0
    for end in speech.ends.tolist():
        if limit is not None and end >= limit:
            return
        yield slice(first, end + 1)
        first = end + 1


def _add(score: WrittenScore, speech: Speech, span: slice, tags: Sequence[Tag], begins: bool) -> None:
    """Count a segment; where the text does not tell a mark or a case, nothing is counted."""
    wanted = speech.marks[span]
    found = np.array([tag.mark for tag in tags])
    known = wanted != UNKNOWN
    names = [MARKS[mark] for mark in Mark]
    score.add_marks(
        (names[mark] for mark in wanted[known]),
        (names[mark] for mark in found[known]),
        (names[mark] for mark in wanted[known & (wanted == found)]),
    )
    cases = speech.cases[span].copy()
    before = speech.marks[span.start - 1] if span.start else int(Mark.PERIOD)
    behind_period = np.concatenate([[before], wanted[:-1]]) == int(Mark.PERIOD)
    cases[(cases == UNKNOWN) & behind_period] = int(Case.CAPITAL)
    scored = cases != UNKNOWN
    score.add_cases(int(scored.sum()), int((cases == np.array(cases_in_text(tags, begins)))[scored].sum()))
