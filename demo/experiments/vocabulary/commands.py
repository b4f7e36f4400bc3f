"""Counts utterances that a closed grammar recognises, and those outside of it that it takes for a command.

Run: python -m edgespeech.demo.experiments.vocabulary.commands GRAMMAR MANIFEST... [--filler-score X] [--min-evidence X]
    [--search-only] [--every N]

An utterance is in the grammar if its text is one of the phrases. One outside is accepted if its text is nothing but
phrases; a word is false if it is in a phrase of the text, and was not said.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.runtime.decoder.grammar import UNKNOWN, read_grammar
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import normalise
from edgespeech.runtime.options import DEFAULT_MIN_EVIDENCE
from edgespeech.runtime.recognizer import Recognizer

HEADINGS = (
    "utterances", "in the grammar", "right", "nothing", "other speech", "wrong phrase",
    "outside", "accepted", "words", "false words",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What was said, and the text that was recognised."""

    said: str
    text: str

    def kind(self) -> str:
        """Return the heading under which an utterance of the grammar counts."""
        if self.text == self.said:
            return "right"
        return "other speech" if UNKNOWN in self.text else "wrong phrase" if self.text else "nothing"

    @property
    def is_accepted(self) -> bool:
        """Whether the text is nothing but phrases."""
        return bool(self.text) and UNKNOWN not in self.text

    @property
    def false_words(self) -> int:
        """Number of recognised words that were not said."""
        return (Counter(self.text.replace(UNKNOWN, "").split()) - Counter(self.said.split())).total()


def row(name: str, outcomes: Sequence[Outcome], phrases: set[str]) -> list[str]:
    """Return the cells of one manifest."""
    inside = [one for one in outcomes if one.said in phrases]
    outside = [one for one in outcomes if one.said not in phrases]
    kinds = Counter(one.kind() for one in inside)
    cells = [name, str(len(inside))]
    cells += [_share(kinds[kind], len(inside)) for kind in ("right", "nothing", "other speech", "wrong phrase")]
    cells += [str(len(outside)), _share(sum(one.is_accepted for one in outside), len(outside))]
    return [*cells, str(sum(len(one.said.split()) for one in outside)), str(sum(one.false_words for one in outside))]


def recognise(recognizer: Recognizer, utterances: Sequence[Utterance], title: str) -> list[Outcome]:
    """Recognise each utterance as a recording of its own."""
    found = []
    for one in track(utterances, title):
        text = recognizer.transcribe((read_samples(one, recognizer.sample_rate), recognizer.sample_rate)).text
        found.append(Outcome(normalise(one.text), text))
    return found


def main(arguments: Sequence[str] | None = None, recognizer: Recognizer | None = None) -> None:
    """Print a table with one row per manifest; the settings of another recognizer are kept."""
    parser = argparse.ArgumentParser(description="Count commands that are recognised, and false ones.")
    parser.add_argument("grammar", type=Path)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--filler-score", type=float)
    parser.add_argument("--min-evidence", type=float, default=DEFAULT_MIN_EVIDENCE)
    parser.add_argument("--search-only", action="store_true", help="without the exact scores of whole segments")
    parser.add_argument("--every", type=int, default=1, help="of how many utterances one is used")
    given = parser.parse_args(arguments)
    phrases = read_grammar(given.grammar)
    recognizer = recognizer or Recognizer(
        grammar=phrases,
        filler_score=given.filler_score,
        min_evidence=given.min_evidence,
        whole_phrases=not given.search_only,
    )
    known = {normalise(phrase) for phrase in phrases}
    rows = []
    for path in given.manifests:
        name = f"{path.absolute().parent.name}/{path.name}"
        rows.append(row(name, recognise(recognizer, read_manifest(path)[:: given.every], name), known))
    print(output_text([Table(HEADINGS, rows)]))


def _share(count: int, total: int) -> str:
    return f"{100.0 * count / total:.1f} %" if total else ""


if __name__ == "__main__":
    main()
