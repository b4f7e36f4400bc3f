"""Settings of the beam search: one frozen record, validated once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from edgespeech.errors import UsageError

DEFAULT_BEAM_WIDTH = 64
DEFAULT_ALPHA = 0.5
DEFAULT_BETA = 1.5
DEFAULT_UNKNOWN_SCORE = -10.0
DEFAULT_FILLER_SCORE = -2.0
MIN_FILLER_SCORE = -20.0
DEFAULT_SYMBOL_MASS = 0.99
# Chosen on the dev clips of LibriSpeech with `edgespeech confidence`; see docs/results/decoder.md.
DEFAULT_CONFIDENCE_POWER = 1.3

# None in these fields stands for a default, which may come from a bundle.
_WITH_DEFAULT = ("beam_width", "alpha", "beta", "unknown_score", "filler_score")

Options = TypeVar("Options", bound="DecoderOptions")


def option(
    default: Any, help: str, metavar: str | None = None, *, names: tuple[str, ...] = (), zero_disables: bool = False
) -> Any:
    """Declare a field that the command line offers as an option with the same default.

    Args:
        default: Default value of the field and of the option.
        help: One sentence for ``--help``.
        metavar: Placeholder of the value in ``--help``.
        names: Names of the option, if not derived from that of the field.
        zero_disables: Whether 0 on the command line stands for None.
    """
    return field(
        default=default, metadata={"help": help, "metavar": metavar, "names": names, "zero_disables": zero_disables}
    )


@dataclass(frozen=True)
class DecoderOptions:
    """Settings of `BeamSearchDecoder`; the first five are optional, and None selects the default.

    Attributes:
        beam_width: Number of prefixes kept after each frame (default 64).
        alpha: Weight of the language model, 0 to 100 (default 0.5; unused without a language model).
        beta: Natural log added for each word, -100 to 100 (default 1.5 with a language model, 0 without).
        unknown_score: Natural log, at most 0, added to the score of an out-of-vocabulary word (default -10).
        filler_score: Natural log added for each letter of speech outside a grammar, -20 to below 0 (default -2).
        unit: Unit of language model and hot words, ``word`` or ``character``; None takes characters where no label
            contains a space, and else derives it from the vocabulary. With characters, ``beta`` counts every character
            as a word; where no label contains a space, each of them is also a word of the result.
        symbol_mass: A frame extends prefixes by the fewest labels whose probabilities reach this sum; 1 takes all. None
            takes 0.99, or 1 with a grammar, whose phrases may need unlikely labels.
        max_symbols: Maximum number of labels per frame, blank included; None removes the limit.
        beam_threshold: Prefixes that score this much (natural log) below the best are dropped; None keeps them.
        max_tentative: Once the best prefix is this many labels longer than the prefix that all beams share, beams that
            differ from it before the last half of these labels are dropped, which bounds the cost of a stream; None
            lets the tentative text grow.
        whole_phrases: Whether all phrases of a grammar are scored on the whole segment at its end, if each label is one
            character.
        label_priors: Mean probability of each label in speech, natural logarithm, which these scores are corrected by;
            None for equal ones. A recognizer takes them from the bundle.
        confidence_power: Exponent applied to the geometric mean of a word's label probabilities.
        frame_seconds: Seconds between two frames, for word times; a recognizer takes them from the bundle.
        search: ``native`` for the compiled search, ``numpy`` for the other; None takes the environment variable
            EDGESPEECH_SEARCH, and without it the native search where it was compiled.

    Raises:
        UsageError: A value is out of range.
    """

    beam_width: int | None = option(
        None, "Number of hypotheses that the beam search keeps; default: the bundle's.", "N"
    )
    alpha: float | None = option(None, "Weight of the language model; default: the bundle's.")
    beta: float | None = option(None, "Score (natural log) added for each word; default: the bundle's.")
    unknown_score: float | None = option(
        None, "Score (natural log, at most 0) added for each out-of-vocabulary word; default: the bundle's."
    )
    filler_score: float | None = option(
        None,
        "With --grammar, score (natural log) of each letter outside it; lower values make "
        "<unknown> rarer; default: -2.",
        "X",
    )
    unit: Literal["word", "character"] | None = None
    symbol_mass: float | None = None
    max_symbols: int | None = 40
    beam_threshold: float | None = 18.0
    max_tentative: int | None = 128
    whole_phrases: bool = True
    label_priors: tuple[float, ...] | None = None
    confidence_power: float = DEFAULT_CONFIDENCE_POWER
    frame_seconds: float = 0.04
    search: Literal["native", "numpy"] | None = None

    def __post_init__(self) -> None:
        self._require("beam_width", self.beam_width is None or self.beam_width >= 1, "1 or more")
        self._require("alpha", self.alpha is None or 0.0 <= self.alpha <= 100.0, "a number from 0 to 100")
        self._require("beta", self.beta is None or -100.0 <= self.beta <= 100.0, "a number from -100 to 100")
        known = self.unknown_score is None or -math.inf < self.unknown_score <= 0.0
        self._require("unknown_score", known, "a finite number not above 0")
        filler = self.filler_score is None or MIN_FILLER_SCORE <= self.filler_score < 0.0
        self._require("filler_score", filler, f"a number below 0, at least {MIN_FILLER_SCORE:g}")
        self._require("unit", self.unit in (None, "word", "character"), "word or character")
        self._require("search", self.search in (None, "native", "numpy"), "native or numpy")
        mass = self.symbol_mass is None or 0.0 < self.symbol_mass <= 1.0
        self._require("symbol_mass", mass, "a number above 0 and up to 1")
        self._require("max_symbols", self.max_symbols is None or self.max_symbols >= 1, "1 or more, or None")
        self._require("beam_threshold", self.beam_threshold is None or self.beam_threshold > 0.0, "above 0, or None")
        self._require("max_tentative", self.max_tentative is None or self.max_tentative >= 2, "2 or more, or None")
        priors = self.label_priors is None or all(-math.inf < one <= 0.0 for one in self.label_priors)
        self._require("label_priors", priors, "finite numbers not above 0, or None")
        self._require("confidence_power", 0.0 < self.confidence_power < math.inf, "a number above 0")
        self._require("frame_seconds", 0.0 < self.frame_seconds < math.inf, "a number of seconds above 0")

    def _require(self, name: str, condition: bool, wanted: str) -> None:
        if not condition:
            raise UsageError(f"{name} is {getattr(self, name)}; wanted {wanted}")

    def with_defaults(self: Options, defaults: DecoderOptions) -> Options:
        """Return a copy whose unset fields have the values of ``defaults``."""
        unset: dict[str, Any] = {n: getattr(defaults, n) for n in _WITH_DEFAULT if getattr(self, n) is None}
        return replace(self, **unset)
