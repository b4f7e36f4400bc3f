"""Evaluations as a table: for a terminal, in Markdown, and inside a document between two marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgespeech.runtime.measure.evaluation import Evaluation
from edgespeech.runtime.measure.word_errors import difference_interval

HEADINGS = ("speech", "condition", "WER %", "95 % interval", "CER %", "deleted %", "words", "real-time factor")


def summary(evaluation: Evaluation) -> str:
    """A single evaluation, in words."""
    errors = evaluation.errors
    return (
        f"WER {evaluation.wer:.2%}   ({errors.substitutions} substitutions, {errors.deletions} deletions, "
        f"{errors.insertions} insertions in {errors.words} words)\n"
        f"    {evaluation.interval} % in 95 of 100 draws of other {evaluation.interval.resampled}\n"
        f"CER {evaluation.cer:.2%}\n"
        f"{len(evaluation.references)} utterances, {evaluation.audio_seconds:.1f} s of audio in "
        f"{evaluation.seconds:.1f} s: real-time factor {evaluation.rtf:.4f}"
    )


def text_table(evaluations: Sequence[Evaluation]) -> str:
    """One row per evaluation, for a terminal."""
    rows = [HEADINGS, *(_cells(one) for one in evaluations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}" for column, (cell, width) in enumerate(row))
        for row in (list(zip(row, widths, strict=True)) for row in rows)
    )


def markdown_table(evaluations: Sequence[Evaluation]) -> str:
    """The same in Markdown, with a line on the intervals."""
    rows = [HEADINGS, ("---", "---", *["---:"] * (len(HEADINGS) - 2)), *(_cells(one) for one in evaluations)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", _on_intervals(evaluations)])


def against(evaluation: Evaluation, other: Evaluation) -> dict[str, Any]:
    """The word error rate of another bundle on the same speech, and how far this one's is above it, for JSON."""
    interval = difference_interval(evaluation.errors, other.errors, evaluation.speakers)
    return {
        "wer": other.wer,
        "difference": evaluation.wer - other.wer,
        "difference_interval": [interval.low, interval.high],
        "resampled": interval.resampled,
    }


def against_line(evaluation: Evaluation, other: Evaluation, bundle: Path) -> str:
    """The same, in words."""
    found = against(evaluation, other)
    low, high = found["difference_interval"]
    within = "within noise" if low <= 0.0 <= high else "more than noise"
    return (
        f"{evaluation.corpus}, {evaluation.condition}: {100 * found['difference']:+.2f} points against {other.wer:.2%} "
        f"of {bundle}, {100 * low:+.2f} to {100 * high:+.2f} in 95 of 100 draws of other {found['resampled']}: {within}"
    )


def _cells(one: Evaluation) -> tuple[str, ...]:
    return (
        one.corpus,
        one.condition,
        f"{100 * one.wer:.1f}",
        str(one.interval),
        f"{100 * one.cer:.1f}",
        f"{100 * one.deletions / one.words:.1f}",
        str(one.words),
        f"{one.rtf:.4f}",
    )


def _on_intervals(evaluations: Sequence[Evaluation]) -> str:
    over = {what: sorted({one.corpus for one in evaluations if one.interval.resampled == what}) for what in _KINDS}
    named = "; ".join(f"{what} of {', '.join(corpora)}" for what, corpora in over.items() if corpora)
    return f"Intervals: bootstrap over the {named}."


_KINDS = ("speakers", "utterances")


def confusions(evaluation: Evaluation, most: int) -> dict[str, list[list[str | int]]]:
    """The most frequent errors: said and heard with counts, words not heard, words that nobody said."""
    errors = evaluation.errors
    return {
        "substituted": [[said, heard, count] for (said, heard), count in errors.substituted.most_common(most)],
        "deleted": [[word, count] for word, count in errors.deleted.most_common(most)],
        "inserted": [[word, count] for word, count in errors.inserted.most_common(most)],
    }


def confusion_lines(evaluation: Evaluation, most: int) -> Iterator[str]:
    """The same, in three lines."""
    found = confusions(evaluation, most)
    pairs = [f"{said} -> {heard} {count}" for said, heard, count in found["substituted"]]
    yield f"{evaluation.corpus}, {evaluation.condition}, most often mistaken: {', '.join(pairs) or 'nothing'}"
    for kind, words in (("not heard", found["deleted"]), ("heard without being said", found["inserted"])):
        yield f"  {kind}: {', '.join(f'{word} {count}' for word, count in words) or 'nothing'}"
