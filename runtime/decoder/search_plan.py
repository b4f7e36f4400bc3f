"""What both searches, the native one and that in numpy, are made from: labels, scores of words, and settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.grammar import Grammar
from edgespeech.runtime.decoder.options import DEFAULT_SYMBOL_MASS, DecoderOptions
from edgespeech.runtime.decoder.word_scorer import WordScorer
from edgespeech.runtime.decoder.word_times import separate_words


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """A checked decoder, before a search is chosen.

    Attributes:
        labels: Text of each label; the text of the blank is not used.
        blank: Index of the blank.
        scorer: Scores of words and of their beginnings, with the language model if there is one.
        options: Settings, none of the first five of which is None.
        grammar: Closed grammar, if there is one; its phrases are the scorer's hot words.
        by_characters: Whether each character is a word, because no label contains a space.
    """

    labels: tuple[str, ...]
    blank: int
    scorer: WordScorer
    options: DecoderOptions
    grammar: Grammar | None
    by_characters: bool

    @cached_property
    def word_pieces(self) -> tuple[tuple[str, ...], ...]:
        """Texts of each label, divided where words end."""
        return tuple(separate_words(text, self.by_characters) for text in self.labels)

    @property
    def gap(self) -> str:
        """What stands between two words of a text."""
        return "" if self.by_characters else " "

    @property
    def beam_width(self) -> int:
        """Number of prefixes kept after each frame."""
        assert self.options.beam_width is not None
        return self.options.beam_width

    @property
    def symbol_mass(self) -> float:
        """Sum of the probabilities of the labels that a frame extends prefixes by; 1 for all labels."""
        if self.options.symbol_mass is not None:
            return self.options.symbol_mass
        return 1.0 if self.grammar else DEFAULT_SYMBOL_MASS

    @property
    def max_symbols(self) -> int:
        """Maximum number of labels per frame, blank included."""
        return len(self.labels) if self.options.max_symbols is None else self.options.max_symbols

    @property
    def label_scores(self) -> npt.NDArray[np.float64] | None:
        """Natural log added for each label of a prefix, at most 0; None without a grammar."""
        return self.grammar.label_scores(self.labels, self.blank) if self.grammar else None
