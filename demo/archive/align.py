"""The work of ``edgespeech data align``: long recordings and their texts to a manifest of clips, and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.archive.cutting import Stretch, cut
from edgespeech.demo.archive.report import Dropped, KeptClip, Summary
from edgespeech.demo.archive.sources import clip_path, local_path, source_name
from edgespeech.demo.transcribe.bulk_task import bundle_id, local_copy
from edgespeech.errors import UsageError
from edgespeech.reference.alignment.alignment import Alignment, align
from edgespeech.reference.alignment.rules import ClipLimits
from edgespeech.reference.alignment.script import read_script
from edgespeech.runtime.audio import read_blocks
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AlignItem:
    """A recording, its text, and the number of both among all."""

    audio: str
    text: Path
    number: int


@dataclass(frozen=True)
class AlignTask:
    """What each worker does with a recording and its text; the results are JSON objects of `Summary`.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        options: Options of the recognizer, of which only those of the acoustic model count.
        limits: What a clip must meet.
        language: Language of the numbers, such as ``en``.
        clips: Folder for the clips.
    """

    bundle: Path | None
    options: RecognizerOptions
    limits: ClipLimits
    language: str
    clips: Path

    def open(self) -> Callable[[AlignItem], str]:
        """Load the model.

        Raises:
            EdgespeechError: The bundle or a setting is invalid.
        """
        recognizer = Recognizer(load_bundle(self.bundle), self.options)
        name, labels = bundle_id(recognizer.bundle), recognizer.bundle.manifest.labels

        def align_one(item: AlignItem) -> str:
            sentences = read_script(item.text, labels, self.language)
            with local_copy(local_path(item.audio), item.audio) as path:
                rate = recognizer.sample_rate
                found = align(recognizer.parts, read_blocks(path, rate), sentences, self.limits)
                utterances = list(self._utterances(item, found, name))
                stretches = [
                    Stretch(one.path, clip.start, clip.end) for one, clip in zip(utterances, found.kept, strict=True)
                ]
                cut(read_blocks(path, rate), rate, stretches)
            return _summary(item, found, utterances).to_json()

        return align_one

    def _utterances(self, item: AlignItem, found: Alignment, bundle: str) -> Iterator[Utterance]:
        for number, clip in enumerate(found.kept):
            path = clip_path(self.clips, item.audio, item.number, number)
            provenance: dict[str, str | float] = {
                "kind": "aligned",
                "source": source_name(item.audio),
                "start": round(clip.start, 3),
                "end": round(clip.end, 3),
                "score": round(clip.score, 3),
                "cer": round(clip.cer, 4),
                "bundle": bundle,
            }
            yield Utterance(path.name, path, clip.text, clip.seconds, provenance=provenance)


def pair(audio: Sequence[str], texts: Sequence[Path]) -> list[AlignItem]:
    """Pair recordings and texts in their order.

    Raises:
        UsageError: There are more of one than of the other, or a text is not a file.
    """
    if len(audio) != len(texts):
        raise UsageError(f"{len(audio)} recordings and {len(texts)} texts; give one --text for each, in the same order")
    for text in texts:
        if not text.is_file():
            raise UsageError(f"{text} does not exist or is not a file; wanted the text of a recording; correct --text")
    return [
        AlignItem(one, text.absolute(), number) for number, (one, text) in enumerate(zip(audio, texts, strict=True))
    ]


def _summary(item: AlignItem, found: Alignment, utterances: Sequence[Utterance]) -> Summary:
    kept = [(one, clip.cer) for one, clip in zip(utterances, found.kept, strict=True)]
    dropped = [Dropped(reason, clip.seconds, clip.cer, clip.text) for clip, reason in found.dropped]
    return Summary(item.audio, found.seconds, [KeptClip.of(one, cer) for one, cer in kept], dropped, found.left_out)
