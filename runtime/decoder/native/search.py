"""The compiled search of one decoder, with the methods and results of that in numpy."""

from __future__ import annotations

from ctypes import Structure, byref, c_bool, c_double, c_int32, c_int64, c_void_p, string_at
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import DecodingError, UsageError
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial, Word, join_words
from edgespeech.runtime.decoder.log_probs import check_log_probs
from edgespeech.runtime.decoder.native.layouts import Memory
from edgespeech.runtime.decoder.native.library import library, owned
from edgespeech.runtime.decoder.numpy_search import prefix_states
from edgespeech.runtime.decoder.search_plan import SearchPlan

MAX_ORDER = 6  # of n-grams; that of the package kenlm too
_ALL = 2**62


class Rows(Structure):
    """Log-probabilities [frames, labels] in memory."""

    _fields_ = (("values", c_void_p), ("frames", c_int64), ("labels", c_int32), ("single", c_bool))


class StepResult(Structure):
    """The next state and the text that a step returns."""

    _fields_ = (
        ("state", c_void_p),
        ("newly_committed", c_void_p),
        ("tentative", c_void_p),
        ("newly_committed_bytes", c_int64),
        ("tentative_bytes", c_int64),
        ("shared_bytes", c_int64),
        ("frame", c_int64),
        ("committed_labels", c_int64),
    )


class ResultView(Structure):
    """The arrays that describe all hypotheses, one after the other."""

    _fields_ = (
        ("result", c_void_p),
        ("items", c_void_p),
        ("label_ends", c_void_p),
        ("labels", c_void_p),
        ("frames", c_void_p),
        ("word_ends", c_void_p),
        ("word_firsts", c_void_p),
        ("word_lasts", c_void_p),
        ("confidences", c_void_p),
        ("words", c_void_p),
        ("count", c_int64),
        ("words_bytes", c_int64),
    )


class Sizes(Structure):
    """The number of everything that a state holds."""

    _fields_ = (
        ("beams", c_int64),
        ("records", c_int64),
        ("histories", c_int64),
        ("committed_labels", c_int64),
        ("table_bytes", c_int64),
        ("bytes", c_int64),
    )


class NativeState:
    """A search between two frames; never changed, so that one state can be continued many times.

    Attributes:
        frame: Number of frames processed.
        committed_labels: Number of labels that no later frame can change.
        text: Their text.
    """

    __slots__ = ("_owned", "committed_labels", "frame", "pointer", "search", "text")

    def __init__(self, search: NativeSearch, pointer: int, frame: int, committed_labels: int, text: str) -> None:
        self._owned, self.search, self.pointer = owned(pointer, "free_state"), search, pointer
        self.frame, self.committed_labels, self.text = frame, committed_labels, text

    def sizes(self) -> dict[str, int]:
        """Count what the state holds, and the bytes of its table of prefix states and of the rest."""
        sizes = Sizes()
        self.search.library.edgespeech_sizes(self.pointer, byref(sizes))
        return {field[0]: int(getattr(sizes, field[0])) for field in Sizes._fields_}


