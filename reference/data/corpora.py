"""Manifests of corpora such as LibriSpeech and Common Voice, from their own lists; copies no audio."""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import AudioError, ManifestError
from edgespeech.reference.language_model.text import ENGLISH, LostAccents, spoken_line
from edgespeech.reference.model.labels import character_labels
from edgespeech.runtime import audio
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.manifest import Utterance, write_manifest
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.word_errors import normalise

log = logging.getLogger(__name__)


def letters_of(labels: str | None) -> frozenset[str]:
    """Return the characters of the labels, by default the English ones; invalid labels are a ConfigError."""
    return ENGLISH if labels is None else frozenset("".join(character_labels(labels).symbols))


@dataclass(frozen=True)
class Recording:
    """A line of a corpus's own list; ``text`` is the text as spoken, None if that is uncertain."""

    path: Path
    speaker: str | None
    text: str | None


def librispeech(folder: Path) -> list[Recording]:
    """List the recordings below a folder that contains LibriSpeech's ``SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt``."""
    found: list[Recording] = []
    for transcript in sorted(folder.rglob("*.trans.txt")):
        for number, line in enumerate(read_text_lines(transcript), start=1):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            if "-" not in name:
                raise ManifestError(
                    f"{transcript}:{number}: {name[:40]!r} is not SPEAKER-CHAPTER-NUMBER; correct the line"
                )
            text = normalise(text)
            path = transcript.parent / f"{name}.flac"
            found.append(Recording(path, f"ls{name.split('-')[0]}", text if ENGLISH.issuperset(text) else None))
    if not found:
        raise ManifestError(f"{folder} has no *.trans.txt below it; give the folder that LibriSpeech was unpacked into")
    return found


def common_voice(folder: Path, split: str, letters: frozenset[str] = ENGLISH) -> list[Recording]:
    """List the recordings of ``SPLIT.tsv``, which are in ``clips/`` beside it."""
    table = folder / f"{split}.tsv"
    if not table.is_file():
        others = ", ".join(sorted(path.stem for path in folder.glob("*.tsv"))) or "no .tsv file"
        raise ManifestError(f"{table} does not exist ({folder} has {others}); give the folder of one language")
    # Quotation marks belong to the sentences and quote no field.
    rows = csv.DictReader(read_text_lines(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = {"client_id", "path", "sentence"} - set(rows.fieldnames or ())
    if missing:
        raise ManifestError(f"{table} has no column {', '.join(sorted(missing))}; give a list of Common Voice")
    accents, found = LostAccents(letters), []
    for row in rows:
        name = row["path"] or ""
        path = folder / "clips" / (name if Path(name).suffix else f"{name}.mp3")
        sentence = row["sentence"] or ""
        accents.add(sentence)
        found.append(Recording(path, f"cv_{(row['client_id'] or '')[:12]}", spoken_line(sentence, letters)))
    accents.warn(table)
    if not found:
        raise ManifestError(f"{table} lists no recording; give another --split")
    return found


def make_manifest(recordings: list[Recording], output: Path) -> str:
    """Write a manifest with durations measured from the recordings, and return a line about it.

    Recordings that are missing or damaged, and texts whose reading is uncertain, are left out, counted and logged.

    Raises:
        UsageError: The file cannot be written.
        ManifestError: No recording can be used.
    """
    require_writable(output)
    left_out: Counter[str] = Counter()
    utterances = list(_utterances(recordings, left_out))
    if not utterances:
        raise ManifestError(
            f"none of {len(recordings)} recordings can be used: {', '.join(left_out)}; correct the list"
        )
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        log.info("left out %d of %d: %s", count, len(recordings), reason)
    write_manifest(output, utterances)
    hours = sum(utterance.duration or 0.0 for utterance in utterances) / 3600.0
    speakers = len({utterance.speaker for utterance in utterances if utterance.speaker})
    return f"{output}: {len(utterances)} recordings, {speakers} speakers, {hours:.2f} h"


def _utterances(recordings: list[Recording], left_out: Counter[str]) -> Iterator[Utterance]:
    for recording in track(recordings, "reading durations"):
        if recording.text is None:
            left_out["a text with digits, Roman numerals or foreign letters"] += 1
        elif not recording.text:
            left_out["no text"] += 1
        elif not os.path.isfile(recording.path):
            left_out["missing file"] += 1
        else:
            try:
                seconds = audio.info(recording.path).duration
            except AudioError:
                left_out["unreadable file"] += 1
                continue
            yield Utterance(recording.path.name, recording.path, recording.text, seconds, recording.speaker)


def read_text_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text; a file that cannot be read is a ManifestError."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); give the corpus's own list") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); correct its permissions") from None
