"""Three beam searches behind one door: edgespeech's own, flashlight-text and pyctcdecode; measures and tunes nothing.

All take the same log-probabilities, the same KenLM file, and weights in the same units: natural logarithms.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.weight_search import UNKNOWN_SCORES, Reading, Weights
from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError
from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel

Floats = NDArray[np.float32]

_LN10 = math.log(10.0)
MOST_READINGS = 50
# flashlight-text looks at this many labels of a frame in its quicker form; see docs/results/decoder.md.
QUICK_SYMBOLS = 10


class Search(Protocol):
    """A decoder with its weights and its beam."""

    def text(self, log_probs: Floats) -> str:
        """The best reading of one utterance; log_probs is float32 [frames, labels], natural logarithm."""

    def readings(self, log_probs: Floats) -> list[Reading]:
        """Several readings of one utterance, best first."""


class Decoder(Protocol):
    """A decoder that has read the language model."""

    @property
    def start(self) -> Weights:
        """The weights that a tuning begins with."""

    @property
    def unknown_scores(self) -> Sequence[float]:
        """The unknown scores that a tuning tries."""

    def search(self, weights: Weights, beam_width: int) -> Search:
        """Set the weights and the beam width."""


@dataclass(frozen=True)
class Task:
    """What every decoder is given: the labels, the blank's index, a KenLM model."""

    labels: tuple[str, ...]
    blank: int
    lm: LanguageModel
    scorer: SentenceScorer

    @classmethod
    def of(cls, bundle: Bundle, lm: Path | None) -> Task:
        """Take the labels of a bundle, and its language model or another one.

        Raises:
            UsageError: There is no language model.
            LanguageModelError: It cannot be read.
        """
        path = lm or bundle.language_model_path
        if path is None:
            raise UsageError(f"bundle {bundle.folder} has no language model; name one with --lm")
        return cls(bundle.manifest.labels, bundle.manifest.blank, LanguageModel(path), SentenceScorer(path))

    def words(self) -> list[str]:
        """The model's words that the labels can spell, for decoders that want a lexicon.

        Raises:
            UsageError: The labels are not single characters with a space among them.
            LanguageModelError: The model does not hold its words.
        """
        letters = [label for index, label in enumerate(self.labels) if index != self.blank]
        if " " not in letters or any(len(label) != 1 for label in letters):
            raise UsageError("needs labels of one character each, a space among them")
        if self.lm.vocabulary is None or self.scorer.characters:
            raise LanguageModelError("needs a language model over words that holds its words")
        return [word for word in self.lm.vocabulary if set(word) <= set(letters)]

    def reading(self, text: str, acoustic: float) -> Reading:
        """Put the language model's opinion beside a decoder's own acoustic score."""
        line = " ".join(text.split())
        score = self.scorer.score(line)
        return Reading(line, acoustic, score.log_prob, score.tokens, score.unknown)


class Edgespeech:
    """`BeamSearchDecoder`."""

    start = Weights(0.5, 1.5, -10.0)
    unknown_scores = UNKNOWN_SCORES

    def __init__(self, task: Task) -> None:
        """Nothing to prepare."""
        self._task = task

    def search(self, weights: Weights, beam_width: int) -> EdgespeechSearch:
        """Set the weights and the beam width."""
        task = self._task
        decoder = BeamSearchDecoder(
            task.labels,
            task.blank,
            task.lm,
            alpha=weights.alpha,
            beta=weights.beta,
            unknown_score=weights.unknown_score,
            beam_width=beam_width,
        )
        return EdgespeechSearch(decoder, task)


@dataclass(frozen=True)
class EdgespeechSearch:
    """A `Search`."""

    decoder: BeamSearchDecoder
    task: Task

    def text(self, log_probs: Floats) -> str:
        """The best reading."""
        return " ".join(self.decoder.decode(log_probs, 1)[0].text.split())

    def readings(self, log_probs: Floats) -> list[Reading]:
        """What survived in the beam."""
        found = self.decoder.decode(log_probs, MOST_READINGS)
        return [self.task.reading(hypothesis.text, hypothesis.acoustic_score) for hypothesis in found]


