"""Language models: binaries of KenLM, as the native search and the package read them, and ARPA files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

from edgespeech.reference.language_model.scoring import SentenceScorer
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes, mutate_text, mutate_words
from tests.runtime.decoder.arpa_examples import random_arpa
from tests.runtime.decoder.ctc_examples import spoken

_GOLDEN = Path(__file__).parents[2] / "golden"
_BINARIES = ("tiny", "random_both", "random_compressed", "tiny_characters", "tiny_probing")
_LABELS = ("", " ", "a", "b")
_LOG_PROBS = spoken("ab bab a b", _LABELS, sure=0.7)


class Binaries(Kind[bytes]):
    """KenLM's binaries of the kinds trie, plain, quantized and compressed, and hash tables."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._seeds = [(_GOLDEN / f"{name}.bin").read_bytes() for name in _BINARIES]
        self._count = 0

    def make(self, chance: Random) -> bytes:
        """Mutate bytes, most often of the header and of the numbers behind it."""
        return mutate_bytes(chance.choice(self._seeds), chance, self._seeds, in_place=0.9)

    def run(self, given: bytes) -> None:
        """Search with it, and score a sentence as ``lm`` does."""
        self._count += 1
        path = self.folder / f"{self._count}.bin"  # the file before is still mapped
        path.write_bytes(given)
        try:
            _use(path)
        finally:
            os.unlink(path)


class Arpas(Kind[bytes]):
    """ARPA files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._seeds = [
            (_GOLDEN / "tiny.arpa").read_text(encoding="utf-8"),
            random_arpa(2, seed=1, with_unknown=True),
            random_arpa(4, seed=2, with_unknown=False),
        ]

    def make(self, chance: Random) -> bytes:
        """Mutate lines and numbers, sometimes bytes."""
        text = chance.choice(self._seeds)
        if chance.random() < 0.5:  # the numbers of n-grams stay as stated
            lines = text.split("\n")
            at = chance.randrange(len(lines))
            if chance.random() < 0.5:
                lines[at] = re.sub(r"^-?[\d.]+", f"-{9 * chance.random():.3f}", lines[at])
            else:
                lines[at] = "\t".join(mutate_words(part, chance) for part in lines[at].split("\t"))
            text = "\n".join(lines)
        else:
            text = mutate_text(text, chance)
        data = text.encode("utf-8", "surrogatepass")
        return mutate_bytes(data, chance) if chance.random() < 0.3 else data

    def run(self, given: bytes) -> None:
        """Search with it, and score a sentence as ``lm`` does."""
        path = self.folder / "model.arpa"
        path.write_bytes(given)
        _use(path)


def _use(path: Path) -> None:
    model = LanguageModel(path)
    decoder = BeamSearchDecoder(_LABELS, 0, model)
    decoder.decode(_LOG_PROBS)
    scorer = SentenceScorer(path)
    for sentence in ("a b ab", "bab b unknownword a", ""):
        scorer.score(sentence)