class NativeSearch:
    """The search of one decoder; see `BeamSearchDecoder` for its methods."""

    def __init__(self, plan: SearchPlan) -> None:
        self.library = library()
        self._labels, self._frame_seconds = plan.labels, plan.options.frame_seconds
        self._grammar, self._gap = plan.grammar is not None, plan.gap
        self._lm: int | None = None
        self._memory = Memory()
        self._owned = list[object]()
        trie = plan.scorer.lm.trie if plan.scorer.lm else None
        if trie is not None:
            layout = self._memory.lm(trie)
            self._lm = self._require(self.library.edgespeech_open_lm(byref(layout)))
            self._owned.append(owned(self._lm, "close_lm"))
        search = self._memory.search(plan, prefix_states.TABLE_BYTES)
        self._pointer = self._require(self.library.edgespeech_open_search(byref(search), self._lm))
        self._owned.append(owned(self._pointer, "close_search"))

    def initial_state(self) -> NativeState:
        """Return the state before the first frame."""
        return NativeState(self, self._require(self.library.edgespeech_begin(self._pointer)), 0, 0, "")

    def step(self, log_probs: npt.ArrayLike, state: NativeState, threshold: float = inf) -> tuple[Partial, NativeState]:
        """Process more frames without changing the state; a threshold below the options' drops more prefixes."""
        self._check(state)
        values = np.asarray(log_probs)
        single = values.dtype == np.float32
        if values.ndim != 2 or values.shape[1] != len(self._labels) or not (single or values.dtype == np.float64):
            values = check_log_probs(values, len(self._labels))
        values = np.ascontiguousarray(values)
        rows = Rows(values.ctypes.data, len(values), len(self._labels), single)
        result = StepResult()
        failed = self.library.edgespeech_step(self._pointer, state.pointer, byref(rows), threshold, byref(result))
        if failed > 0:
            check_log_probs(values, len(self._labels))
        if failed:
            raise _no_memory("a step")
        fresh = string_at(result.newly_committed, result.newly_committed_bytes)
        text = state.text + _decode(fresh) if fresh else state.text
        after = NativeState(self, result.state, result.frame, result.committed_labels, text)
        tentative = string_at(result.tentative, result.tentative_bytes)
        if self._grammar:
            return Partial(_decode(tentative), "", _decode(tentative)), after
        shared = result.shared_bytes
        committed, rest = text + _decode(tentative[:shared]), _decode(tentative[shared:])
        return Partial(committed + rest, committed, rest), after

    def finish(self, state: NativeState, nbest: int | None) -> list[Hypothesis]:
        """Return the hypotheses at the end of an utterance, best first."""
        self._check(state)
        view = ResultView()
        if self.library.edgespeech_finish(self._pointer, state.pointer, nbest or _ALL, byref(view)):
            raise _no_memory("the end")
        try:
            return self._read(view)
        finally:
            self.library.edgespeech_free_result(view.result)

    def _read(self, view: ResultView) -> list[Hypothesis]:
        count = view.count
        items = _array(c_double, view.items, 4 * count)
        label_ends, word_ends = _array(c_int64, view.label_ends, count), _array(c_int64, view.word_ends, count)
        labels, frames = _array(c_int32, view.labels, label_ends[-1]), _array(c_int32, view.frames, label_ends[-1])
        firsts, lasts = (_array(c_int32, one, word_ends[-1]) for one in (view.word_firsts, view.word_lasts))
        confidences = _array(c_double, view.confidences, word_ends[-1])
        texts = _decode(string_at(view.words, view.words_bytes)).split("\0")[:-1]
        seconds = self._frame_seconds
        starts = {0, *word_ends}
        words = [
            Word(text, first * seconds, (last + 1) * seconds, confidence, joined=not self._gap and at not in starts)
            for at, (text, first, last, confidence) in enumerate(zip(texts, firsts, lasts, confidences, strict=True))
        ]
        hypotheses = []
        label_start = word_start = 0
        for index, (label_end, word_end) in enumerate(zip(label_ends, word_ends, strict=True)):
            score, acoustic, lm_score, hot_score = items[4 * index : 4 * index + 4]
            own, own_words = tuple(labels[label_start:label_end]), tuple(words[word_start:word_end])
            text = join_words(own_words) if self._grammar else "".join([self._labels[i] for i in own])
            own_frames = tuple(frames[label_start:label_end])
            hypotheses.append(Hypothesis(text, own_words, score, acoustic, lm_score, own, own_frames, hot_score))
            label_start, word_start = label_end, word_end
        return hypotheses

    def _check(self, state: NativeState) -> None:
        if not isinstance(state, NativeState) or state.search is not self:
            raise UsageError("state is from another decoder; wanted one of this decoder")

    @staticmethod
    def _require(pointer: int | None) -> int:
        if not pointer:
            raise _no_memory("the beginning")
        return pointer


def why_not(plan: SearchPlan) -> str:
    """Return why a plan needs the search in numpy; empty if it does not."""
    lm = plan.scorer.lm
    if lm is None:
        return ""
    trie = lm.trie
    if trie is None:
        return f"{lm.path} is not a KenLM binary of the kind trie"
    if trie.order > MAX_ORDER:
        return f"{lm.path} has the order {trie.order}, above {MAX_ORDER}"
    if any(ngrams.count >= 2**32 for ngrams in trie.longer):
        return f"{lm.path} has more than {2**32} n-grams"
    return ""


def _no_memory(what: str) -> DecodingError:
    return DecodingError(f"no memory for {what} of the search; choose a smaller beam width")


def _array(kind: Any, address: int | None, count: int) -> list[Any]:
    return list((kind * count).from_address(address)) if count else []


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
