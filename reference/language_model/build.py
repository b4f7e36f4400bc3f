"""Text -> n-gram language model, by driving KenLM's lmplz and build_binary; estimates and prunes nothing by itself.

Files become normalised lines, word counts, a vocabulary, an ARPA file (lmplz) and a quantized trie (build_binary).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError
from edgespeech.reference.language_model.info import count_ngrams
from edgespeech.reference.language_model.scoring import Perplexity, SentenceScorer, spell
from edgespeech.reference.language_model.text import LABELS, Exclusion, read_lines, spoken_line

MAXIMUM_ORDER = 6  # what the kenlm package is compiled for
HELD_OUT_SHARE = 0.001
_LONE_LETTER = re.compile(r"(?<!\S)[^aio](?!\S)")


@dataclass(frozen=True)
class LanguageModelSummary:
    """What went into a language model and what came out.

    Attributes:
        model: The KenLM binary.
        lines: Sentences used.
        unspoken: Lines dropped because their reading is uncertain (digits, Roman numerals, foreign letters).
        lone_letters: Lines dropped because a letter other than a, i, o stands alone.
        excluded: Lines dropped because they share text with the excluded files.
        words: Running words used.
        vocabulary_size: Words the model knows.
        ngrams: Number of n-grams for n = 1 .. order, as written (n = 1 counts <s>, </s> and <unk> too).
        size: Bytes of the model, which holds its words.
        perplexity: On the held-out lines, if there were any.
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


