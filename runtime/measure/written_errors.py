"""How well a text is written: precision, recall and F1 of each mark, and the fraction of words in the right case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rapidfuzz.distance import Levenshtein

from edgespeech.runtime.measure.normalisation import scoring_text

MARK_NAMES: Final = {",": "comma", ".": "period", "?": "question", "!": "exclamation"}
_TOKEN = re.compile(r"\S+")
_MARKS = str.maketrans({";": ",", ":": ","})


class WrittenWord(NamedTuple):
    """A plain word, the mark that follows it (empty, or one of ``MARK_NAMES``), and how it is written."""

    word: str
    mark: str
    written: str


@dataclass
class MarkCounts:
    """Marks found, in the reference, and in both."""

    found: int = 0
    wanted: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Fraction of the marks found that are right; 0 without any."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Fraction of the marks wanted that were found; 0 without any."""
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.found + self.wanted
        return 2.0 * self.right / both if both else 0.0


@dataclass
class WrittenScore:
    """Counts over all texts so far; words that only one of the texts has do not count for the case."""

    marks: dict[str, MarkCounts] = field(default_factory=lambda: {mark: MarkCounts() for mark in MARK_NAMES})
    words: int = 0
    right_case: int = 0

    @property
    def case(self) -> float:
        """Fraction of common words that are written in the case of the reference."""
        return self.right_case / self.words if self.words else 0.0

    @property
    def mean_f1(self) -> float:
        """Mean F1 of comma, period and question mark."""
        return sum(self.marks[mark].f1 for mark in ",.?") / 3.0

    def add(self, reference: str, hypothesis: str) -> None:
        """Count the marks and cases of a text; its words are aligned with those of the reference."""
        wanted, found = written_words(reference), written_words(hypothesis)
        pairs = list(_aligned(wanted, found))
        self.add_marks([one.mark for one in wanted], [one.mark for one in found],
                       [left.mark for left, right in pairs if left.mark == right.mark])  # fmt: skip
        same = [(left, right) for left, right in pairs if left.word == right.word]
        self.add_cases(len(same), sum(left.written == right.written for left, right in same))

    def add_marks(self, wanted: Iterable[str], found: Iterable[str], right: Iterable[str]) -> None:
        """Count the marks of a text, of another one, and those that both have at the same place; empty for none."""
        for marks, name in ((wanted, "wanted"), (found, "found"), (right, "right")):
            for mark, count in Counter(marks).items():
                if mark:
                    counts = self.marks[mark]
                    setattr(counts, name, getattr(counts, name) + count)

    def add_cases(self, words: int, right: int) -> None:
        """Count words, and those in the right case."""
        self.words += words
        self.right_case += right

    def as_dict(self) -> dict[str, object]:
        """Return the figures by name, rounded."""
        figures: dict[str, object] = {
            name: {"f1": round(counts.f1, 4), "precision": round(counts.precision, 4),
                   "recall": round(counts.recall, 4), "marks": counts.wanted}
            for mark, name in MARK_NAMES.items() if (counts := self.marks[mark])
        }  # fmt: skip
        return {**figures, "mean_f1": round(self.mean_f1, 4), "case": round(self.case, 4), "words": self.words}


def written_words(text: str) -> list[WrittenWord]:
    """Divide a written text into words as they are scored; a mark belongs to the word before it."""
    found: list[WrittenWord] = []
    for match in _TOKEN.finditer(text.replace("--", " - ").replace("\u2014", " - ").replace("-", " - ")):
        token = match[0].translate(_MARKS)
        words = scoring_text(token).split()
        mark = next((mark for mark in "?!.," if mark in token.lstrip("?!.,\"'")), "")
        if words:
            written = token.strip(".,?!\"'()[]")
            found += [WrittenWord(word, "", written if len(words) == 1 else word) for word in words]
            found[-1] = found[-1]._replace(mark=mark)
        elif mark and found and not found[-1].mark:
            found[-1] = found[-1]._replace(mark=mark)
    return found


def _aligned(wanted: Sequence[WrittenWord], found: Sequence[WrittenWord]) -> Iterable[tuple[WrittenWord, WrittenWord]]:
    """Yield the pairs of words at the same place, equal or not."""
    operations = Levenshtein.opcodes([one.word for one in wanted], [one.word for one in found])
    for operation in operations:
        if operation.tag in {"equal", "replace"}:
            pairs = range(min(operation.src_end - operation.src_start, operation.dest_end - operation.dest_start))
            yield from ((wanted[operation.src_start + index], found[operation.dest_start + index]) for index in pairs)
