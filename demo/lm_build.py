"""Text -> n-gram language model, by driving KenLM's lmplz and build_binary; estimates and prunes nothing by itself.

Files become normalised lines, word counts, a vocabulary, an ARPA file (lmplz) and a quantized trie (build_binary).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.lm_text import LABELS, Exclusion, read_lines, spoken_line
from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError

MAXIMUM_ORDER = 6  # what the kenlm package is compiled for
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


def build_language_model(
    texts: Sequence[Path],
    output: Path,
    *,
    order: int = 3,
    prune: str = "0 0 1",
    vocabulary: int = 50_000,
    labels: Sequence[str] = LABELS,
    exclude: Sequence[Path] = (),
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
        order: Longest n-gram, 2 to 6.
        prune: For n = 1, 2, ...: n-grams seen this often or less are left out; the last number holds for the rest.
        vocabulary: How many of the most frequent words to keep.
        labels: The acoustic model's labels; what they cannot spell is normalised away or drops the line.
        exclude: Texts or manifests (development or test transcripts) that must not leak into the model.
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
    if not 2 <= bits <= 16:
        raise UsageError(f"{bits} bits are out of range; choose 2 to 16")
    thresholds = _check_options(texts, output, order, prune, vocabulary)
    lmplz, build_binary = find_tool("lmplz", tools), find_tool("build_binary", tools)
    alphabet = frozenset("".join(labels))
    exclusion = Exclusion.of(exclude, alphabet)
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that the finished files only need a rename.
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        work = Path(folder)
        corpus, word_list, arpa, binary = (work / name for name in ("corpus.txt", "words.txt", "lm.arpa", "lm.bin"))
        counts, tally = _gather(texts, corpus, alphabet, exclusion, keep_lone_letters, report)
        if not counts:
            raise LanguageModelError(f"no usable line in {len(texts)} file(s); give text with one sentence per line")
        words = sorted(sorted(counts, key=lambda word: (-counts[word], word))[:vocabulary])
        word_list.write_text("\n".join(words) + "\n", encoding="utf-8")
        report(f"estimating {order}-grams over {len(words)} of {len(counts)} words, prune {' '.join(thresholds)}")
        estimate = ["-o", str(order), "-S", memory, "-T", str(work / "sort"), "--discount_fallback", "--prune"]
        _run([lmplz, *estimate, *thresholds, "--limit_vocab_file", str(word_list), "--text", str(corpus)], arpa)
        ngrams = _ngram_counts(arpa)
        pack = ["-T", str(work / "sort"), "-q", str(bits), "-b", str(bits), "-a", "255"]
        _run([build_binary, *pack, "trie", str(arpa), str(binary)])
        os.replace(binary, output)
    size = output.stat().st_size
    report(f"{output}: {size / 1e6:.2f} MB; n-grams {', '.join(map(str, ngrams))}")
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


def _gather(
    texts: Sequence[Path],
    corpus: Path,
    alphabet: frozenset[str],
    exclusion: Exclusion,
    keep_lone_letters: bool,
    report: Callable[[str], None],
) -> tuple[Counter[str], Counter[str]]:
    """Write the usable lines of all texts to ``corpus``; count their words, and what became of the lines."""
    counts: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with corpus.open("w", encoding="utf-8") as out:
        for path in texts:
            tally: Counter[str] = Counter()
            for raw in read_lines(path):
                line = spoken_line(raw, alphabet)
                fate = _fate(line, exclusion, keep_lone_letters or path.suffix == ".jsonl")
                tally[fate] += 1
                if line and fate == "used":
                    counts.update(line.split(" "))
                    out.write(line + "\n")
            report(f"{path}: " + ", ".join(f"{number} {fate}" for fate, number in tally.most_common()))
            total += tally
    return counts, total


def _fate(line: str | None, exclusion: Exclusion, keep_lone_letters: bool) -> str:
    if line is None:
        return "unspoken"
    if not line:
        return "empty"
    if not keep_lone_letters and _LONE_LETTER.search(line):
        return "lone letters"
    return "excluded" if exclusion.covers(line) else "used"


def _run(command: Sequence[str | Path], output: Path | None = None) -> None:
    """Run a tool, its standard output into a file; its last words become the error."""
    with open(output or os.devnull, "wb") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        name = Path(command[0]).name
        raise LanguageModelError(f"{name} ended with {done.returncode}: {said[-1] if said else 'no message'}")


def _ngram_counts(arpa: Path) -> tuple[int, ...]:
    """Read the counts in an ARPA header."""
    counts = []
    with arpa.open(encoding="utf-8") as lines:
        for line in lines:
            if found := re.fullmatch(r"ngram \d+=(\d+)\s*", line):
                counts.append(int(found[1]))
            elif counts:
                break
    return tuple(counts)
