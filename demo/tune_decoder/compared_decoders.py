"""Three beam searches (edgespeech, flashlight-text, pyctcdecode) with equal input and weights in natural logarithms."""

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

from edgespeech.demo.tune_decoder.weight_search import UNKNOWN_SCORES, ScoredHypothesis, Weights
from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError
from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.options import DecoderOptions

Floats = NDArray[np.float32]

_LN10 = math.log(10.0)
MAX_NBEST = 50
# Labels per frame that the faster variant of flashlight-text expands; see docs/results/decoder.md.
FAST_SYMBOLS = 10


class Search(Protocol):
    """A decoder with its weights and beam width; log-probabilities are float32 [frames, labels], natural logarithm."""

    def text(self, log_probs: Floats) -> str:
        """Return the text of the best hypothesis of one utterance."""

    def nbest(self, log_probs: Floats) -> list[ScoredHypothesis]:
        """Return the hypotheses of one utterance, best first."""


class Decoder(Protocol):
    """A decoder that has loaded the language model."""

    @property
    def start(self) -> Weights:
        """The weights that a tuning starts from."""

    @property
    def unknown_scores(self) -> Sequence[float]:
        """The unknown scores that a tuning searches."""

    def search(self, weights: Weights, beam_width: int) -> Search:
        """Return a search with these weights and this beam width."""


@dataclass(frozen=True)
class Task:
    """The input of every decoder: the labels, the index of the blank, and a KenLM model."""

    labels: tuple[str, ...]
    blank: int
    lm: LanguageModel
    scorer: SentenceScorer

    @classmethod
    def from_bundle(cls, bundle: Bundle, lm: Path | None) -> Task:
        """Take the labels of a bundle, and its language model unless another one is given.

        Raises:
            EdgespeechError: The language model is missing or cannot be read.
        """
        path = lm or bundle.language_model_path
        if path is None:
            raise UsageError(f"bundle {bundle.folder} has no language model; name one with --lm")
        return cls(bundle.manifest.labels, bundle.manifest.blank, LanguageModel(path), SentenceScorer(path))

    def lexicon(self) -> list[str]:
        """Return the words of the language model that the labels can spell.

        Raises:
            EdgespeechError: The labels are not characters with a space among them, or the file has no vocabulary.
        """
        letters = [label for index, label in enumerate(self.labels) if index != self.blank]
        if " " not in letters or any(len(label) != 1 for label in letters):
            raise UsageError("needs labels of one character each, a space among them")
        if self.lm.vocabulary is None or self.scorer.characters:
            raise LanguageModelError("needs a language model over words whose file contains its vocabulary")
        return [word for word in self.lm.vocabulary if set(word) <= set(letters)]

    def score(self, text: str, acoustic: float) -> ScoredHypothesis:
        """Score a text with the language model, given the acoustic score of a decoder."""
        line = " ".join(text.split())
        score = self.scorer.score(line)
        return ScoredHypothesis(line, acoustic, score.log_prob, score.tokens, score.unknown)


class Edgespeech:
    """The beam search of `edgespeech.runtime.decoder`."""

    start = Weights(0.5, 1.5, -10.0)
    unknown_scores = UNKNOWN_SCORES

    def __init__(self, task: Task) -> None:
        self._task = task

    def search(self, weights: Weights, beam_width: int) -> EdgespeechSearch:
        """Return a search with these weights and this beam width."""
        task, options = self._task, DecoderOptions(beam_width=beam_width, **weights._asdict())
        decoder = BeamSearchDecoder(task.labels, task.blank, task.lm, options)
        return EdgespeechSearch(decoder, task)


@dataclass(frozen=True)
class EdgespeechSearch:
    """The search of `Edgespeech` with its settings."""

    decoder: BeamSearchDecoder
    task: Task

    def text(self, log_probs: Floats) -> str:
        """Return the text of the best hypothesis."""
        return " ".join(self.decoder.decode(log_probs, 1)[0].text.split())

    def nbest(self, log_probs: Floats) -> list[ScoredHypothesis]:
        """Return the hypotheses that remain in the beam."""
        found = self.decoder.decode(log_probs, MAX_NBEST)
        return [self.task.score(hypothesis.text, hypothesis.acoustic_score) for hypothesis in found]


