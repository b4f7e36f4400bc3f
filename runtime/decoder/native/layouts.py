"""The structures of the C++ sources as ctypes, filled from a decoder's plan; the names are the same there."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import POINTER, Structure, c_double, c_int32, c_int64, c_uint64, c_void_p
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, NGrams, QuantizedWeights
from edgespeech.runtime.decoder.numpy_search.prefix_trie import label_keys
from edgespeech.runtime.decoder.search_plan import SearchPlan
from edgespeech.runtime.decoder.vocabulary import Vocabulary, pack_texts
from edgespeech.runtime.decoder.word_scorer import WordScorer


class PackedTexts(Structure):
    """UTF-8 texts one after the other, and their ends."""

    _fields_ = (("bytes", c_void_p), ("ends", c_void_p), ("count", c_int64))


class NGramsLayout(Structure):
    """Where the n-grams of one order are in the file."""

    _fields_ = (
        ("first_bit", c_uint64),
        ("count", c_uint64),
        ("highest_word", c_uint64),
        ("child_table", c_void_p),
        ("child_table_size", c_uint64),
        ("log_probs", c_void_p),
        ("backoffs", c_void_p),
        ("entry_bits", c_int32),
        ("word_bits", c_int32),
        ("child_bits", c_int32),
        ("log_prob_bits", c_int32),
        ("backoff_bits", c_int32),
        ("has_backoffs", c_int32),
    )


class LmLayout(Structure):
    """Where the parts of a KenLM trie are in memory."""

    _fields_ = (
        ("data", c_void_p),
        ("hashes", c_void_p),
        ("unigrams", c_void_p),
        ("hash_count", c_uint64),
        ("order", c_int32),
        ("longer", POINTER(NGramsLayout)),
    )


class HotWordsLayout(Structure):
    """The tree of tokens that `HotWords` searches."""

    _fields_ = (
        ("tokens", PackedTexts),
        ("boosts", c_void_p),
        ("nodes", c_int64),
        ("child_tokens", PackedTexts),
        ("child_edges", c_void_p),
        ("partial_texts", PackedTexts),
        ("partial_nodes", c_void_p),
        ("partial_boosts", c_void_p),
    )


class ScorerLayout(Structure):
    """The settings and texts of `WordScorer`."""

    _fields_ = (
        ("pieces", PackedTexts),
        ("piece_counts", c_void_p),
        ("lexicon", PackedTexts),
        ("unigrams", c_void_p),
        ("hot_words", HotWordsLayout),
        ("alpha", c_double),
        ("beta", c_double),
        ("unknown_score", c_double),
        ("unknown_lift", c_double),
        ("penalty", c_double),
        ("unknown_lookahead", c_double),
        ("start_lookahead", c_double),
        ("labels", c_int32),
        ("has_lexicon", c_int32),
    )


class FrameSearchLayout(Structure):
    """The settings of one frame of search."""

    _fields_ = (
        ("blank", c_int32),
        ("beam_width", c_int64),
        ("beam_threshold", c_double),
        ("label_scores", c_void_p),
        ("label_keys", c_void_p),
    )


class SearchLayout(Structure):
    """The settings of a search with all its parts."""

    _fields_ = (
        ("scorer", ScorerLayout),
        ("frames", FrameSearchLayout),
        ("label_texts", PackedTexts),
        ("word_pieces", PackedTexts),
        ("word_piece_counts", c_void_p),
        ("symbol_mass", c_double),
        ("confidence_power", c_double),
        ("max_symbols", c_int64),
        ("max_tentative", c_int64),
        ("table_bytes", c_int64),
        ("grammar", c_int32),
        ("by_characters", c_int32),
    )


class Memory:
    """Fills layouts, and keeps the arrays alive that they point to."""

    def __init__(self) -> None:
        self._arrays: list[npt.NDArray[Any]] = []

    def address(self, values: npt.ArrayLike, dtype: npt.DTypeLike) -> int:
        """Return where an array of these values begins."""
        return self._keep(np.ascontiguousarray(values, dtype))

    def _keep(self, array: npt.NDArray[Any]) -> int:
        self._arrays.append(array)
        return array.ctypes.data

    def texts(self, texts: Iterable[str] | Vocabulary) -> PackedTexts:
        """Pack texts in the order given."""
        everything, ends = texts.packed if isinstance(texts, Vocabulary) else pack_texts(texts)
        return PackedTexts(self._keep(np.frombuffer(everything, np.uint8)), self.address(ends, np.uint32), len(ends))

    def lm(self, trie: KenlmTrie) -> LmLayout:
        """Describe a language model, whose file stays mapped as long as this object lives."""
        start = self._keep(np.frombuffer(trie.data, np.uint8))
        ngrams = [self._ngrams(one) for one in trie.longer]
        longer = (NGramsLayout * len(ngrams))(*ngrams)
        return LmLayout(
            data=start,
            hashes=self._view(trie.hashes),
            unigrams=start + trie.unigrams,
            hash_count=len(trie.hashes),
            order=trie.order,
            longer=longer,
        )

    def _view(self, view: memoryview[Any] | None) -> int | None:
        return None if view is None else self._keep(np.frombuffer(view.cast("B"), np.uint8))

    def _ngrams(self, ngrams: NGrams) -> NGramsLayout:
        layout = NGramsLayout(
            first_bit=ngrams.first_bit,
            count=ngrams.count,
            highest_word=ngrams.words,
            child_table=self._view(ngrams.table),
            child_table_size=0 if ngrams.table is None else len(ngrams.table),
            entry_bits=ngrams.bits,
            word_bits=ngrams.word_bits,
            child_bits=ngrams.child_bits,
        )
        weights = ngrams.weights
        if isinstance(weights, QuantizedWeights):
            layout.log_probs, layout.backoffs = self._view(weights.log_probs), self._view(weights.backoffs)
            layout.backoff_bits = weights.backoff_bits
            layout.log_prob_bits = weights.bits - weights.backoff_bits
        else:
            layout.has_backoffs = weights.with_backoff
        return layout

    def search(self, plan: SearchPlan, table_bytes: int) -> SearchLayout:
        """Describe a search with all its settings."""
        options, scores = plan.options, plan.label_scores
        return SearchLayout(
            scorer=self._scorer(plan.scorer),
            frames=FrameSearchLayout(
                plan.blank,
                plan.beam_width,
                np.inf if options.beam_threshold is None else options.beam_threshold,
                None if scores is None else self.address(scores, np.float64),
                self.address(label_keys(len(plan.labels)), np.int64),
            ),
            label_texts=self.texts(plan.labels),
            word_pieces=self.texts(chain.from_iterable(plan.word_pieces)),
            word_piece_counts=self.address(list(map(len, plan.word_pieces)), np.int32),
            symbol_mass=plan.symbol_mass,
            confidence_power=options.confidence_power,
            max_symbols=plan.max_symbols,
            max_tentative=-1 if options.max_tentative is None else options.max_tentative,
            table_bytes=table_bytes,
            grammar=plan.grammar is not None,
            by_characters=plan.by_characters,
        )

    def _scorer(self, scorer: WordScorer) -> ScorerLayout:
        return ScorerLayout(
            pieces=self.texts(chain.from_iterable(scorer.pieces)),
            piece_counts=self.address(list(map(len, scorer.pieces)), np.int32),
            lexicon=self.texts(() if scorer.lexicon is None else scorer.lexicon),
            unigrams=self.address(scorer.unigrams, np.float64) if len(scorer.unigrams) else None,
            hot_words=self._hot_words(scorer.hot_words),
            alpha=scorer.alpha,
            beta=scorer.beta,
            unknown_score=scorer.unknown_score,
            unknown_lift=scorer.lm.unknown_lift if scorer.lm else 0.0,
            penalty=scorer.penalty,
            unknown_lookahead=scorer.unknown_lookahead,
            start_lookahead=scorer.start_lookahead,
            labels=scorer.labels,
            has_lexicon=scorer.lexicon is not None,
        )

    def _hot_words(self, hot_words: HotWords) -> HotWordsLayout:
        children = [
            (token, node, child) for node, found in enumerate(hot_words.children) for token, child in found.items()
        ]
        partials = [
            (text, node, boost) for node, found in enumerate(hot_words.partial_boosts) for text, boost in found.items()
        ]
        return HotWordsLayout(
            tokens=self.texts(hot_words.tokens),
            boosts=self.address(hot_words.boosts, np.float64),
            nodes=len(hot_words.boosts),
            child_tokens=self.texts(token for token, _, _ in children),
            child_edges=self.address([edge for _, *edge in children], np.int32),
            partial_texts=self.texts(text for text, _, _ in partials),
            partial_nodes=self.address([node for _, node, _ in partials], np.int32),
            partial_boosts=self.address([boost for _, _, boost in partials], np.float64),
        )
