"""Facts about a language model file, from its header, and its perplexity on a text."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgespeech.errors import LanguageModelError
from edgespeech.reference.language_model.scoring import Perplexity, SentenceScorer
from edgespeech.reference.language_model.text import LABELS, read_lines, spoken_line
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.vocabulary import is_kenlm_binary
from edgespeech.runtime.measure.tables import Table

# KenLM's header, format version 5: after 88 bytes of test values the order, the multiplier of the hash tables, the
# kind, whether words are stored and the version of the search; then the number of n-grams of each order.
_PARAMETERS = struct.Struct("<88xB3xfIB3xI")
_KINDS = (
    "hash tables",
    "hash tables with rest costs",
    "trie",
    "quantized trie",
    "trie, compressed pointers",
    "quantized trie, compressed pointers",
)


@dataclass(frozen=True)
class ModelFacts:
    """The facts that `lm info` prints.

    Attributes:
        kind: How the file stores n-grams.
        unit: ``words`` or ``characters``.
        vocabulary: Words, or characters, without the sentence markers; None if they are not stored.
        ngrams: Number of n-grams for n = 1 .. order (n = 1 includes the markers); None if the file does not say.
        size: Size in bytes.
    """

    kind: str
    unit: str
    order: int
    vocabulary: int | None
    ngrams: tuple[int, ...] | None
    size: int
    perplexity: Perplexity | None

    def as_dict(self) -> dict[str, Any]:
        """Return the facts under the keys of `lm info --json`."""
        return asdict(self)

    def table(self) -> Table:
        """Lay out the facts, one in each row."""
        known = "not stored" if self.vocabulary is None else f"{self.vocabulary}"
        ngrams = "not known" if self.ngrams is None else " / ".join(map(str, self.ngrams))
        rows = [("kind", self.kind), ("order", f"{self.order}"), (self.unit, known), ("n-grams", ngrams)]
        rows.append(("size", f"{self.size / 1e6:.2f} MB"))
        if self.perplexity is not None:
            rows.append(("text", str(self.perplexity)))
        return Table(("language model", ""), rows, left=2)


def inspect_language_model(path: Path, text: Path | None = None, labels: Sequence[str] | None = None) -> ModelFacts:
    """Inspect a KenLM binary or an ARPA file, and measure its perplexity on a text or manifest if one is given.

    The text is normalised to ``labels``, by default to English letters.

    Raises:
        LanguageModelError: The model or the text is invalid.
    """
    model = LanguageModel(path)
    perplexity = None
    if text is not None:
        alphabet = frozenset("".join(LABELS if labels is None else labels))
        lines = (line for raw in read_lines(text) if (line := spoken_line(raw, alphabet)))
        perplexity = SentenceScorer(path).perplexity(lines)
    of_characters = model.vocabulary is not None and model.vocabulary.is_of_characters()
    kind, ngrams = _read_header(path)
    return ModelFacts(
        kind=kind,
        unit="characters" if of_characters else "words",
        order=model.order,
        vocabulary=None if model.vocabulary is None else len(model.vocabulary),
        ngrams=ngrams,
        size=path.stat().st_size,
        perplexity=perplexity,
    )


def count_ngrams(path: Path) -> tuple[int, ...] | None:
    """Read the number of n-grams for n = 1 .. order from a file's header; None if it does not contain them."""
    return _read_header(path)[1]


def _read_header(path: Path) -> tuple[str, tuple[int, ...] | None]:
    if not is_kenlm_binary(path):
        return "ARPA text", _arpa_counts(path)
    with path.open("rb") as file:
        header = file.read(_PARAMETERS.size)
        if len(header) < _PARAMETERS.size:
            raise LanguageModelError(f"{path} ends in its header; build or copy the file again")
        order, _, kind, _, _ = _PARAMETERS.unpack(header)
        counts = file.read(8 * order)
    if kind >= len(_KINDS) or len(counts) < 8 * order:
        return "KenLM binary of an unknown kind", None
    return _KINDS[kind], struct.unpack(f"<{order}Q", counts)


def _arpa_counts(path: Path) -> tuple[int, ...] | None:
    counts: list[int] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := re.fullmatch(r"ngram \d+\s*=\s*(\d+)\s*", line):
                counts.append(int(found[1]))
            elif counts:
                break
    return tuple(counts) or None
