"""Pronunciations: espeak-ng's output becomes a table, and the table gives targets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgespeech.errors import ConfigError, MissingDependencyError
from edgespeech.reference.data import pronunciation
from edgespeech.reference.data.pronunciation import Pronunciations, phonemes_in, pronounce, write_pronunciations

WORDS = {"see": ("s", "i:"), "cease": ("s", "i:", "s"), "ease": ("i:", "z"), "hiss": ("h", "I2", "s"), "": ()}

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is missing: sudo apt-get install espeak-ng"
)


def test_stress_pauses_and_changes_of_language_are_removed() -> None:
    assert phonemes_in("'0 k l ,E m") == ("0", "k", "l", "E", "m")
    assert phonemes_in("b 'V ? n-") == ("b", "V", "?", "n-")
    assert phonemes_in("(fr) d eZ 'a (en-us) _: l '@ _| i ; I") == ("d", "eZ", "a", "l", "@", "i", "I")
    assert phonemes_in("") == ()


def test_rare_variants_become_the_common_phoneme_they_vary() -> None:
    table = Pronunciations({**WORDS, "is": ("I", "z"), "it": ("I", "t")}, min_entries=2)
    assert table.symbols == ("", "I", "i:", "s", "z")
    assert table.encode("see hiss") == [3, 2, 1, 3]  # h is left out, I2 is an I
    assert table.encode("it") == [1]


def test_a_missing_word_leaves_a_text_without_phonemes() -> None:
    table = Pronunciations(WORDS, min_entries=1)
    assert table.encode("see unseen") is None
    assert table.encode("") == []


def test_the_table_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("ease\ti: z\nsee\ts i:\n'\t\n", encoding="utf-8")
    table = Pronunciations.read(path, min_entries=1)
    assert table.symbols == ("", "i:", "s", "z")
    assert table.encode("see ' ease") == [2, 1, 1, 3]


@pytest.mark.parametrize(
    ("text", "named"), [("see s i:\n", ":1: 'see s i:'"), ("", "of 0 pronunciations"), ("see\ts i:\n", "20 of 1")]
)
def test_an_invalid_table_is_named_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Pronunciations.read(path)
    assert named in str(caught.value) and "table.tsv" in str(caught.value)


def test_a_missing_table_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`edgespeech data pronounce` writes"):
        Pronunciations.read(tmp_path / "none.tsv")


def test_a_batch_with_the_wrong_number_of_lines_is_looked_up_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_lines(words: list[str], voice: str) -> list[str]:
        return [sound for word in words for sound in ([f"{word} 1", "2"] if word == "long" else [word])]

    monkeypatch.setattr(pronunciation, "_espeak", cut_lines)
    assert pronounce(["a", "long", "b"]) == {"a": ("a",), "long": ("long", "1", "2"), "b": ("b",)}


def test_espeak_missing_or_failing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pronunciation, "PROGRAM", "espeak-of-elsewhere")
    with pytest.raises(MissingDependencyError, match="apt-get install espeak-ng") as caught:
        pronounce(["a"])
    assert caught.value.exit_code == 2
    monkeypatch.setattr(pronunciation, "PROGRAM", "false")
    with pytest.raises(MissingDependencyError, match="false failed: exit code 1"):
        pronounce(["a"])


@needs_espeak
def test_espeak_pronounces_every_word_of_the_manifests_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["Speech o'clock", "the SPEECH 2 ' through", "mr x le zzz"]
    for name in ("one", "two"):
        lines = (json.dumps({"audio_filepath": "none.wav", "text": text}) + "\n" for text in texts)
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    manifests, output = [tmp_path / "one", tmp_path / "two"], tmp_path / "table.tsv"
    assert write_pronunciations(manifests, output) == 9
    written = output.read_text(encoding="utf-8")
    entries = written.splitlines()
    assert entries == sorted(entries) and {"'\t", "speech\ts p i: tS", "through\tT r u:"} <= set(entries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "table.tsv", "two"]
    monkeypatch.setattr(pronunciation, "WORDS_PER_CALL", 1)
    write_pronunciations(manifests, output)
    assert output.read_text(encoding="utf-8") == written
