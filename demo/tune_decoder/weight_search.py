"""Search language model weights on a grid by minimum error rate training (F. J. Och, ACL 2003).

Decode, pool the n-best hypotheses, find the weights under which the pool has the fewest word errors, decode with those.
Once the pool proposes nothing new, the neighbours of the best weights are decoded. Only errors of real decodings count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.log_prob_cache import count_errors

Errors = NDArray[np.int32]

ALPHAS = np.arange(26) / 10.0
BETAS = np.arange(-6, 21) / 2.0
UNKNOWN_SCORES = (-5.0, -10.0, -20.0, -40.0, -80.0)
# Far apart, so that the pool is diverse before it is first searched.
FIRST_WEIGHTS = ((0.3, 1.5, -80.0), (0.6, 1.0, -10.0), (0.6, 2.0, -40.0), (1.0, 3.0, -10.0), (1.0, 3.0, -40.0))
MAX_DECODINGS = 24
_PATIENCE = 6  # decodings in a row without an improvement


class Weights(NamedTuple):
    """Weights of a score: log p_ctc + alpha (log p_lm + unknown_score * unknown words) + beta * words."""

    alpha: float
    beta: float
    unknown_score: float

    def __str__(self) -> str:
        return f"alpha {self.alpha:g}, beta {self.beta:g}, unknown score {self.unknown_score:g}"


class ScoredHypothesis(NamedTuple):
    """One hypothesis of one utterance; scores are natural logarithms.

    Attributes:
        acoustic: log p_ctc as computed by the decoder.
        lm: log p_lm of the words and the end of the sentence, without the unknown score.
        words: Number of words, or of characters if the language model is one of characters.
        unknown: Number of them that the language model does not know.
    """

    text: str
    acoustic: float
    lm: float
    words: int
    unknown: int


Decode = Callable[[Weights], Sequence[Sequence[ScoredHypothesis]]]


@dataclass(frozen=True)
class Trial:
    """A real decoding: its weights and the word errors of its best hypotheses."""

    weights: Weights
    errors: int


@dataclass(frozen=True, eq=False)
class ErrorSurface:
    """Word errors of the pool, int32 [unknown scores, `ALPHAS`, `BETAS`, utterances], and words of each reference."""

    unknown_scores: tuple[float, ...]
    errors: Errors
    words: Errors

    def weights(self, unknown: int, alpha: int, beta: int) -> Weights:
        """Return the weights at an index of the grid."""
        return Weights(float(ALPHAS[alpha]), float(BETAS[beta]), self.unknown_scores[unknown])

    def best(self, chosen: slice = slice(None)) -> tuple[int, int, int]:
        """Return the grid index with the fewest errors on the chosen utterances, averaged with its neighbours."""
        smooth = _neighbourhood_mean(self.errors[..., chosen].sum(axis=-1).astype(np.float64))
        unknown, alpha, beta = np.unravel_index(int(smooth.argmin()), smooth.shape)
        return int(unknown), int(alpha), int(beta)

    def cross_validated_errors(self) -> int:
        """Count the errors on every second utterance with the best weights of the others, and the other way round."""
        halves = (slice(0, None, 2), slice(1, None, 2))
        return sum(int(self.errors[(*self.best(tuned), tested)].sum()) for tuned, tested in (halves, halves[::-1]))


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best decoding, all decodings in order, their pool's errors, and whether the search finished in time."""

    best: Trial
    trials: tuple[Trial, ...]
    surface: ErrorSurface
    finished: bool

    @property
    def at_edge(self) -> bool:
        """Whether the best weights are at the edge of the grid, so that better ones may lie outside."""
        alpha, beta, _ = self.best.weights
        return bool(alpha >= ALPHAS[-1] or beta <= BETAS[0] or beta >= BETAS[-1])


