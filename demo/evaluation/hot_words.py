"""The effect of hot words on a manifest: their recall and precision, and the word errors of the other utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.hypothesis import join_words
from edgespeech.runtime.measure.references import read_references, read_speech
from edgespeech.runtime.measure.tables import Table
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class HotWordRates:
    """Occurrences of hot words, counted within each utterance of a manifest.

    ``wer_with`` is the word error rate of utterances whose reference has a hot word, ``wer_without`` that of others.
    """

    spoken: int
    recognised: int
    correct: int
    wer_with: float
    wer_without: float

    @property
    def recall(self) -> float:
        """Fraction of the spoken hot words that were recognised."""
        return self.correct / self.spoken if self.spoken else 0.0

    @property
    def precision(self) -> float:
        """Fraction of the recognised hot words that were spoken."""
        return self.correct / self.recognised if self.recognised else 1.0

    def as_dict(self) -> dict[str, float]:
        """Return the figures under the keys of ``hot-words --json``."""
        return {
            "said": self.spoken,
            "heard": self.recognised,
            "right": self.correct,
            "recall": self.recall,
            "precision": self.precision,
            "wer_with": self.wer_with,
            "wer_without": self.wer_without,
        }


def count_hot_words(phrases: Mapping[str, float], references: Sequence[str], hypotheses: Sequence[str]) -> HotWordRates:
    """Count the phrases in references and hypotheses, utterance by utterance."""
    hot_words = HotWords(phrases)
    texts = list(zip(references, hypotheses, strict=True))
    counts = [(_occurrences(hot_words, reference), _occurrences(hot_words, text)) for reference, text in texts]
    with_phrase = [pair for pair, (spoken, _) in zip(texts, counts, strict=True) if spoken]
    without = [pair for pair, (spoken, _) in zip(texts, counts, strict=True) if not spoken]
    return HotWordRates(
        spoken=sum(spoken.total() for spoken, _ in counts),
        recognised=sum(found.total() for _, found in counts),
        correct=sum((spoken & found).total() for spoken, found in counts),
        wer_with=_wer(with_phrase),
        wer_without=_wer(without),
    )


def compare_hot_words(
    recognizer: Recognizer, manifest: Path, phrases: Mapping[str, float]
) -> tuple[HotWordRates, HotWordRates]:
    """Transcribe the utterances of `read_references` without hot words and with them.

    Raises:
        EdgespeechError: The manifest or a hot word is invalid.
    """
    references = read_references(manifest).for_labels(recognizer.labels)
    references.log()
    hypotheses: tuple[list[str], list[str]] = ([], [])
    for _, _, samples in read_speech(references, recognizer.sample_rate, "hot words"):
        for words, texts in zip(({}, phrases), hypotheses, strict=True):
            stream = recognizer.stream()
            stream.set_hot_words(words)
            events = [*stream.accept(samples), *stream.finish()]
            found = (word for event in events if event.type == "final" for word in event.words)
            texts.append(references.normalise(join_words(found, plain=True)))
    counted = {normal: boost for words, boost in phrases.items() if (normal := references.normalise(words))}
    without, boosted = (count_hot_words(counted, references.texts, texts) for texts in hypotheses)
    return without, boosted


def hot_word_table(without: HotWordRates, boosted: HotWordRates) -> Table:
    """Return a table of the rates without and with hot words."""
    both = (without, boosted)
    rows = [
        ("spoken", *(str(one.spoken) for one in both)),
        ("recognised", *(str(one.recognised) for one in both)),
        ("correct", *(str(one.correct) for one in both)),
        ("recall", *(f"{one.recall:.2%}" for one in both)),
        ("precision", *(f"{one.precision:.2%}" for one in both)),
        ("WER where spoken", *(f"{one.wer_with:.2%}" for one in both)),
        ("WER elsewhere", *(f"{one.wer_without:.2%}" for one in both)),
    ]
    return Table(("", "without", "with"), rows)


def _occurrences(hot_words: HotWords, text: str) -> Counter[str]:
    words = text.split()
    return Counter(" ".join(words[first:last]) for first, last in hot_words.find(words))


def _wer(pairs: Sequence[tuple[str, str]]) -> float:
    return word_error_rate([reference for reference, _ in pairs], [text for _, text in pairs]) if pairs else 0.0