class Flashlight:
    """`LexiconDecoder` of flashlight-text: a lexicon of the model's words in a trie with smeared unigram scores.

    Args:
        task: Labels and language model.
        symbols: Labels of a frame that may extend a prefix; None for all.

    Raises:
        MissingDependencyError: flashlight-text is not installed, or was compiled without KenLM.
    """

    start = Weights(0.5, 1.5, 0.0)
    unknown_scores = (0.0,)  # it never invents words

    def __init__(self, task: Task, symbols: int | None = None) -> None:
        """Build the trie."""
        install = "not installed; run: pip install flashlight-text"
        self.task = task
        self._library = library = _import("flashlight.lib.text.decoder", install)
        kenlm = _import("flashlight.lib.text.decoder.kenlm", "compiled without KenLM; install a wheel that has it")
        words = task.words()
        self.dictionary = _import("flashlight.lib.text.dictionary", install).Dictionary()
        for word in (*words, "<unk>"):
            self.dictionary.add_entry(word)
        self._lm = kenlm.KenLM(str(task.lm.path), self.dictionary)
        self._space, self._blank = task.labels.index(" "), task.blank
        self._symbols = min(symbols or len(task.labels), len(task.labels))
        self._trie = library.Trie(len(task.labels), self._space)
        index, start = {label: index for index, label in enumerate(task.labels)}, self._lm.start(False)
        for word in words:
            number = self.dictionary.get_index(word)
            _, score = self._lm.score(start, number)
            self._trie.insert([*(index[letter] for letter in word), self._space], number, score)
        self._trie.smear(library.SmearingMode.MAX)
        # Its words end in a space, also the last one: a frame that is a space for certain lets every prefix end.
        self.last_frame = np.full((1, len(task.labels)), -1e4, np.float32)
        self.last_frame[0, self._space] = 0.0

    def search(self, weights: Weights, beam_width: int) -> FlashlightSearch:
        """Set the weights and the beam width."""
        options = self._library.LexiconDecoderOptions(
            beam_size=beam_width,
            beam_size_token=self._symbols,
            beam_threshold=25.0,
            lm_weight=weights.alpha * _LN10,  # its scores are KenLM's, to base 10
            word_score=weights.beta,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=self._library.CriterionType.CTC,
        )
        unknown = self.dictionary.get_index("<unk>")
        decoder = self._library.LexiconDecoder(
            options, self._trie, self._lm, self._space, self._blank, unknown, [], False
        )
        return FlashlightSearch(self, decoder, weights)


@dataclass(frozen=True)
class FlashlightSearch:
    """A `Search`."""

    owner: Flashlight
    decoder: Any
    weights: Weights

    def text(self, log_probs: Floats) -> str:
        """The best reading."""
        return self._spell(self._decode(log_probs)[0])

    def readings(self, log_probs: Floats) -> list[Reading]:
        """What survived in the beam."""
        return [self._reading(result) for result in self._decode(log_probs)[:MOST_READINGS]]

    def _decode(self, log_probs: Floats) -> list[Any]:
        emissions = np.concatenate([log_probs, self.owner.last_frame])
        found: list[Any] = self.decoder.decode(emissions.ctypes.data, *emissions.shape)
        return found

    def _reading(self, result: Any) -> Reading:
        text, (alpha, beta, _) = self._spell(result), self.weights
        # emittingModelScore is that of one alignment; the score holds the sum over alignments.
        acoustic = result.score - alpha * _LN10 * result.lmScore - beta * len(text.split())
        return self.owner.task.reading(text, acoustic)

    def _spell(self, result: Any) -> str:
        return " ".join(self.owner.dictionary.get_entry(index) for index in result.words if index >= 0)


class Pyctcdecode:
    """`BeamSearchDecoderCTC` of pyctcdecode, with its own pruning.

    Raises:
        MissingDependencyError: pyctcdecode is not installed.
    """

    start = Weights(0.5, 1.5, -10.0 * _LN10)
    unknown_scores = UNKNOWN_SCORES

    def __init__(self, task: Task) -> None:
        """Read the language model."""
        install = "not installed; run: pip install --no-deps pyctcdecode pygtrie (its numpy<2 is not needed)"
        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
        library = _import("pyctcdecode", install)
        labels = ["" if index == task.blank else label for index, label in enumerate(task.labels)]
        self._decoder = library.build_ctcdecoder(labels, str(task.lm.path), task.words())
        self._task = task

    def search(self, weights: Weights, beam_width: int) -> PyctcdecodeSearch:
        """Set the weights and the beam width."""
        return PyctcdecodeSearch(self._decoder, self._task, weights, beam_width)


@dataclass(frozen=True)
class PyctcdecodeSearch:
    """A `Search`; the weights are set anew before each call because the library keeps them in the decoder."""

    decoder: Any
    task: Task
    weights: Weights
    beam_width: int

    def text(self, log_probs: Floats) -> str:
        """The best reading."""
        self._set_weights()
        return str(self.decoder.decode(log_probs, beam_width=self.beam_width))

    def readings(self, log_probs: Floats) -> list[Reading]:
        """What survived in the beam."""
        self._set_weights()
        found = self.decoder.decode_beams(log_probs, beam_width=self.beam_width, prune_history=True)
        return [self.task.reading(text, acoustic) for text, _, _, acoustic, _ in found[:MOST_READINGS]]

    def _set_weights(self) -> None:
        alpha, beta, unknown_score = self.weights
        self.decoder.reset_params(alpha=alpha, beta=beta, unk_score_offset=unknown_score / _LN10)


DECODERS: dict[str, Callable[[Task], Decoder]] = {
    "edgespeech": Edgespeech,
    "flashlight-text": Flashlight,
    f"flashlight-text-{QUICK_SYMBOLS}": partial(Flashlight, symbols=QUICK_SYMBOLS),
    "pyctcdecode": Pyctcdecode,
}


def _import(module: str, otherwise: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError(otherwise) from None


def decode_all(decoder: Decoder, beam_width: int, heard: Sequence[Floats], weights: Weights) -> list[list[Reading]]:
    """The readings of all utterances with these weights."""
    search = decoder.search(weights, beam_width)
    return [search.readings(log_probs) for log_probs in heard]
