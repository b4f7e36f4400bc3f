"""Text files: manifests, recipes, hot words and grammars, and the texts of language models and tables."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from edgespeech.errors import EdgespeechError
from edgespeech.reference.data.tables import Columns, ljspeech, read_table
from edgespeech.reference.language_model.text import holds_manifest, read_lines
from edgespeech.reference.training.config import read_training_config
from edgespeech.runtime.decoder.grammar import Grammar, read_grammar
from edgespeech.runtime.decoder.hot_words import HotWords, read_hot_words, spell_boosts
from edgespeech.runtime.decoder.vocabulary import read_word_list
from edgespeech.runtime.manifest import read_manifest, write_manifest
from edgespeech.runtime.measure.references import read_references
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes, mutate_json, mutate_text
from tests.runtime.audio.stand_ins import babble, encode

_LETTERS = ("", " ", "'", *"abcdefghijklmnopqrstuvwxyz")
_RECIPES = Path(__file__).parents[3] / "reference" / "recipes"


def _damage(text: str, chance: Random) -> bytes:
    """Change a text; sometimes as bytes, which need not be UTF-8."""
    data = mutate_text(text, chance).encode("utf-8", "surrogatepass")
    return mutate_bytes(data, chance) if chance.random() < 0.3 else data


def _require_one(*readers: Callable[[], object]) -> None:
    """Call all readers; if each of them refuses, raise the first refusal."""
    refusals = []
    for read in readers:
        try:
            read()
        except EdgespeechError as error:
            refusals.append(error)
    if len(refusals) == len(readers):
        raise refusals[0]


class Manifests(Kind[bytes]):
    """JSON lines, as ``evaluate``, ``train`` and ``lm build`` read them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "sound.wav").write_bytes(encode("WAV", "PCM_16", babble(8000, 1, 1.0), 8000))
        (folder / "text.txt").write_text("a text\n")
        line = {"audio_filepath": "sound.wav", "duration": 1.5, "text": "some words", "speaker": "a", "offset": 0.5}
        self._lines = [
            line,
            {"audio_filepath": "sound.wav", "text_filepath": "text.txt"},
            {"audio_filepath": "sound.wav"},
        ]

    def make(self, chance: Random) -> bytes:
        """Mutate one line among others."""
        lines = [json.dumps(chance.choice(self._lines)) for _ in range(chance.randrange(4))]
        lines.insert(chance.randrange(len(lines) + 1), mutate_json(chance.choice(self._lines), chance))
        text = "\n".join(lines)
        return _damage(text, chance) if chance.random() < 0.4 else text.encode("utf-8", "surrogatepass")

    def run(self, given: bytes) -> None:
        """Read it, write it again, and read it as references."""
        path = self.folder / "speech.jsonl"
        path.write_bytes(given)
        utterances = read_manifest(path)
        write_manifest(self.folder / "again.jsonl", utterances)
        read_references(path)


class Recipes(Kind[bytes]):
    """The TOML of a training run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._texts = [(_RECIPES / name).read_text(encoding="utf-8") for name in ("edge.toml", "edge_tune.toml")]
        (folder / "train.jsonl").write_text("")

    def make(self, chance: Random) -> bytes:
        """Mutate a recipe of ours."""
        return _damage(chance.choice(self._texts), chance)

    def run(self, given: bytes) -> None:
        """Read it."""
        path = self.folder / "recipe.toml"
        path.write_bytes(given)
        read_training_config(path)


class Phrases(Kind[bytes]):
    """Hot words, grammars and word lists."""

    _TEXT = "# names\nnew york:8\nhello there\nyork:0.5\n\nturn the light on\nit's:20\n"

    def make(self, chance: Random) -> bytes:
        """Mutate a list."""
        return _damage(self._TEXT, chance)

    def run(self, given: bytes) -> None:
        """Read it as each of the three, and make a grammar and hot words of it."""
        path = self.folder / "phrases.txt"
        path.write_bytes(given)
        _require_one(
            lambda: read_word_list(path),
            lambda: Grammar([phrase.partition(":")[0] for phrase in read_grammar(path)], labels=_LETTERS),
            lambda: HotWords(spell_boosts(read_hot_words(path), _LETTERS)).find(["hello", "there", "new", "york"]),
        )


class Texts(Kind[tuple[str, bytes]]):
    """Texts and tables in all their forms, compressed ones too, as ``lm build`` and ``data`` read them."""

    _SEEDS = (
        "One line of text.\nAnother, with an accent: caf\u00e9.\n\nXIV and 12.\n",
        'path,sentence,client_id\na.wav,hello there,1\nb.wav,"quoted, twice",2\n',
        "path\tsentence\na.mp3\thello\nb.mp3\tthere\n",
        "LJ001-0001|Some text|some text\nLJ001-0002|More\n",
        '{"audio_filepath": "a.wav", "text": "hello"}\n{"audio_filepath": "b.wav", "text": "there"}\n',
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n\n2\n00:00:01,000 --> 00:00:02,500\nthere\n",
        "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    )
    _PACK: dict[str, Callable[[bytes], bytes]] = {  # without the time
        ".gz": lambda data: gzip.compress(data, mtime=0),
        ".xz": lzma.compress,
        ".bz2": bz2.compress,
    }

    def make(self, chance: Random) -> tuple[str, bytes]:
        """Mutate a text, and sometimes what it is compressed to."""
        data = _damage(chance.choice(self._SEEDS), chance)
        suffix = chance.choice((".txt", ".csv", ".tsv", ".jsonl", *self._PACK))
        if suffix in self._PACK:
            data = self._PACK[suffix](data)
            data = mutate_bytes(data, chance) if chance.random() < 0.5 else data
        return suffix, data

    def run(self, given: tuple[str, bytes]) -> None:
        """Read it as lines, as a table, and as the list of LJSpeech."""
        suffix, data = given
        path = self.folder / f"text{suffix}"
        path.write_bytes(data)
        (self.folder / "metadata.csv").write_bytes(data)
        try:
            _require_one(
                lambda: list(read_lines(path)),
                lambda: holds_manifest(path),
                lambda: read_table(path, Columns()),
                lambda: ljspeech(self.folder),
            )
        finally:
            os.unlink(path)
