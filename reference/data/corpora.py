"""Manifests from the folder layouts of known corpora: LibriSpeech and Common Voice; copies no audio, judges no clip."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from edgespeech.errors import AudioError, ManifestError, UsageError
from edgespeech.reference.language_model.text import LABELS, spoken_line
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance, write_manifest

LETTERS = frozenset("".join(LABELS))


@dataclass(frozen=True)
class Recording:
    """A line of a corpus's own list: the recording, who speaks, and the text as it is spoken, None if unclear."""

    path: Path
    speaker: str
    text: str | None


def librispeech(folder: Path) -> list[Recording]:
    """The recordings below a folder with LibriSpeech's ``SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`` in it.

    Raises:
        ManifestError: There is none, or one cannot be read.
    """
    found: list[Recording] = []
    for transcript in sorted(folder.rglob("*.trans.txt")):
        for number, line in enumerate(_lines(transcript), start=1):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            if "-" not in name:
                raise ManifestError(f"{transcript}:{number}: {name[:40]!r} is no SPEAKER-CHAPTER-NUMBER; mend the line")
            small = " ".join(text.lower().split())
            spelt = small if LETTERS.issuperset(small) else None
            found.append(Recording(transcript.parent / f"{name}.flac", f"ls{name.split('-')[0]}", spelt))
    if not found:
        raise ManifestError(f"{folder} has no *.trans.txt below it; give the folder that LibriSpeech was unpacked into")
    return found


def common_voice(folder: Path, split: str) -> list[Recording]:
    """The recordings of ``SPLIT.tsv``, which lie in ``clips/`` beside it.

    Raises:
        ManifestError: There is no such list, or it lacks a column.
    """
    table = folder / f"{split}.tsv"
    if not table.is_file():
        others = ", ".join(sorted(path.stem for path in folder.glob("*.tsv"))) or "no .tsv file"
        raise ManifestError(f"{table} does not exist ({folder} has {others}); give the folder of one language")
    # Sentences hold quotation marks that quote nothing.
    rows = csv.DictReader(_lines(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = {"client_id", "path", "sentence"} - set(rows.fieldnames or ())
    if missing:
        raise ManifestError(f"{table} has no column {', '.join(sorted(missing))}; wanted a list of Common Voice")
    found = []
    for row in rows:
        name = row["path"] or ""
        path = folder / "clips" / (name if Path(name).suffix else f"{name}.mp3")
        text = spoken_line(row["sentence"] or "", LETTERS)
        found.append(Recording(path, f"cv_{(row['client_id'] or '')[:12]}", text))
    if not found:
        raise ManifestError(f"{table} lists no recording; give another --split")
    return found


def make_manifest(recordings: list[Recording], output: Path, say: Callable[[str], None]) -> str:
    """Write a manifest; durations come from the recordings.

    What cannot be used is left out and reported: recordings that are missing or damaged, texts whose reading is
    uncertain.

    Args:
        recordings: Of a corpus.
        output: The file to write.
        say: Takes lines for people.

    Returns:
        What was written, in words.

    Raises:
        UsageError: The file cannot be written.
        ManifestError: No recording can be used.
    """
    if output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"cannot write {output}; give a file in a folder that exists")
    left_out: Counter[str] = Counter()
    utterances = list(_utterances(recordings, left_out))
    for reason, count in left_out.most_common():
        say(f"left out {count} of {len(recordings)}: {reason}")
    if not utterances:
        raise ManifestError(f"none of {len(recordings)} recordings can be used: {', '.join(left_out)}; mend the list")
    write_manifest(output, utterances)
    hours = sum(utterance.duration or 0.0 for utterance in utterances) / 3600.0
    speakers = len({utterance.speaker for utterance in utterances})
    return f"{output}: {len(utterances)} recordings, {speakers} speakers, {hours:.2f} h"


def _utterances(recordings: list[Recording], left_out: Counter[str]) -> Iterator[Utterance]:
    console = Console(stderr=True)
    for recording in track(recordings, "reading durations", console=console, disable=not console.is_terminal):
        if recording.text is None:
            left_out["a text with digits, Roman numerals or foreign letters"] += 1
        elif not recording.text:
            left_out["no text"] += 1
        elif not recording.path.is_file():
            left_out["missing file"] += 1
        else:
            try:
                seconds = audio.info(recording.path).duration
            except AudioError:
                left_out["unreadable file"] += 1
                continue
            yield Utterance(recording.path.name, recording.path, recording.text, seconds, recording.speaker)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); wanted the corpus's own list") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); mend its mode") from None