class Flashlight:
    """`LexiconDecoder` of flashlight-text: a trie of the model's words with smeared unigram scores.

    At most ``symbols`` labels per frame extend a prefix; None for all.

    Raises:
        MissingDependencyError: flashlight-text is not installed, or was compiled without KenLM.
    """

    start = Weights(0.5, 1.5, 0.0)
    unknown_scores = (0.0,)  # it cannot output unknown words

    def __init__(self, task: Task, symbols: int | None = None) -> None:
        install = "not installed; run: pip install flashlight-text"
        self.task = task
        self._library = library = _import("flashlight.lib.text.decoder", install)
        kenlm = _import("flashlight.lib.text.decoder.kenlm", "compiled without KenLM; install a wheel that has it")
        words = task.lexicon()
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
        # Its words end in a space: a last frame with the probability 1 for the space lets every prefix end.
        self.last_frame = np.full((1, len(task.labels)), -1e4, np.float32)
        self.last_frame[0, self._space] = 0.0

    def search(self, weights: Weights, beam_width: int) -> FlashlightSearch:
        """Return a search with these weights and this beam width."""
        options = self._library.LexiconDecoderOptions(
            beam_size=beam_width,
            beam_size_token=self._symbols,
            beam_threshold=25.0,
            lm_weight=weights.alpha * _LN10,  # it uses KenLM's scores, to base 10
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
    """The search of `Flashlight` with its settings."""

    owner: Flashlight
    decoder: Any
    weights: Weights

    def text(self, log_probs: Floats) -> str:
        """Return the text of the best hypothesis."""
        return self._spell(self._decode(log_probs)[0])

    def nbest(self, log_probs: Floats) -> list[ScoredHypothesis]:
        """Return the hypotheses that remain in the beam."""
        return [self._score(result) for result in self._decode(log_probs)[:MAX_NBEST]]

    def _decode(self, log_probs: Floats) -> list[Any]:
        emissions = np.concatenate([log_probs, self.owner.last_frame])
        found: list[Any] = self.decoder.decode(emissions.ctypes.data, *emissions.shape)
        return found

    def _score(self, result: Any) -> ScoredHypothesis:
        text, (alpha, beta, _) = self._spell(result), self.weights
        # emittingModelScore belongs to one alignment; the score includes the sum over alignments.
        acoustic = result.score - alpha * _LN10 * result.lmScore - beta * len(text.split())
        return self.owner.task.score(text, acoustic)

    def _spell(self, result: Any) -> str:
        return " ".join(self.owner.dictionary.get_entry(index) for index in result.words if index >= 0)


class Pyctcdecode:
    """`BeamSearchDecoderCTC` of pyctcdecode, with its own pruning; raises MissingDependencyError without it."""

    start = Weights(0.5, 1.5, -10.0 * _LN10)
    unknown_scores = UNKNOWN_SCORES

    def __init__(self, task: Task) -> None:
        install = "not installed; run: pip install --no-deps pyctcdecode pygtrie (its numpy<2 is not needed)"
        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
        library = _import("pyctcdecode", install)
        labels = ["" if index == task.blank else label for index, label in enumerate(task.labels)]
        self._decoder = library.build_ctcdecoder(labels, str(task.lm.path), task.lexicon())
        self._task = task

    def search(self, weights: Weights, beam_width: int) -> PyctcdecodeSearch:
        """Return a search with these weights and this beam width."""
        return PyctcdecodeSearch(self._decoder, self._task, weights, beam_width)


@dataclass(frozen=True)
class PyctcdecodeSearch:
    """The search of `Pyctcdecode`; sets the weights before each call, because the library keeps them in the decoder."""

    decoder: Any
    task: Task
    weights: Weights
    beam_width: int

    def text(self, log_probs: Floats) -> str:
        """Return the text of the best hypothesis."""
        self._set_weights()
        return str(self.decoder.decode(log_probs, beam_width=self.beam_width))

    def nbest(self, log_probs: Floats) -> list[ScoredHypothesis]:
        """Return the hypotheses that remain in the beam."""
        self._set_weights()
        found = self.decoder.decode_beams(log_probs, beam_width=self.beam_width, prune_history=True)
        return [self.task.score(text, acoustic) for text, _, _, acoustic, _ in found[:MAX_NBEST]]

    def _set_weights(self) -> None:
        alpha, beta, unknown_score = self.weights
        self.decoder.reset_params(alpha=alpha, beta=beta, unk_score_offset=unknown_score / _LN10)


DECODERS: dict[str, Callable[[Task], Decoder]] = {
    "edgespeech": Edgespeech,
    "flashlight-text": Flashlight,
    f"flashlight-text-{FAST_SYMBOLS}": partial(Flashlight, symbols=FAST_SYMBOLS),
    "pyctcdecode": Pyctcdecode,
}


def _import(module: str, otherwise: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError(otherwise) from None


def decode_all(
    decoder: Decoder, beam_width: int, log_probs: Sequence[Floats], weights: Weights
) -> list[list[ScoredHypothesis]]:
    """Return the n-best hypotheses of all utterances with these weights."""
    search = decoder.search(weights, beam_width)
    return [search.nbest(one) for one in log_probs]
