"""Recordings of a CSV or TSV table, and of a folder in the layout of LJSpeech."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import ManifestError
from edgespeech.reference.data.corpora import Recording, read_text_lines
from edgespeech.reference.language_model.text import ENGLISH, LostAccents, spoken_line
from edgespeech.runtime.foreign.tables import (
    AUDIO,
    SPEAKER,
    TEXT,
    find_column,
    guess_delimiter,
    recognise_any_table,
    rows,
    split,
)


@dataclass(frozen=True)
class Columns:
    """Names of the columns that hold the recording, the text and the speaker; None for the usual names."""

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None


def read_table(path: Path, columns: Columns, letters: frozenset[str] = ENGLISH) -> list[Recording]:
    """List the recordings of a table; their paths are relative to its folder, or else to the working folder.

    A table without a line of names has the recording in its first column and the text in its second.

    Raises:
        ManifestError: The table cannot be read, lacks a column or lists nothing.
    """
    lines = [line for line in read_text_lines(path) if line.strip()]
    first = lines[0] if lines else ""
    found = recognise_any_table(path, first)
    delimiter = guess_delimiter(first) if found is None else found.delimiter
    if delimiter not in first:
        raise ManifestError(f"{path} is not a table; wanted a recording and its text in each line, such as a.wav,hello")
    has_names = columns != Columns() or (found is not None and bool(found.columns))
    places = _find_columns(path, columns, split(first, delimiter)) if has_names else (0, 1, None)
    accents = LostAccents(letters)
    try:
        recordings = list(_recordings(path, rows(lines[has_names:], delimiter), places, letters, accents))
    except csv.Error as error:
        raise ManifestError(f"{path} is a damaged table ({error}); correct it") from None
    accents.warn(path)
    if not recordings:
        raise ManifestError(f"{path} lists no recording; wanted one in each line, such as a.wav,hello")
    return recordings


def _find_columns(path: Path, wanted: Columns, names: Sequence[str]) -> tuple[int, int, int | None]:
    places = []
    for what, name, usual in (("audio", wanted.audio, AUDIO), ("text", wanted.text, TEXT)):
        place = find_column(names, usual if name is None else [name.lower()])
        if place is None:
            lacking = f"{name} is none of them" if name else f"none of them is a usual name of the {what}"
            raise ManifestError(
                f"{path} has the columns {', '.join(names)}; {lacking}; give --{what}-column one of them"
            )
        places.append(place)
    speaker = find_column(names, SPEAKER if wanted.speaker is None else [wanted.speaker.lower()])
    if wanted.speaker is not None and speaker is None:
        raise ManifestError(f"{path} has the columns {', '.join(names)}; give --speaker-column one of them")
    return places[0], places[1], speaker


def _recordings(
    path: Path,
    table: Iterator[list[str]],
    places: tuple[int, int, int | None],
    letters: frozenset[str],
    accents: LostAccents,
) -> Iterator[Recording]:
    audio, text, speaker = places
    for row in table:
        if len(row) <= max(audio, text):
            line, wanted = " ".join(row)[:60], max(audio, text) + 1
            raise ManifestError(f"{path}: {line!r} has {len(row)} columns, wanted {wanted} or more; correct the line")
        who = row[speaker].strip() if speaker is not None and speaker < len(row) else ""
        accents.add(row[text])
        yield Recording(_find(path, row[audio].strip()), who or None, spoken_line(row[text], letters))


def _find(table: Path, name: str) -> Path:
    given = os.path.expanduser(name)
    beside, here = table.parent.absolute() / given, Path.cwd() / given
    return here if os.path.isfile(here) and not os.path.isfile(beside) else beside


def ljspeech(folder: Path, letters: frozenset[str] = ENGLISH) -> list[Recording]:
    """List the recordings of ``metadata.csv``, lines of ``NAME|TEXT`` or ``NAME|TEXT|NORMALISED``, in ``wavs/``.

    Raises:
        ManifestError: The list is missing, empty or of another layout.
    """
    table = folder / "metadata.csv"
    if not table.is_file():
        raise ManifestError(f"{folder} has no metadata.csv; give the folder that LJSpeech was unpacked into")
    accents, found = LostAccents(letters), []
    for number, line in enumerate(read_text_lines(table), start=1):
        name, *texts = line.strip().split("|")
        if not name:
            continue
        if not texts:
            raise ManifestError(f"{table}:{number}: {line[:40]!r} is not NAME|TEXT; correct the line")
        path = folder / "wavs" / (name if name.endswith(".wav") else f"{name}.wav")
        text = texts[1] if len(texts) > 1 and texts[1] else texts[0]
        accents.add(text)
        found.append(Recording(path, None, spoken_line(text, letters)))
    accents.warn(table)
    if not found:
        raise ManifestError(f"{table} lists no recording; give the folder that LJSpeech was unpacked into")
    return found
