"""The search for language model weights: few real decodings, many re-scorings of the readings they left behind.

Minimum error rate training (F. J. Och 2003, "Minimum error rate training in statistical machine translation") on a
grid: decode, pool the n-best readings, find the weights under which the pool has the fewest word errors, decode with
those. When the pool asks for nothing new, the neighbours of the best weights are decoded. Only errors of real decodings
decide.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

Errors = NDArray[np.int32]

ALPHAS = np.arange(26) / 10.0
BETAS = np.arange(-6, 21) / 2.0
UNKNOWN_SCORES = (-5.0, -10.0, -20.0, -40.0, -80.0)
# Far apart, so that the pool holds readings of every kind before it is asked for the first time.
FIRST_WEIGHTS = ((0.3, 1.5, -80.0), (0.6, 1.0, -10.0), (0.6, 2.0, -40.0), (1.0, 3.0, -10.0), (1.0, 3.0, -40.0))
MOST_DECODINGS = 24
_PATIENCE = 6  # decodings in a row that improve nothing


class Weights(NamedTuple):
    """Score of a reading: log p_ctc + alpha (log p_lm + unknown_score * unknown words) + beta * words."""

    alpha: float
    beta: float
    unknown_score: float

    def __str__(self) -> str:
        """For people."""
        return f"alpha {self.alpha:g}, beta {self.beta:g}, unknown score {self.unknown_score:g}"


class Reading(NamedTuple):
    """One hypothesis of one utterance; scores are natural logarithms.

    Attributes:
        text: Words with single spaces.
        acoustic: log p_ctc as the decoder has it.
        lm: log p_lm of the words and the end, no charge for unknown words in it.
        words: How many words beta counts: those of the text, or its characters where the model is one of characters.
        unknown: How many of them the language model does not know.
    """

    text: str
    acoustic: float
    lm: float
    words: int
    unknown: int


Decode = Callable[[Weights], Sequence[Sequence[Reading]]]


@dataclass(frozen=True)
class Trial:
    """A real decoding: its weights and the word errors of its best readings."""

    weights: Weights
    errors: int


@dataclass(frozen=True, eq=False)
class Surface:
    """Word errors of the pool on the grid.

    Attributes:
        unknown_scores: Its first axis; the others are `ALPHAS` and `BETAS`.
        errors: int32 [unknown scores, alphas, betas, utterances].
        words: int32 [utterances], of the references.
    """

    unknown_scores: tuple[float, ...]
    errors: Errors
    words: Errors

    def weights(self, unknown: int, alpha: int, beta: int) -> Weights:
        """The weights at a place on the grid."""
        return Weights(float(ALPHAS[alpha]), float(BETAS[beta]), self.unknown_scores[unknown])

    def best(self, chosen: slice = slice(None)) -> tuple[int, int, int]:
        """The place on the grid with the fewest errors on the chosen utterances, averaged with its neighbours."""
        smooth = _neighbourhood_mean(self.errors[..., chosen].sum(axis=-1).astype(np.float64))
        unknown, alpha, beta = np.unravel_index(int(smooth.argmin()), smooth.shape)
        return int(unknown), int(alpha), int(beta)

    def cross_validated_errors(self) -> int:
        """Errors on every second utterance with the weights that are best for the others, and the other way round."""
        halves = (slice(0, None, 2), slice(1, None, 2))
        return sum(int(self.errors[(*self.best(tuned), heard)].sum()) for tuned, heard in (halves, halves[::-1]))


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        best: The decoding with the fewest errors.
        trials: All decodings, in their order.
        surface: Errors of the whole pool.
        finished: Whether it ended by itself; False where the time was up.
    """

    best: Trial
    trials: tuple[Trial, ...]
    surface: Surface
    finished: bool

    @property
    def at_edge(self) -> bool:
        """Whether the best weights lie on the rim of the grid, so that better ones may lie outside."""
        alpha, beta, _ = self.best.weights
        return bool(alpha >= ALPHAS[-1] or beta <= BETAS[0] or beta >= BETAS[-1])


