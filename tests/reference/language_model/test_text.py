"""Text is normalised to what is spoken when it is read aloud, or dropped."""

from __future__ import annotations

import bz2
import gzip
import logging
import lzma
from pathlib import Path

import pytest

from edgespeech.errors import LanguageModelError, ManifestError
from edgespeech.reference.language_model.text import (
    LABELS,
    Exclusion,
    LostAccents,
    holds_manifest,
    read_lines,
    spoken_line,
)

ALPHABET = frozenset("".join(LABELS))


@pytest.mark.parametrize(
    ("line", "spoken"),
    [
        ("The cat, -- it SAT.", "the cat it sat"),
        ("don\u2019t", "don't"),
        ("'Tis well-known, he said: \u2018come!\u2019", "'tis well known he said come"),
        ("'em o' the soldiers'", "'em o' the soldiers"),
        ("Caf\u00e9 na\u00efve \ufb01ne", "cafe naive fine"),
        ("Mr. and Mrs. Dombey saw Dr. X", "mister and missus dombey saw doctor x"),
        ("i vi", None),
        ("Chapter XIV", None),
        ("in 1904", None),
        ("\u041c\u043e\u0441\u043a\u0432\u0430", None),
        ("mix ill did i", "mix ill did i"),
        ("--- ' ---", ""),
    ],
)
def test_a_line_is_normalised_to_what_is_spoken(line: str, spoken: str | None) -> None:
    assert spoken_line(line, ALPHABET) == spoken


def test_accented_letters_with_labels_are_kept() -> None:
    assert spoken_line("Ça va", ALPHABET | {"ç"}) == "ça va"


GERMAN = ALPHABET | set("äöüß")
SPANISH = ALPHABET | set("áéíñóúü")
RUSSIAN = frozenset(" абвгдежзийклмнопрстуфхцчшщъыьэюяё")


@pytest.mark.parametrize(
    ("line", "alphabet", "spoken"),
    [
        ("Größe, Fähre, Übel: SPASS.", GERMAN, "größe fähre übel spass"),
        ("Gro\u0308\u00dfe", GERMAN, "größe"),  # an accent of its own
        ("Gro\u0308\u00dfe", ALPHABET, None),
        ("Fa\u0308hre nai\u0308ve", ALPHABET, "fahre naive"),
        ("Donau\u00addampf\u200bschiff", GERMAN, "donaudampfschiff"),
        ("Café und Straße", GERMAN, "cafe und straße"),
        ("Dr. Müller und Mr. X", GERMAN, "dr müller und mr x"),
        ("yo vi la luz", SPANISH, "yo vi la luz"),
        ("el rey Alfonso XIV", SPANISH, None),
        ("el niño dijo 'sí'", SPANISH, "el niño dijo sí"),
        ("Это ёлка, май", RUSSIAN, "это ёлка май"),
        ("Это Café", RUSSIAN, None),
        ("yo vi la luz", ALPHABET, None),  # in English a Roman numeral
    ],
)
def test_a_line_is_normalised_to_any_alphabet(line: str, alphabet: frozenset[str], spoken: str | None) -> None:
    assert spoken_line(line, alphabet) == spoken


def test_lost_accents_are_reported_where_they_are_more_than_foreign_words(caplog: pytest.LogCaptureFixture) -> None:
    for alphabet, texts, warned in (
        (ALPHABET, ["Größe fährt", "übel", "Öl", "Haus"], True),
        (GERMAN, ["Größe fährt", "übel", "Öl", "Haus"], False),
        (ALPHABET, ["a café", "naïve", "déjà vu", *["plain words"] * 200], False),
        (ALPHABET, ["a café"], False),
    ):
        caplog.clear()
        accents = LostAccents(alphabet)
        for text in texts:
            accents.add(text)
        accents.warn("letters.txt")
        assert bool(caplog.messages) == warned
    with caplog.at_level(logging.WARNING):
        accents = LostAccents(ALPHABET)
        for text in ["ä", "äö", "ü"]:
            accents.add(text)
        accents.warn("letters.txt")
    assert caplog.messages == [
        "letters.txt: 3 of 3 lines lose the accents of ä, ö, ü, which have no labels; if these are letters of the "
        "language, list them with --labels"
    ]


def test_compressed_and_plain_texts_read_alike(tmp_path: Path) -> None:
    text = b"one line\n\nanother\n"
    for name, data in {
        "a.txt": text,
        "a.gz": gzip.compress(text),
        "a.xz": lzma.compress(text),
        "a.bz2": bz2.compress(text),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert [line.strip() for line in read_lines(tmp_path / name)] == ["one line", "another"]


def test_the_texts_of_a_manifest_are_read(tmp_path: Path) -> None:
    manifest = tmp_path / "train.jsonl"
    manifest.write_text('{"audio_filepath": "a.wav", "text": "yes"}\n{"text": "no", "duration": 1}\n')
    assert list(read_lines(manifest)) == ["yes", "no"]
    manifest.write_text('\n\n{"text": "yes"}\n\n{"audio_filepath": "a.wav"}\n')
    with pytest.raises(ManifestError, match="train.jsonl:5: the line has no text"):
        list(read_lines(manifest))


@pytest.mark.parametrize("name", ["dev.json", "dev.manifest", "dev.txt", "dev.json.gz", "dev.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_manifest_is_told_by_its_content(tmp_path: Path, name: str, encoding: str) -> None:
    data = '\n{"audio_filepath": "a.wav", "text": "yes"}\n{"audio_filepath": "b.wav", "text": ""}\n'.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert list(read_lines(tmp_path / name)) == ["yes", ""]
    assert holds_manifest(tmp_path / name)


def test_a_byte_order_mark_is_not_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one line\n".encode("utf-8-sig"))
    assert list(read_lines(tmp_path / "a.txt")) == ["one line\n"]
    assert not holds_manifest(tmp_path / "a.txt")


DAMAGED = {
    "broken.gz": gzip.compress(b"text " * 100)[:-9],
    "broken.xz": lzma.compress(b"text " * 100)[:-9],
    "plain.gz": b"text",
    "plain.xz": b"text",
    "plain.bz2": b"text",
    "latin.txt": "café".encode("latin-1"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_text_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(LanguageModelError, match=name) as caught:
        list(read_lines(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_missing_text_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(LanguageModelError, match="cannot be read"):
            list(read_lines(path))


def test_lines_that_share_six_words_with_an_excluded_text_are_covered(tmp_path: Path) -> None:
    dev = tmp_path / "dev.txt"
    dev.write_text("She sells sea shells by the sea shore\nNot at all\n")
    exclusion = Exclusion.of([dev], ALPHABET)
    assert exclusion.covers("he knew that sells sea shells by the sea was hard to say")
    assert not exclusion.covers("he sells sea shells by the shore")
    assert exclusion.covers("not at all")
    assert not exclusion.covers("not at all bad")