class NbestPool:
    """The hypotheses of all decodings so far: each text once per utterance, with its best acoustic score."""

    def __init__(self, references: Sequence[str], by_characters: bool = False) -> None:
        self._references, self._by_characters = list(references), by_characters
        self._hypotheses: list[dict[str, tuple[ScoredHypothesis, int]]] = [{} for _ in references]
        self._scores = np.zeros((4, 0, 0), np.float32)
        self._errors = np.zeros((0, 0), np.int32)

    def add(self, nbest: Sequence[Sequence[ScoredHypothesis]]) -> int:
        """Add the n-best hypotheses of one decoding; return the word errors of the best ones."""
        errors = 0
        for reference, pooled, offered in zip(self._references, self._hypotheses, nbest, strict=True):
            for one in offered:
                known = pooled.get(one.text)
                if known is None:
                    pooled[one.text] = one, count_errors(reference, one.text, self._by_characters)
                elif known[0].acoustic < one.acoustic:
                    pooled[one.text] = one, known[1]
            errors += pooled[offered[0].text][1]
        shape = len(self._hypotheses), max(map(len, self._hypotheses))
        self._scores = np.zeros((4, *shape), np.float32)
        self._scores[0] = -np.inf
        self._errors = np.zeros(shape, np.int32)
        for row, pooled in enumerate(self._hypotheses):
            for column, (one, count) in enumerate(pooled.values()):
                self._scores[:, row, column] = one[1:]
                self._errors[row, column] = count
        return errors

    def errors(self, weights: Weights) -> Errors:
        """Count the errors of the hypotheses that are best under these weights: int32 [utterances]."""
        acoustic, lm, words, unknown = self._scores
        alpha, beta, unknown_score = map(np.float32, weights)
        best = (acoustic + alpha * (lm + unknown_score * unknown) + beta * words).argmax(axis=1)
        return np.asarray(self._errors[np.arange(len(best)), best])

    def surface(self, unknown_scores: Sequence[float]) -> ErrorSurface:
        """Count the errors for all weights on the grid."""
        grid = [
            [[self.errors(Weights(alpha, beta, unknown)) for beta in BETAS] for alpha in ALPHAS]
            for unknown in unknown_scores
        ]
        words = np.array([len(reference.split()) for reference in self._references])
        return ErrorSurface(tuple(unknown_scores), np.array(grid), words)


def search_weights(
    decode: Decode,
    references: Sequence[str],
    start: Weights,
    unknown_scores: Sequence[float] = UNKNOWN_SCORES,
    seconds: float = math.inf,
    on_trial: Callable[[Trial, Trial], None] = lambda trial, best: None,
    by_characters: bool = False,
) -> SearchResult:
    """Find the weights with the fewest word errors. The same input gives the same result unless time runs out.

    Each call of ``decode`` returns at least one hypothesis of each utterance, best first. A decoding that would
    probably exceed the limit, ``seconds`` of CPU time, is not begun, except for the first two. A single unknown score
    is kept. ``on_trial`` is called after every decoding with its trial and the best one so far. ``by_characters``
    counts each character as a word; the references then have spaces between them.
    """
    pool, trials, without_gain, finished = NbestPool(references, by_characters), list[Trial](), 0, False
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
            optimum = surface.weights(*surface.best())
            near = _neighbour(pool, _fewest_errors(trials).weights, tried, len(unknown_scores) > 1)
            # The optimum and its neighbour alternate while neither improves: the pool is too optimistic where the
            # search itself makes errors.
            proposed = near if optimum in tried or (without_gain % 2 and near is not None) else optimum
            if proposed is None or without_gain == _PATIENCE or len(trials) >= MAX_DECODINGS:
                finished = True
                break
            weights, searching = proposed, True
        decoding_began, fewest = time.process_time(), _fewest_errors(trials).errors if trials else 0
        trials.append(Trial(weights, pool.add(decode(weights))))
        longest = max(longest, time.process_time() - decoding_began)
        without_gain = without_gain + 1 if searching and trials[-1].errors >= fewest else 0
        on_trial(trials[-1], _fewest_errors(trials))
    return SearchResult(_fewest_errors(trials), tuple(trials), pool.surface(unknown_scores), finished)


def _neighbour(pool: NbestPool, best: Weights, tried: Collection[Weights], with_unknown: bool) -> Weights | None:
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
    """Return the mean over 3 x 3 neighbours in the last two axes; the edge is repeated outwards."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = values.shape[1:]
    shifted = [padded[:, row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    return np.asarray(np.mean(shifted, axis=0))
