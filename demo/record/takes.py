"""The folder of a recording session: one FLAC file for each sentence and the manifest, complete after every take."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.record.capture import Recorded
from edgespeech.errors import UsageError
from edgespeech.runtime.files import make_folder, replacing
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest
from edgespeech.runtime.measure.normalisation import scoring_text

MANIFEST = "speech.jsonl"


class Takes:
    """Recordings of a speaker in a folder, which may have some already; each is stored before the next begins.

    Raises:
        UsageError: The folder has other files, or cannot be made.
        ManifestError: Its manifest is damaged.
    """

    def __init__(self, folder: Path, speaker: str) -> None:
        self.folder, self._speaker = folder, speaker
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; give a folder for the recordings")
        if not (folder / MANIFEST).is_file() and folder.is_dir() and any(_foreign(folder)):
            raise UsageError(f"{folder} has files, but no {MANIFEST} of `edgespeech record`; give another folder")
        make_folder(folder)
        self._utterances = list(read_manifest(self.manifest)) if self.manifest.is_file() else []

    @property
    def manifest(self) -> Path:
        """Path of the manifest, which exists after the first take."""
        return self.folder / MANIFEST

    @property
    def seconds(self) -> float:
        """Length of all recordings in seconds."""
        return sum(one.duration or 0.0 for one in self._utterances)

    def __len__(self) -> int:
        return len(self._utterances)

    def missing(self, sentences: Sequence[str]) -> list[str]:
        """Return the sentences that have not been recorded yet."""
        known = {one.text for one in self._utterances}
        return [one for one in sentences if scoring_text(one) not in known]

    def store(self, sentence: str, recorded: Recorded) -> Path:
        """Write a recording, in place of an older one of the same sentence, then the manifest."""
        text = scoring_text(sentence)
        path = next((one.path for one in self._utterances if one.text == text), self._new_path())
        content = io.BytesIO()
        soundfile.write(content, recorded.samples, recorded.sample_rate, "PCM_16", format="FLAC")
        with replacing(path) as file:
            file.write(content.getvalue())
        others = [one for one in self._utterances if one.text != text]
        self._utterances = [*others, Utterance(path.name, path, text, recorded.seconds, self._speaker)]
        write_manifest(self.manifest, self._utterances)
        return path

    def _new_path(self) -> Path:
        used = {one.path.name for one in self._utterances}
        number = len(used) + 1
        while f"{number:04d}.flac" in used:
            number += 1
        return self.folder.absolute() / f"{number:04d}.flac"


def _foreign(folder: Path) -> list[Path]:
    """List the files that no interrupted session can have left."""
    return [path for path in folder.iterdir() if path.suffix != ".flac" and not path.name.startswith(".")]
