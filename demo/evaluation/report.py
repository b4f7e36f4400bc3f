"""Evaluations as text, as Markdown and for JSON: figures, the most frequent errors, the difference of two bundles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from edgespeech.runtime.measure.evaluation import Evaluation
from edgespeech.runtime.measure.tables import Table
from edgespeech.runtime.measure.word_errors import difference_interval
from edgespeech.runtime.measure.written_errors import MARK_NAMES, WrittenScore

HEADINGS = ("speech", "condition", "WER %", "95 % interval", "CER %", "deleted %", "words", "real-time factor")
HEADINGS_OF_CHARACTERS = (
    "speech", "condition", "CER %", "95 % interval", "deleted %", "characters", "real-time factor",
)  # fmt: skip
_LEFT = 2  # columns of text


def summary(evaluation: Evaluation) -> str:
    """Describe a single evaluation in a few lines."""
    errors = evaluation.errors
    rate, units = ("CER", "characters") if evaluation.by_characters else ("WER", "words")
    other = "" if evaluation.by_characters else f"CER {evaluation.cer:.2%}\n"
    return (
        f"{rate} {evaluation.wer:.2%}   ({errors.substitutions} substitutions, {errors.deletions} deletions, "
        f"{errors.insertions} insertions in {errors.words} {units})\n"
        f"    {evaluation.interval} % in 95 of 100 draws of other {evaluation.interval.resampled}\n"
        f"{other}"
        f"{len(evaluation.references)} utterances, {evaluation.audio_seconds:.1f} s of audio in "
        f"{evaluation.seconds:.1f} s: real-time factor {evaluation.rtf:.4f}"
    )


def evaluations_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return a table with one row per evaluation."""
    headings = HEADINGS_OF_CHARACTERS if any(one.by_characters for one in evaluations) else HEADINGS
    return Table(headings, [_cells(one) for one in evaluations], _LEFT)


def explain_intervals(evaluations: Sequence[Evaluation]) -> str:
    """Explain in one line what the intervals were resampled over."""
    resampled = {
        kind: sorted({one.corpus for one in evaluations if one.interval.resampled == kind})
        for kind in ("speakers", "utterances")
    }
    named = "; ".join(f"{kind} of {', '.join(corpora)}" for kind, corpora in resampled.items() if corpora)
    return f"Intervals: bootstrap over the {named}."


def _cells(one: Evaluation) -> tuple[str, ...]:
    return (
        one.corpus,
        one.condition,
        f"{100 * one.wer:.1f}",
        str(one.interval),
        *([] if one.by_characters else [f"{100 * one.cer:.1f}"]),
        f"{100 * one.errors.deletion_rate:.1f}",
        str(one.words),
        f"{one.rtf:.4f}",
    )


class Difference(TypedDict):
    """Word error rate of another bundle on the same speech, and how far this one's is above it; fractions."""

    wer: float
    difference: float
    difference_interval: list[float]
    resampled: str


def difference(evaluation: Evaluation, other: Evaluation) -> Difference:
    """Compare the word error rates of two bundles on the same utterances."""
    interval = difference_interval(evaluation.errors, other.errors, evaluation.speakers)
    return {
        "wer": other.wer,
        "difference": evaluation.wer - other.wer,
        "difference_interval": [interval.low, interval.high],
        "resampled": interval.resampled,
    }


def difference_line(evaluation: Evaluation, other: Evaluation, bundle: Path) -> str:
    """Describe the difference from another bundle in one line."""
    found = difference(evaluation, other)
    low, high = found["difference_interval"]
    within = "within noise" if low <= 0.0 <= high else "more than noise"
    return (
        f"{evaluation.corpus}, {evaluation.condition}: {100 * found['difference']:+.2f} points against {other.wer:.2%} "
        f"of {bundle}, {100 * low:+.2f} to {100 * high:+.2f} in 95 of 100 draws of other {found['resampled']}: {within}"
    )


def written_line(name: str, score: WrittenScore) -> str:
    """Describe marks and cases in one line; those that the references do not have are left out."""
    marks = [
        f"{MARK_NAMES[mark]} {one.f1:.3f} ({one.precision:.3f} precision, {one.recall:.3f} recall, {one.wanted} marks)"
        for mark, one in score.marks.items()
        if one.wanted
    ]
    return f"{name}: F1 of {'; '.join(marks) or 'no marks'}; case {score.case:.2%} of {score.words} words"


class Confusions(TypedDict):
    """The most frequent errors: [reference, hypothesis, count], and [word, count]."""

    substituted: list[tuple[str, str, int]]
    deleted: list[tuple[str, int]]
    inserted: list[tuple[str, int]]


def confusions(evaluation: Evaluation, limit: int) -> Confusions:
    """Return up to ``limit`` of the most frequent errors of each kind."""
    errors = evaluation.errors
    return {
        "substituted": [(*pair, count) for pair, count in errors.substituted.most_common(limit)],
        "deleted": errors.deleted.most_common(limit),
        "inserted": errors.inserted.most_common(limit),
    }


def confusion_lines(evaluation: Evaluation, limit: int) -> Iterator[str]:
    """Describe the most frequent errors in one line for each kind."""
    found = confusions(evaluation, limit)
    pairs = [f"{reference} -> {hypothesis} {count}" for reference, hypothesis, count in found["substituted"]]
    yield f"{evaluation.corpus}, {evaluation.condition}, substituted: {', '.join(pairs) or 'nothing'}"
    yield f"deleted: {', '.join(f'{word} {count}' for word, count in found['deleted']) or 'nothing'}"
    yield f"inserted: {', '.join(f'{word} {count}' for word, count in found['inserted']) or 'nothing'}"
