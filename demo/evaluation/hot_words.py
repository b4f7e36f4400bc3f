"""What hot words do for a manifest: how often they are heard with and without them, and what becomes of other words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
from rich.console import Console
from rich.progress import track

from edgespeech.errors import ManifestError
from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.manifest import read_manifest, read_samples
from edgespeech.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class HotWordRates:
    """Counts over a manifest.

    Attributes:
        said: Occurrences of the phrases in the references.
        heard: Occurrences in what was recognised.
        right: Occurrences in both, counted in each utterance.
        wer_with: Word error rate of the utterances in which a phrase is said.
        wer_without: That of the others.
    """

    said: int
    heard: int
    right: int
    wer_with: float
    wer_without: float

    @property
    def recall(self) -> float:
        """Share of the phrases said that were heard."""
        return self.right / self.said if self.said else 0.0

    @property
    def precision(self) -> float:
        """Share of the phrases heard that were said."""
        return self.right / self.heard if self.heard else 1.0

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {
            "said": self.said,
            "heard": self.heard,
            "right": self.right,
            "recall": self.recall,
            "precision": self.precision,
            "wer_with": self.wer_with,
            "wer_without": self.wer_without,
        }


def count_hot_words(phrases: Mapping[str, float], references: Sequence[str], heard: Sequence[str]) -> HotWordRates:
    """Compare what was said with what was heard, utterance by utterance."""
    hot_words = HotWords(phrases)
    texts = list(zip(references, heard, strict=True))
    counts = [(_occurrences(hot_words, said), _occurrences(hot_words, text)) for said, text in texts]
    pairs = [(*pair, count) for pair, count in zip(texts, counts, strict=True)]
    return HotWordRates(
        said=sum(said.total() for said, _ in counts),
        heard=sum(found.total() for _, found in counts),
        right=sum((said & found).total() for said, found in counts),
        wer_with=_wer([(said, text) for said, text, (wanted, _) in pairs if wanted]),
        wer_without=_wer([(said, text) for said, text, (wanted, _) in pairs if not wanted]),
    )


def compare_hot_words(
    recognizer: Recognizer, manifest: Path, phrases: Mapping[str, float]
) -> tuple[HotWordRates, HotWordRates]:
    """Transcribe every utterance that has a text, without hot words and with them.

    Args:
        recognizer: Without hot words.
        manifest: NeMo-style JSON lines.
        phrases: The hot words with their boosts.

    Returns:
        Rates without and with them.

    Raises:
        ManifestError: The manifest, or a file of it, is unusable, or no utterance has a text.
        UsageError: A hot word will not do.
    """
    utterances = [one for one in read_manifest(manifest, check_files=True) if one.text.split()]
    if not utterances:
        raise ManifestError(f"{manifest} has no utterance with a text; hot words are counted in references")
    references: list[str] = []
    heard: tuple[list[str], list[str]] = ([], [])
    console = Console(stderr=True)
    for utterance in track(utterances, "hot words", console=console, disable=not console.is_terminal):
        samples = read_samples(utterance, recognizer.sample_rate)
        references.append(" ".join(utterance.text.lower().split()))
        for words, texts in zip(({}, phrases), heard, strict=True):
            stream = recognizer.stream()
            stream.set_hot_words(words)
            events = [*stream.accept(samples), *stream.finish()]
            texts.append(" ".join(event.text for event in events if event.type == "final"))
    return count_hot_words(phrases, references, heard[0]), count_hot_words(phrases, references, heard[1])


def rates_table(plain: HotWordRates, boosted: HotWordRates) -> str:
    """For people."""
    lines = [f"{'':16} {'without':>10} {'with':>10}", f"{'said':16} {plain.said:10} {boosted.said:10}"]
    lines += [f"{'heard':16} {plain.heard:10} {boosted.heard:10}", f"{'right':16} {plain.right:10} {boosted.right:10}"]
    for name, attribute in (
        ("recall", "recall"),
        ("precision", "precision"),
        ("WER where said", "wer_with"),
        ("WER elsewhere", "wer_without"),
    ):
        lines.append(f"{name:16} {getattr(plain, attribute):10.2%} {getattr(boosted, attribute):10.2%}")
    return "\n".join(lines)


def _occurrences(hot_words: HotWords, text: str) -> Counter[str]:
    words = text.split()
    return Counter(" ".join(words[first:last]) for first, last in hot_words.find(words))


def _wer(pairs: Sequence[tuple[str, str]]) -> float:
    return float(jiwer.wer([said for said, _ in pairs], [text for _, text in pairs])) if pairs else 0.0