class Pool:
    """The readings of all decodings so far, each text once per utterance, with its best acoustic score."""

    def __init__(self, references: Sequence[str]) -> None:
        """Begin without readings."""
        self._references = [reference.split() for reference in references]
        self._readings: list[dict[str, tuple[Reading, int]]] = [{} for _ in references]
        self._scores = np.zeros((4, 0, 0), np.float32)
        self._errors = np.zeros((0, 0), np.int32)

    def add(self, readings: Sequence[Sequence[Reading]]) -> int:
        """Add the readings of one decoding, best first; return the errors of the best ones."""
        errors = 0
        for reference, pooled, offered in zip(self._references, self._readings, readings, strict=True):
            for reading in offered:
                known = pooled.get(reading.text)
                if known is None:
                    pooled[reading.text] = reading, Levenshtein.distance(reference, reading.text.split())
                elif known[0].acoustic < reading.acoustic:
                    pooled[reading.text] = reading, known[1]
            errors += pooled[offered[0].text][1]
        shape = len(self._readings), max(map(len, self._readings))
        self._scores = np.zeros((4, *shape), np.float32)
        self._scores[0] = -np.inf
        self._errors = np.zeros(shape, np.int32)
        for row, pooled in enumerate(self._readings):
            for column, (reading, count) in enumerate(pooled.values()):
                self._scores[:, row, column] = reading[1:]
                self._errors[row, column] = count
        return errors

    def errors(self, weights: Weights) -> Errors:
        """Count the errors of the readings that are best under these weights: int32 [utterances]."""
        acoustic, lm, words, unknown = self._scores
        alpha, beta, unknown_score = map(np.float32, weights)
        best = (acoustic + alpha * (lm + unknown_score * unknown) + beta * words).argmax(axis=1)
        return np.asarray(self._errors[np.arange(len(best)), best])

    def surface(self, unknown_scores: Sequence[float]) -> Surface:
        """Count the errors for all weights on the grid."""
        grid = [
            [[self.errors(Weights(alpha, beta, unknown)) for beta in BETAS] for alpha in ALPHAS]
            for unknown in unknown_scores
        ]
        return Surface(tuple(unknown_scores), np.array(grid), np.array([len(words) for words in self._references]))


def search_weights(
    decode: Decode,
    references: Sequence[str],
    start: Weights,
    unknown_scores: Sequence[float] = UNKNOWN_SCORES,
    seconds: float = math.inf,
    heard: Callable[[Trial, Trial], None] = lambda trial, best: None,
) -> SearchResult:
    """Find the weights with the fewest word errors. The same input gives the same result unless the time runs out.

    Args:
        decode: Decodes all utterances with given weights; the readings of each, best first, at least one.
        references: What was said in each.
        start: Weights to try first.
        unknown_scores: The grid of unknown scores; a single one is not searched.
        seconds: Of CPU time; no decoding begins that would probably end later than this; the first two always do.
        heard: Told after every decoding: this one, and the best so far.

    Returns:
        The best of the decodings, and what led to it.
    """
    pool, trials, futile, finished = Pool(references), list[Trial](), 0, False
    fixed = unknown_scores[0] if len(unknown_scores) == 1 else None
    first = [Weights(*weights) if fixed is None else Weights(*weights[:2], fixed) for weights in FIRST_WEIGHTS]
    waiting = list(dict.fromkeys([start, *first]))
    began, longest = time.process_time(), 0.0
    while len(trials) < 2 or time.process_time() - began + longest <= seconds:
        if waiting:
            weights, searching = waiting.pop(0), False
        else:
            tried = {trial.weights for trial in trials}
            surface = pool.surface(unknown_scores)
            asked = surface.weights(*surface.best())
            near = _neighbour(pool, _fewest_errors(trials).weights, tried, len(unknown_scores) > 1)
            # In turns while neither helps: where the search makes errors, the pool promises too much.
            proposed = near if asked in tried or (futile % 2 and near is not None) else asked
            if proposed is None or futile == _PATIENCE or len(trials) >= MOST_DECODINGS:
                finished = True
                break
            weights, searching = proposed, True
        decoding_began, fewest = time.process_time(), _fewest_errors(trials).errors if trials else 0
        trials.append(Trial(weights, pool.add(decode(weights))))
        longest = max(longest, time.process_time() - decoding_began)
        futile = futile + 1 if searching and trials[-1].errors >= fewest else 0
        heard(trials[-1], _fewest_errors(trials))
    return SearchResult(_fewest_errors(trials), tuple(trials), pool.surface(unknown_scores), finished)


def _neighbour(pool: Pool, best: Weights, tried: Collection[Weights], with_unknown: bool) -> Weights | None:
    """The neighbour of the best weights that promises the fewest errors and was not tried yet."""
    neighbours = [best._replace(alpha=round(best.alpha + step, 3)) for step in (-0.1, 0.1)]
    neighbours += [best._replace(beta=best.beta + step) for step in (-1.0, -0.5, 0.5, 1.0)]
    neighbours += [best._replace(alpha=round(best.alpha + 0.1 * sign, 3), beta=best.beta + sign) for sign in (-1, 1)]
    if with_unknown:
        neighbours += [best._replace(unknown_score=best.unknown_score * factor) for factor in (0.5, 2.0)]
    usable = [one for one in neighbours if one not in tried and one.alpha >= 0.0 and one.unknown_score >= -200.0]
    return min(usable, key=lambda weights: int(pool.errors(weights).sum()), default=None)


def _fewest_errors(trials: Sequence[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.errors)


def _neighbourhood_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over 3 x 3 places of the last two axes; the rim is repeated outwards."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = values.shape[1:]
    shifted = [padded[:, row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    return np.asarray(np.mean(shifted, axis=0))
