"""A language model mixed with a text of the user: how much the text counts is chosen on a part of it that is held out.

What the text may cost elsewhere is measured without other text: on sentences that are drawn from the model itself.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgespeech.errors import LanguageModelError, UsageError, VerificationError
from edgespeech.reference.language_model.arpa import write_arpa
from edgespeech.reference.language_model.corpus import write_corpus
from edgespeech.reference.language_model.kenlm_tools import find_tool, run_tool
from edgespeech.reference.language_model.mixing import unite
from edgespeech.reference.language_model.ngrams import NGramArrays, read_ngrams
from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.reference.language_model.sampling import sample_sentences
from edgespeech.reference.language_model.scoring import Perplexity, spell
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, QuantizedWeights
from edgespeech.runtime.decoder.language_model import LanguageModel

log = logging.getLogger(__name__)

HELD_OUT_FRACTION = 0.2
MIN_SENTENCES = 20  # different ones
MAX_WORD_LETTERS = 60
PRUNED_FROM = 500_000  # running words, from which 3-grams that occur once are left out
GENERAL_WORDS = 3_000
MAX_GENERAL_INCREASE = 0.025  # of the perplexity of other sentences
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class OwnTextRequest:
    """A text to mix into a language model.

    Attributes:
        texts: Sentences, one per line (.txt, .gz, .xz, .bz2), or manifests.
        base: The language model, a KenLM binary of the kind trie.
        labels: The labels to which the text is normalised.
        weight: Weight of the text, above 0 and below 1; None for the best one whose cost elsewhere is bounded.
        tools: Folder of lmplz and build_binary.
    """

    texts: tuple[Path, ...]
    base: Path
    labels: tuple[str, ...]
    weight: float | None = None
    tools: Path | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not 0.0 < self.weight < 1.0:
            raise UsageError(f"the weight of the text is {self.weight:g}; wanted a number above 0 and below 1")


@dataclass(frozen=True)
class Choice:
    """A weight of the text with the perplexities that it gives on held-out sentences and on those of the base."""

    weight: float
    held_out: Perplexity
    general: float


@dataclass(frozen=True)
class MixedModel:
    """What became of a text, and what it changed.

    Attributes:
        sentences: Number of sentences used.
        dropped: Number of lines that were not used, by reason.
        words: Running words used.
        new_words: Words that the base did not have, the most frequent first.
        before: Perplexity of the base on the held-out sentences.
        chosen: The weight, and its perplexity there, measured without these sentences in the model.
        general_before: Perplexity of the base on sentences drawn from it.
    """

    sentences: int
    dropped: Counter[str]
    words: int
    new_words: tuple[str, ...]
    before: Perplexity
    chosen: Choice
    general_before: float

    @property
    def general_increase(self) -> float:
        """Relative increase of the perplexity of sentences drawn from the base."""
        return self.chosen.general / self.general_before - 1.0


@dataclass(frozen=True)
class _OwnLines:
    kept: tuple[str, ...]
    held_out: tuple[str, ...]
    dropped: Counter[str]

    @property
    def words(self) -> Counter[str]:
        return Counter(word for line in (*self.kept, *self.held_out) for word in line.split())


def mix_text(
    request: OwnTextRequest, output: Path, announce: Callable[[float, float], None] = lambda seconds, megabytes: None
) -> MixedModel:
    """Mix a text into a language model and write it in the format of the base.

    Args:
        request: The text and the base.
        output: KenLM binary to write.
        announce: Called with the estimated seconds and peak memory in megabytes before the work begins.

    Raises:
        LanguageModelError: A text or the base cannot be read, or the text has too few sentences.
        MissingDependencyError: lmplz or build_binary is missing.
        VerificationError: The text does not lower the perplexity of its held-out part.
    """
    build_binary = find_tool("build_binary", request.tools)
    model = LanguageModel(request.base)
    characters = model.vocabulary is not None and model.vocabulary.is_of_characters()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        lines = _read_lines(request, work)
        seconds, megabytes = _estimate_cost(request.base, sum(lines.words.values()))
        announce(seconds, megabytes)
        base = read_ngrams(request.base)
        chosen, before, general_before = _choose(request, base, lines, work, characters)
        text = _text_model(request, (*lines.kept, *lines.held_out), work, base, characters)
        mixed = unite(base, text).mix(chosen.weight)
        with (work / "mixed.arpa").open("w", encoding="utf-8") as out:
            write_arpa(mixed, out)
        run_tool([build_binary, *_packing(request.base), "-T", str(work / "sort"), "trie",
                  str(work / "mixed.arpa"), str(output)])  # fmt: skip
    words = lines.words
    new = tuple(word for word, _ in words.most_common() if word not in base.numbers)
    return MixedModel(
        len(lines.kept) + len(lines.held_out), lines.dropped, words.total(), new, before, chosen, general_before
    )


def _read_lines(request: OwnTextRequest, work: Path) -> _OwnLines:
    """Normalise the text, and hold a part of its sentences out; equal ones stay together."""
    corpus_path = work / "own.txt"
    build = BuildRequest(texts=request.texts, output=work / "unused.bin", labels=request.labels, held_out_fraction=0.0)
    corpus = write_corpus(build, corpus_path)
    used = corpus_path.read_text(encoding="utf-8").split("\n")[:-1]
    usable = [line for line in used if max(map(len, line.split())) <= MAX_WORD_LETTERS]
    dropped = Counter({reason: count for reason, count in corpus.lines.items() if reason not in ("used", "empty")})
    if too_long := len(used) - len(usable):
        dropped[f"word of more than {MAX_WORD_LETTERS} letters"] = too_long
    held_out = [line for line in usable if zlib.crc32(line.encode()) < HELD_OUT_FRACTION * 2**32]
    kept = [line for line in usable if zlib.crc32(line.encode()) >= HELD_OUT_FRACTION * 2**32]
    different = len(set(usable))
    if different < MIN_SENTENCES or not held_out or not kept:
        reasons = "".join(f"; {count} lines dropped: {reason}" for reason, count in dropped.items())
        raise LanguageModelError(
            f"the text has {different} different sentences that can be used{reasons}; wanted {MIN_SENTENCES} or more, "
            "one per line"
        )
    return _OwnLines(tuple(kept), tuple(held_out), dropped)


def _choose(
    request: OwnTextRequest, base: NGramArrays, lines: _OwnLines, work: Path, characters: bool
) -> tuple[Choice, Perplexity, float]:
    """Choose the weight with a model of the other lines; return it with both perplexities of the base."""
    union = unite(base, _text_model(request, lines.kept, work, base, characters))
    held_out = [_spelled(line, base, characters) for line in lines.held_out]
    general = sample_sentences(base, GENERAL_WORDS)
    before, general_before = _perplexity(base, held_out), _perplexity(base, general).perplexity
    most = math.inf if request.weight is not None else general_before * (1.0 + MAX_GENERAL_INCREASE)
    choices: list[Choice] = []
    for weight in WEIGHTS if request.weight is None else (request.weight,):
        if choices and choices[-1].general > most:
            break
        mixed = union.mix(weight)
        choices.append(Choice(weight, _perplexity(mixed, held_out), _perplexity(mixed, general).perplexity))
        log.debug(
            "weight %g: perplexity of held-out sentences %.1f, of others %.1f",
            weight, choices[-1].held_out.perplexity, choices[-1].general,
        )  # fmt: skip
    bounded = [one for one in choices if one.general <= most] or choices[:1]
    best = min(bounded, key=lambda one: one.held_out.perplexity)
    if best.held_out.perplexity >= before.perplexity:
        raise VerificationError(
            f"the perplexity of {len(held_out)} held-out sentences of the text is {before.perplexity:.1f} before and "
            f"{best.held_out.perplexity:.1f} after: nothing is written; give more text, one sentence per line"
        )
    return best, before, general_before


def _spelled(line: str, base: NGramArrays, characters: bool) -> str:
    return spell(line, "\u2581" in base.numbers) if characters else line


def _text_model(
    request: OwnTextRequest, lines: Sequence[str], work: Path, base: NGramArrays, characters: bool
) -> NGramArrays:
    """Estimate a model of the base's order on normalised lines."""
    lmplz, build_binary = find_tool("lmplz", request.tools), find_tool("build_binary", request.tools)
    order = len(base.orders)
    text, arpa, output, sort = (work / name for name in ("lines.txt", "lines.arpa", "lines.bin", "sort"))
    text.write_text("".join(f"{_spelled(line, base, characters)}\n" for line in lines), encoding="utf-8")
    words = sum(len(line.split()) for line in lines)
    prune = "0" if words < PRUNED_FROM else " ".join("001"[:order])
    estimate = ["-o", str(order), "-S", "20%", "-T", str(sort), "--discount_fallback", "--prune", *prune.split()]
    run_tool([lmplz, *estimate, "--text", str(text)], arpa)
    run_tool([build_binary, "-T", str(sort), "trie", str(arpa), str(output)])
    return read_ngrams(output)


def _perplexity(model: NGramArrays, lines: Sequence[str]) -> Perplexity:
    tokens = model.tokens(lines)
    return Perplexity(
        float(np.exp(-model.score(tokens).mean())), len(tokens.words) - len(lines), int((tokens.words == 0).sum()),
        len(lines),
    )  # fmt: skip


def _packing(base: Path) -> list[str]:
    """Return the options of build_binary that give the format of a trie."""
    longest = KenlmTrie(base).longer
    options = []
    if isinstance(weights := longest[0].weights, QuantizedWeights):
        bits = weights.bits - weights.backoff_bits
        options += ["-q", str(bits), "-b", str(weights.backoff_bits or bits)]
    return [*options, *(["-a", "255"] if any(one.table is not None for one in longest) else [])]


def _estimate_cost(base: Path, words: int) -> tuple[float, float]:
    """Estimate seconds and megabytes, as measured on one core of a server for models of 0.1 to 3 million n-grams."""
    ngrams = sum(one.count for one in KenlmTrie(base).longer) + 4 * words
    return 5.0 + 12e-6 * ngrams, 300.0 + 250e-6 * ngrams
