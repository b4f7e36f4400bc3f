"""What a language model is built from and how: one frozen record, validated when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.reference.language_model.text import LABELS

MAX_ORDER = 6  # what the kenlm package is compiled for
WORD_ORDER = 3
HELD_OUT_FRACTION = 0.001


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """A language model to build; a value out of range is a UsageError.

    Attributes:
        texts: Sentences, one per line (.txt, .gz, .xz, .bz2), or manifests, whose ``text`` is taken.
        order: Longest n-gram, 2 to 6; by default 3, or 6 with ``characters``.
        prune: For n = 1, 2, ...: n-grams that occur this often or less are left out; the last number is for the rest.
        vocabulary: How many of the most frequent words to keep.
        characters: Make a model over characters, in which the space between words is ``scoring.SPACE_TOKEN``.
        labels: The acoustic model's labels; other characters are removed or drop the line.
        exclude: Texts or manifests, such as development and test transcripts, that must not enter the model.
        held_out: Text or manifest to measure perplexity on; excluded too.
        held_out_fraction: Fraction of the lines to hold out for that, 0 to 0.5, chosen by their hash, so that equal
            lines stay together. By default one in a thousand, or none with ``held_out``.
        keep_lone_letters: Keep lines in which a letter other than a, i, o is a word: in books mostly broken
            abbreviations. Manifests always keep theirs.
        bits: Bits per probability and per back-off weight, 2 to 16.
        tools: Folder of lmplz and build_binary; see `kenlm_tools.find_tool`.
        memory: Memory that lmplz may use to sort: a percentage ("20%") or a size ("2G").
    """

    texts: tuple[Path, ...]
    output: Path
    order: int | None = None
    prune: str = "0 0 1"
    vocabulary: int = 50_000
    characters: bool = False
    labels: tuple[str, ...] = LABELS
    exclude: tuple[Path, ...] = ()
    held_out: Path | None = None
    held_out_fraction: float | None = None
    keep_lone_letters: bool = True
    bits: int = 6
    tools: Path | None = None
    memory: str = "20%"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise UsageError(f"{self.bits} bits are out of range; choose 2 to 16")
        if self.held_out is not None and self.held_out_fraction is not None:
            raise UsageError("a held-out text and a fraction of held-out lines clash; leave one out")
        if not 0.0 <= self.fraction_held_out <= 0.5:
            raise UsageError(f"a held-out fraction of {self.fraction_held_out:g} is out of range; choose 0 to 0.5")
        if not self.texts:
            raise UsageError("no text was given; give at least one file with one sentence per line")
        if not 2 <= self.max_order <= MAX_ORDER:
            raise UsageError(f"order {self.max_order} is out of range; choose 2 to {MAX_ORDER}")
        if self.vocabulary < 1:
            raise UsageError(f"a vocabulary of {self.vocabulary} words is out of range; choose 1 or more")
        if self.output.is_dir():
            raise UsageError(f"{self.output} is a folder; give the file to write, such as {self.output / 'lm.bin'}")
        self._check_prune()

    def _check_prune(self) -> None:
        thresholds = self.prune.split()
        numbers = [int(number) for number in thresholds if re.fullmatch(r"[0-9]+", number)]
        fits = 1 <= len(numbers) == len(thresholds) <= self.max_order
        if not fits or numbers[0] != 0 or numbers != sorted(numbers):
            raise UsageError(
                f"prune {self.prune!r} does not fit order {self.max_order}; "
                "give up to that many counts that grow from 0: '0 0 1'"
            )

    @property
    def max_order(self) -> int:
        """The longest n-gram, with the default filled in."""
        return self.order if self.order is not None else MAX_ORDER if self.characters else WORD_ORDER

    @property
    def fraction_held_out(self) -> float:
        """The fraction of the lines to hold out, with the default filled in."""
        if self.held_out_fraction is not None:
            return self.held_out_fraction
        return HELD_OUT_FRACTION if self.held_out is None else 0.0
