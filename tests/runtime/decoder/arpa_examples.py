"""A random ARPA model in which n-grams of every length occur, and the golden files that KenLM made of it.

`python -m tests.runtime.decoder.arpa_examples BUILD_BINARY` writes the golden files again; it needs the kenlm package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[2] / "golden"
WORDS = [*"abcdefghijklmnop", "ab", "über", "seventh", "eightfold", "eightfolded", "'tis", "seventeenlettered"]
VARIANTS = {
    "plain": [],
    "quantized": ["-q", "8", "-b", "8"],
    "compressed": ["-a", "22"],
    "both": ["-q", "4", "-b", "3", "-a", "22"],
}
GOLDEN_VARIANTS = ("compressed", "both")
CHARACTERS = [chr(0x4E00 + at) for at in range(300)]


def random_arpa(
    order: int, seed: int, sentences: int = 80, with_unknown: bool = True, words: Sequence[str] = WORDS
) -> str:
    """Write a model of the n-grams in random sentences, of which a few shorter ones are left out."""
    random = np.random.default_rng(seed)
    ngrams: list[set[tuple[str, ...]]] = [{("<s>",), ("</s>",), *((word,) for word in words)}]
    ngrams += [set() for _ in range(order - 1)]
    for _ in range(sentences):
        drawn = [words[int(len(words) * value**2)] for value in random.random(random.integers(1, 9))]
        sentence = ("<s>", *drawn, "</s>")
        for n in range(2, order + 1):
            kept = (sentence[at : at + n] for at in range(len(sentence) - n + 1))
            # KenLM wants the context of each n-gram, but not its last words.
            ngrams[n - 1].update(ngram for ngram in kept if ngram[:-1] in ngrams[n - 2] and random.random() < 0.9)
    if with_unknown:
        ngrams[0].add(("<unk>",))
    lines = ["\\data\\", *(f"ngram {n}={len(found)}" for n, found in enumerate(ngrams, 1))]
    for n, found in enumerate(ngrams, 1):
        lines += ["", f"\\{n}-grams:"]
        for ngram in sorted(found):
            log_prob = 0.0 if ngram == ("<s>",) else -random.uniform(0.1, 4.0)
            backoff = "" if n == order else f"\t{random.choice([0.0, -random.uniform(0.0, 1.0)]):.4f}"
            lines.append(f"{log_prob:.4f}\t{' '.join(ngram)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


def build(program: str | Path, variant: str, arpa: Path, binary: Path) -> Path:
    """Convert an ARPA file with KenLM's build_binary."""
    command = [str(program), *VARIANTS[variant], "trie", str(arpa), str(binary)]
    subprocess.run(command, check=True, capture_output=True)
    return binary


def random_sentences(words: list[str], count: int, seed: int) -> list[str]:
    """Draw sentences of which the first words of the list are the most frequent."""
    random = np.random.default_rng(seed)
    return [
        " ".join(words[int(len(words) * value**3)] for value in random.random(random.integers(1, 12)))
        for _ in range(count)
    ]


def write_golden_files(program: str) -> None:
    """Write the binaries, and the scores that KenLM gives."""
    import kenlm  # type: ignore[import-not-found,unused-ignore]

    arpa = GOLDEN / "random.arpa"
    arpa.write_text(random_arpa(4, seed=1), encoding="utf-8")
    sentences = random_sentences([*WORDS, "unknown", "<unk>", "</s>"], 30, seed=2)
    scores = {}
    for variant in GOLDEN_VARIANTS:
        path = build(program, variant, arpa, GOLDEN / f"random_{variant}.bin")
        model = kenlm.Model(str(path))
        scores[path.name] = {
            sentence: [(float(f"{log_prob:.9g}"), n, unknown) for log_prob, n, unknown in model.full_scores(sentence)]
            for sentence in sentences
        }
    arpa.write_text(random_arpa(3, seed=3, sentences=700, words=CHARACTERS), encoding="utf-8")
    build(program, "both", arpa, GOLDEN / "many_characters.bin")
    arpa.unlink()
    (GOLDEN / "kenlm_scores.json").write_text(json.dumps(scores, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden_files(sys.argv[1])