def build_language_model(
    texts: Sequence[Path],
    output: Path,
    *,
    order: int | None = None,
    prune: str = "0 0 1",
    vocabulary: int = 50_000,
    characters: bool = False,
    labels: Sequence[str] = LABELS,
    exclude: Sequence[Path] = (),
    held_out: Path | None = None,
    held_out_share: float | None = None,
    keep_lone_letters: bool = True,
    bits: int = 6,
    tools: Path | None = None,
    memory: str = "20%",
    report: Callable[[str], None] = lambda line: None,
) -> LanguageModelSummary:
    """Estimate a modified Kneser-Ney model from text and write it as a quantized trie.

    Args:
        texts: Sentences, one per line (.txt, .gz, .xz, .bz2), or manifests (.jsonl), whose ``text`` is taken.
        output: The binary to write; it holds its words.
        order: Longest n-gram, 2 to 6; by default 3, or 6 with ``characters``.
        prune: For n = 1, 2, ...: n-grams seen this often or less are left out; the last number holds for the rest.
        vocabulary: How many of the most frequent words to keep.
        characters: Take each character for a word, the space between words as ``lm_scoring.SPACE_TOKEN``; for labels
            without a space there is none.
        labels: The acoustic model's labels; what they cannot spell is normalised away or drops the line.
        exclude: Texts or manifests (development or test transcripts) that must not leak into the model.
        held_out: Text or manifest to measure perplexity on; excluded too.
        held_out_share: Share of the lines to keep for that, 0 to 0.5; chosen by their hash, so equal lines stay
            together. By default one in a thousand if there is no ``held_out``.
        keep_lone_letters: Keep lines in which a letter other than a, i, o stands alone. In books those are mostly
            initials and torn abbreviations; manifests always keep theirs.
        bits: Bits per probability and per back-off weight, 2 to 16.
        tools: Folder with lmplz and build_binary; otherwise $KENLM_BIN, work/kenlm/bin and the PATH are searched.
        memory: How much memory lmplz may use to sort: a share ("20%") or a size ("2G").
        report: Receives one line per stage.

    Raises:
        UsageError: An option is out of range, or there is no file to read.
        LanguageModelError: A text cannot be read or nothing is left of it, or a tool refuses.
        MissingDependencyError: lmplz or build_binary is not there.
    """
    order = order if order is not None else MAXIMUM_ORDER if characters else 3
    if not 2 <= bits <= 16:
        raise UsageError(f"{bits} bits are out of range; choose 2 to 16")
    if held_out is not None and held_out_share is not None:
        raise UsageError("a held-out text and a share of held-out lines clash; leave one out")
    share = (0.0 if held_out else HELD_OUT_SHARE) if held_out_share is None else held_out_share
    if not 0.0 <= share <= 0.5:
        raise UsageError(f"a held-out share of {share:g} is out of range; choose 0 to 0.5")
    thresholds = _check_options(texts, output, order, prune, vocabulary)
    lmplz, build_binary = find_tool("lmplz", tools), find_tool("build_binary", tools)
    alphabet = frozenset("".join(labels))
    exclusion = Exclusion.of([*exclude, *([held_out] if held_out else [])], alphabet)
    with_spaces = " " in alphabet
    sieve = _Sieve(
        alphabet, exclusion, keep_lone_letters, share, (lambda line: spell(line, with_spaces)) if characters else str
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that the finished files only need a rename.
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        work = Path(folder)
        corpus, word_list, arpa, binary = (work / name for name in ("corpus.txt", "words.txt", "lm.arpa", "lm.bin"))
        counts, tally, kept = sieve.gather(texts, corpus, report)
        if not counts:
            raise LanguageModelError(f"no usable line in {len(texts)} file(s); give text with one sentence per line")
        words = sorted(sorted(counts, key=lambda word: (-counts[word], word))[:vocabulary])
        word_list.write_text("\n".join(words) + "\n", encoding="utf-8")
        unit = "characters" if characters else "words"
        report(f"estimating {order}-grams over {len(words)} of {len(counts)} {unit}, prune {' '.join(thresholds)}")
        estimate = ["-o", str(order), "-S", memory, "-T", str(work / "sort"), "--discount_fallback", "--prune"]
        _run([lmplz, *estimate, *thresholds, "--limit_vocab_file", str(word_list), "--text", str(corpus)], arpa)
        pack = ["-T", str(work / "sort"), "-q", str(bits), "-b", str(bits), "-a", "255"]
        _run([build_binary, *pack, "trie", str(arpa), str(binary)])
        ngrams = count_ngrams(arpa) or ()
        os.replace(binary, output)
    size = output.stat().st_size
    report(f"{output}: {size / 1e6:.2f} MB; n-grams {', '.join(map(str, ngrams))}")
    if held_out:
        kept = [line for raw in read_lines(held_out) if (line := spoken_line(raw, alphabet))]
    return LanguageModelSummary(
        model=output,
        lines=tally["used"],
        unspoken=tally["unspoken"],
        lone_letters=tally["lone letters"],
        excluded=tally["excluded"],
        words=counts.total(),
        vocabulary_size=len(words),
        ngrams=ngrams,
        size=size,
        perplexity=_measure(output, kept, report),
    )


def find_tool(name: str, folder: Path | None = None) -> Path:
    """Find one of KenLM's programs in ``folder``, or else in $KENLM_BIN, work/kenlm/bin and the PATH.

    Raises:
        MissingDependencyError: The message says how to get it.
    """
    places = [folder] if folder else [Path("work/kenlm/bin")]
    if folder is None and (named := os.environ.get("KENLM_BIN")):
        places.insert(0, Path(named))
    for place in places:
        if found := shutil.which(name, path=str(place.absolute())):
            return Path(found)
    if folder is None and (found := shutil.which(name)):
        return Path(found)
    where = f"in {folder}" if folder else "in $KENLM_BIN, work/kenlm/bin or on the PATH"
    raise MissingDependencyError(
        f"KenLM's {name} was not found {where}; build it with 'make kenlm-tools' (see CONTRIBUTING.md) or set KENLM_BIN"
    )


def _check_options(texts: Sequence[Path], output: Path, order: int, prune: str, vocabulary: int) -> list[str]:
    """Refuse what lmplz would refuse later, or less clearly; return the pruning thresholds."""
    if not texts:
        raise UsageError("no text was given; name at least one file with one sentence per line")
    if not 2 <= order <= MAXIMUM_ORDER:
        raise UsageError(f"order {order} is out of range; choose 2 to {MAXIMUM_ORDER}")
    if vocabulary < 1:
        raise UsageError(f"a vocabulary of {vocabulary} words is out of range; choose 1 or more")
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name the file to write, such as {output / 'lm.bin'}")
    thresholds = prune.split()
    numbers = [int(number) for number in thresholds if re.fullmatch(r"[0-9]+", number)]
    fits = 1 <= len(numbers) == len(thresholds) <= order
    if not fits or numbers[0] != 0 or numbers != sorted(numbers):
        raise UsageError(
            f"prune {prune!r} does not fit order {order}; give up to {order} counts that grow from 0: '0 0 1'"
        )
    return thresholds


@dataclass(frozen=True)
class _Sieve:
    """Decides what becomes of a line, and writes those that are used the way the model reads them."""

    alphabet: frozenset[str]
    exclusion: Exclusion
    keep_lone_letters: bool
    held_out_share: float
    write: Callable[[str], str]

    def gather(
        self, texts: Sequence[Path], corpus: Path, report: Callable[[str], None]
    ) -> tuple[Counter[str], Counter[str], list[str]]:
        """Write the usable lines to ``corpus``; count their words and what became of the lines; list those held out."""
        counts, total, held_out = Counter[str](), Counter[str](), list[str]()
        with corpus.open("w", encoding="utf-8") as out:
            for path in texts:
                tally: Counter[str] = Counter()
                for raw in read_lines(path):
                    line = spoken_line(raw, self.alphabet)
                    fate = self._fate(line, self.keep_lone_letters or path.suffix == ".jsonl")
                    tally[fate] += 1
                    if line and fate == "used":
                        written = self.write(line)
                        counts.update(written.split(" "))
                        out.write(written + "\n")
                    elif line and fate == "held out":
                        held_out.append(line)
                report(f"{path}: " + ", ".join(f"{number} {fate}" for fate, number in tally.most_common()))
                total += tally
        return counts, total, held_out

    def _fate(self, line: str | None, keep_lone_letters: bool) -> str:
        if line is None:
            return "unspoken"
        if not line:
            return "empty"
        if not keep_lone_letters and _LONE_LETTER.search(line):
            return "lone letters"
        if self.exclusion.covers(line):
            return "excluded"
        return "held out" if zlib.crc32(line.encode()) < self.held_out_share * 2**32 else "used"


def _measure(model: Path, lines: Sequence[str], report: Callable[[str], None]) -> Perplexity | None:
    """The perplexity on held-out lines, where there are some and the kenlm package is there."""
    if not lines:
        report("no lines were held out, so no perplexity is measured")
        return None
    try:
        found = SentenceScorer(model).perplexity(lines)
    except MissingDependencyError as error:
        report(f"no perplexity is measured: {error}")
        return None
    report(f"on held-out lines: {found}")
    return found


def _run(command: Sequence[str | Path], output: Path | None = None) -> None:
    """Run a tool, its standard output into a file; its last words become the error."""
    with open(output or os.devnull, "wb") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        name = Path(command[0]).name
        raise LanguageModelError(f"{name} ended with {done.returncode}: {said[-1] if said else 'no message'}")
