"""Builds n-gram language models with KenLM's lmplz (estimation) and build_binary (quantized trie)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError
from edgespeech.reference.language_model.corpus import write_corpus
from edgespeech.reference.language_model.info import count_ngrams
from edgespeech.reference.language_model.kenlm_tools import find_tool, run_tool
from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.reference.language_model.scoring import Perplexity, SentenceScorer
from edgespeech.runtime.files import make_folder
from edgespeech.runtime.storage.durability import sync_folder, sync_tree
from edgespeech.runtime.storage.temporaries import temporary_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LanguageModelSummary:
    """The size of a language model, and the number of lines that were used and dropped.

    Attributes:
        unspoken: Lines dropped because their reading is uncertain (digits, Roman numerals, foreign letters).
        lone_letters: Lines dropped because a letter other than a, i, o is a word.
        excluded: Lines dropped because they share text with the excluded files.
        words: Running words used.
        ngrams: Number of n-grams for n = 1 .. order, as written (n = 1 includes <s>, </s> and <unk>).
        size: Bytes of the model, including its words.
    """

    model: Path
    lines: int
    unspoken: int
    lone_letters: int
    excluded: int
    words: int
    vocabulary_size: int
    ngrams: tuple[int, ...]
    size: int
    perplexity: Perplexity | None


def build_language_model(request: BuildRequest) -> LanguageModelSummary:
    """Estimate a modified Kneser-Ney model and write it as a quantized trie, whole or not at all.

    Raises:
        LanguageModelError: A text cannot be read or has no usable line, or a program of KenLM fails.
        MissingDependencyError: lmplz or build_binary is missing.
        UsageError: The file cannot be written.
    """
    lmplz, build_binary = find_tool("lmplz", request.tools), find_tool("build_binary", request.tools)
    output = request.output
    make_folder(output.parent)
    try:
        # Beside the output, so that the finished file only has to be renamed.
        with temporary_folder(output) as work:
            corpus = write_corpus(request, work / "corpus.txt")
            if not corpus.words:
                raise LanguageModelError(
                    f"no usable line in {len(request.texts)} file(s); give text with one sentence per line, and the "
                    "labels that spell it with --bundle or --labels if it is not English"
                )
            words = corpus.vocabulary[: request.vocabulary]
            unit = "characters" if request.characters else "words"
            log.info(
                "estimating %d-grams over %d of %d %s, prune %s",
                request.max_order, len(words), len(corpus.words), unit, request.prune,
            )  # fmt: skip
            _estimate(request, lmplz, work, words)
            pack = ["-T", str(work / "sort"), "-q", str(request.bits), "-b", str(request.bits), "-a", "255"]
            run_tool([build_binary, *pack, "trie", str(work / "lm.arpa"), str(work / "lm.bin")])
            ngrams = count_ngrams(work / "lm.arpa") or ()
            sync_tree(work)
            os.replace(work / "lm.bin", output)
            sync_folder(output.parent)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}; free some space or give another file") from None
    size = output.stat().st_size
    log.info("%s: %.2f MB; n-grams %s", output, size / 1e6, ", ".join(map(str, ngrams)))
    return LanguageModelSummary(
        model=output,
        lines=corpus.lines["used"],
        unspoken=corpus.lines["unspoken"],
        lone_letters=corpus.lines["lone letters"],
        excluded=corpus.lines["excluded"],
        words=corpus.words.total(),
        vocabulary_size=len(words),
        ngrams=ngrams,
        size=size,
        perplexity=_measure(output, corpus.held_out),
    )


def _estimate(request: BuildRequest, lmplz: Path, work: Path, words: Sequence[str]) -> None:
    word_list = work / "words.txt"
    word_list.write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
    estimate = ["-o", str(request.max_order), "-S", request.memory, "-T", str(work / "sort"), "--discount_fallback"]
    prune = ["--prune", *request.prune.split()]
    files = ["--limit_vocab_file", str(word_list), "--text", str(work / "corpus.txt")]
    run_tool([lmplz, *estimate, *prune, *files], work / "lm.arpa")


def _measure(model: Path, lines: Sequence[str]) -> Perplexity | None:
    if not lines:
        log.info("no lines were held out, so no perplexity is measured")
        return None
    try:
        found = SentenceScorer(model).perplexity(lines)
    except MissingDependencyError as error:
        log.warning("no perplexity is measured: %s", error)
        return None
    log.info("on held-out lines: %s", found)
    return found
