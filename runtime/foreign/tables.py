"""Tables of recordings and texts (CSV, TSV) that are given as manifests: what they are, and what converts them."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.runtime.audio.containers.kinds import recognise

AUDIO = ("audio_filepath", "path", "file", "filename", "file_name", "filepath", "file_path", "audio", "audio_file",
         "audio_path", "wav", "wav_filename", "wav_path", "clip")  # fmt: skip
TEXT = ("text", "sentence", "transcript", "transcription", "transcripts", "normalized_text", "utterance")
SPEAKER = ("speaker", "speaker_id", "client_id", "spk", "reader")
_COMMON_VOICE = {"client_id", "path", "sentence"}
_DELIMITERS = {"\t": "TSV", "|": "table divided by |", ",": "CSV", ";": "CSV table divided by semicolons"}
_AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".wma", ".aiff", ".sph")


@dataclass(frozen=True)
class Table:
    """What a table is.

    Attributes:
        what: A phrase that can follow "is".
        command: The command that makes a manifest of it.
        delimiter: What divides its columns.
        columns: Names in its first line; empty if it has none.
    """

    what: str
    command: str
    delimiter: str
    columns: tuple[str, ...] = ()


def recognise_table(path: Path, first_line: str) -> Table | None:
    """Tell from its first line what a table is that lists recordings and texts; None for anything else."""
    output = shlex.quote(f"{path.stem}.jsonl")
    for delimiter, kind in _DELIMITERS.items():
        fields = split(first_line, delimiter)
        if len(fields) < 2:
            continue
        names = {field.strip().lower() for field in fields}
        command = f"edgespeech data csv {shlex.quote(str(path))} -o {output}"
        if delimiter == "\t" and names >= _COMMON_VOICE:
            folder, split_name = shlex.quote(str(path.parent)), shlex.quote(path.stem)
            command = f"edgespeech data common-voice {folder} --split {split_name} -o {output}"
            return Table("a list of Common Voice (TSV)", command, delimiter, tuple(fields))
        if names & {*AUDIO} and names & {*TEXT}:
            return Table(f"a {kind} with the columns {', '.join(fields[:6])}", command, delimiter, tuple(fields))
        if delimiter == "|" and (path.name == "metadata.csv" or (path.parent / "wavs").is_dir()):
            command = f"edgespeech data ljspeech {shlex.quote(str(path.parent))} -o {output}"
            return Table("a list in the layout of LJSpeech (name|text)", command, delimiter)
        if fields[0].strip().lower().endswith(_AUDIO_SUFFIXES):
            return Table(f"a {kind} of recordings and texts", command, delimiter)
    return None


def not_a_manifest(path: Path, first_line: bytes) -> str | None:
    """Return what a file is that was given as a manifest, and what to do; None if it can be a manifest or is text."""
    begin = first_line.lstrip()
    if begin.startswith(b"{"):
        return None
    if audio := recognise(first_line):
        return f"a recording ({audio.name}); give a file with one JSON object per line"
    if begin.startswith(b"["):
        return "a JSON list; write each of its objects in a line of its own, such as with jq -c '.[]'"
    if table := recognise_any_table(path, begin.decode("utf-8", "replace")):
        return f"{table.what}; make a manifest of it: {table.command}"
    return None


def recognise_any_table(path: Path, first_line: str) -> Table | None:
    """Tell what a table is, also if only its suffix tells that it is one."""
    found = recognise_table(path, first_line)
    if found is not None or path.suffix.lower() not in {".csv", ".tsv"}:
        return found
    delimiter = guess_delimiter(first_line)
    columns = tuple(split(first_line, delimiter))
    command = f"edgespeech data csv {shlex.quote(str(path))} --audio-column NAME --text-column NAME -o FILE"
    return Table(f"a table with the columns {', '.join(columns[:6])}", command, delimiter, columns)


def guess_delimiter(line: str) -> str:
    """Return the delimiter that a line has most of."""
    return max(_DELIMITERS, key=line.count)


def split(line: str, delimiter: str) -> list[str]:
    """Divide a line into its fields."""
    try:
        return next(rows([line], delimiter), [])
    except csv.Error:  # longer than the fields of any table
        return line.split(delimiter)


def rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Divide lines into their fields, which may be in quotation marks and then contain delimiters and line breaks."""
    ended = (f"{line.rstrip()}\n" for line in lines)
    if delimiter in "\t|":  # there, quotation marks belong to the texts
        return (line.rstrip("\n").split(delimiter) for line in ended)
    return csv.reader(ended, delimiter=delimiter)


def find_column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the index of the column with the first of these names that there is, whatever their case."""
    known = [column.strip().lower() for column in columns]
    return next((known.index(name) for name in names if name in known), None)
