"""What ``python -m tests.fuzz`` found, a test for each mechanism: an error of one line, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import lzma
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import (
    CheckpointError,
    ConfigError,
    EdgespeechError,
    LanguageModelError,
    ManifestError,
    UsageError,
)
from edgespeech.runtime.decoder import kenlm_guard
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hot_words import MAX_WORD_LETTERS, HotWords
from edgespeech.runtime.decoder.kenlm_guard import check_binary
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie
from edgespeech.runtime.decoder.ngram_scores import LOWEST, _finite
from edgespeech.runtime.foreign.tables import split
from edgespeech.runtime.manifest import read_manifest

GOLDEN = Path(__file__).parent / "golden"
TRIES = ["tiny.bin", "random_both.bin", "random_compressed.bin", "tiny_characters.bin"]


def line(error: pytest.ExceptionInfo[EdgespeechError]) -> str:
    message = str(error.value)
    assert message and len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"audio_filepath": "a\\u0000b", "text": "a"}', "zero byte"),
        ('{"audio_filepath": "a", "x": ' + '{"a":' * 100_000, "invalid JSON"),
        (json.dumps({"audio_filepath": "x" * 70_000, "text": "a"}), "does not exist"),
        ("a,b\n" + "x" * 200_000 + ",y", "invalid JSON"),
        ('"' + "x" * 200_000 + ",y", "invalid JSON"),
    ],
    ids=["zero-byte", "nesting", "name", "table", "quotation"],
)
def test_manifests(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "speech.jsonl"
    path.write_text(content)
    with pytest.raises(ManifestError, match=words) as caught:
        read_manifest(path, check_files=True)
    line(caught)


def test_fields_that_no_table_has_are_divided_plainly() -> None:
    assert split('"' + "x" * 200_000 + ",y", ",") == ['"' + "x" * 200_000, "y"]


def test_tables_of_recordings(tmp_path: Path) -> None:
    from edgespeech.reference.data.tables import Columns, read_table

    path = tmp_path / "speech.csv"
    path.write_text("path,sentence\na.wav,hello\n" + "x" * 200_000 + ",there\n")
    with pytest.raises(ManifestError, match="damaged table") as caught:
        read_table(path, Columns())
    line(caught)
    path.write_text("path,sentence\n" + "x" * 70_000 + ".wav,hello\n")
    assert len(read_table(path, Columns())) == 1


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000, "{a=" * 5000])
def test_recipes(tmp_path: Path, value: str) -> None:
    pytest.importorskip("torch", reason="recipes belong to training")
    from edgespeech.reference.training.config import read_training_config

    path = tmp_path / "recipe.toml"
    path.write_text(f"output = {value}\n")
    with pytest.raises(ConfigError, match="is not TOML") as caught:
        read_training_config(path)
    line(caught)


def test_a_compressed_line_of_any_length_is_not_read_whole(tmp_path: Path) -> None:
    from edgespeech.reference.language_model.text import MAX_LINE, read_lines

    path = tmp_path / "text.xz"
    path.write_bytes(lzma.compress(b"a" * (MAX_LINE + 10)))
    with pytest.raises(LanguageModelError, match="has a line of") as caught:
        list(read_lines(path))
    line(caught)
    path.write_bytes(lzma.compress(b"\n" * 100 + b"a b\n\nc\n"))
    assert list(read_lines(path)) == ["a b\n", "c\n"]


@pytest.mark.parametrize("name", [*TRIES, "tiny_probing.bin"])
def test_sound_binaries_pass_the_guard_of_kenlm(name: str) -> None:
    check_binary(GOLDEN / name, None)


@pytest.mark.parametrize("name", ["random_both.bin", "random_compressed.bin"])
def test_n_grams_that_lead_out_of_a_binary_do_not_reach_kenlm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trie = KenlmTrie(GOLDEN / name)
    middle = trie.longer[0]
    monkeypatch.setattr(middle, "child_count", middle.child_count - 1)  # the same as one index too many
    with pytest.raises(LanguageModelError, match="without valid children") as caught:
        check_binary(GOLDEN / name, trie)
    line(caught)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-40], "wanted"),
        (lambda data: data[:108] + struct.pack("<Q", 5) + data[116:], "words without 1-grams"),
        (lambda data: data[:108] + struct.pack("<Q", 2**60) + data[116:], "states"),
        (lambda data: data[:92] + struct.pack("<f", 0.5) + data[96:], "buckets per entry"),
        (lambda data: data[:136] + b"\1" * 120 + data[256:], "without an empty place"),
    ],
)
def test_hash_tables_that_lead_out_of_a_binary_do_not_reach_kenlm(
    tmp_path: Path, change: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(change)
    data = np.frombuffer(change((GOLDEN / "tiny_probing.bin").read_bytes()), np.uint8)
    with pytest.raises(LanguageModelError, match=words) as caught:
        kenlm_guard._check_hash_tables(tmp_path / "lm.bin", data)
    line(caught)


def test_labels_have_no_zero_byte() -> None:
    with pytest.raises(UsageError, match="zero byte") as caught:
        BeamSearchDecoder(("", " ", "a\0b"))
    line(caught)


def test_hot_words_of_any_length_do_not_fill_the_memory() -> None:
    assert HotWords({"x" * MAX_WORD_LETTERS: 1.0})
    with pytest.raises(UsageError, match="201 letters") as caught:
        HotWords({"a " + "x" * (MAX_WORD_LETTERS + 1): 1.0})
    line(caught)


def test_scores_that_are_no_numbers_are_very_small() -> None:
    assert [_finite(one) for one in (float("nan"), float("inf"), -float("inf"), -99.0)] == [LOWEST] * 3 + [-99.0]


def test_checkpoints(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints are of torch")
    from edgespeech.reference.foreign.reading import read_original
    from edgespeech.reference.model.checkpoint import load_checkpoint

    path = tmp_path / "model.pt"
    for value in (
        {"format": "edgespeech-checkpoint", "version": torch.zeros(3)},
        {"format": "edgespeech-checkpoint", "version": 1, "model": torch.zeros(3), "labels": 0, "weights": []},
    ):
        torch.save(value, path)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        line(caught)
    for state in ({"rnns.0.rnn.weight_ih_l0": torch.zeros(0, 0), "rnns.0.rnn.weight_hh_l0": torch.zeros(0, 0)},
                  {"rnns.0.rnn.weight_ih_l0": torch.zeros(3, 2), 7: torch.zeros(1)}):  # fmt: skip
        torch.save({"state_dict": state}, path)
        with pytest.raises(CheckpointError) as caught:
            read_original(path)
        line(caught)


def test_sizes_in_a_checkpoint_take_neither_time_nor_memory(
    tmp_path: Path, tiny_model_factory: Callable[..., Any]
) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints are of torch")
    from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint

    path = tmp_path / "model.pt"
    save_checkpoint(tiny_model_factory(), path)
    value = torch.load(path, weights_only=True)
    for key, number, words in (("layers", 10**12, "<= 100"), ("hidden", 10**6, "has the shape")):
        torch.save({**value, "model": {**value["model"], key: number}}, path)
        with pytest.raises(CheckpointError, match=words) as caught:
            load_checkpoint(path)
        line(caught)


def test_archives_of_arrays(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="outputs of originals belong to torch")
    from edgespeech.reference.foreign.reference_outputs import read_reference

    path = tmp_path / "outputs.npz"
    np.savez(path, log_probs=np.zeros((5, 4), np.float32), samples=np.zeros(9, np.float32), sample_rate=np.zeros(3))
    with pytest.raises(UsageError, match="sample_rate is an array") as caught:
        read_reference([path], None, 16000)
    line(caught)


def test_requests_that_are_not_http_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    http_exceptions = pytest.importorskip("aiohttp.http_exceptions", reason="the server needs aiohttp")
    from aiohttp import web

    from edgespeech.demo.server.logs import server_logging

    logger = logging.getLogger("aiohttp.server")
    with server_logging(as_json=False), caplog.at_level(logging.WARNING):
        faults = (
            http_exceptions.BadHttpMessage("bad\nheader"),
            ConnectionResetError("gone"),
            web.RequestPayloadError("not gzip"),
        )
        for error in faults:
            try:
                raise error
            except Exception:
                logger.exception("Error handling request")
    assert [record.getMessage() for record in caplog.records] == [
        "a request ended: bad header",
        "a request ended: gone",
        "a request ended: not gzip",
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_events_with_half_a_surrogate_pair_are_refused() -> None:
    pytest.importorskip("wyoming", reason="the server needs wyoming")
    from edgespeech.demo.server.wyoming_events import EventReader

    async def read(data: bytes) -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await EventReader(reader, 1 << 20).read()

    asyncio.run(read(b'{"type": "ping", "data": {"text": "\\ud83d\\ude00"}}\n'))
    with pytest.raises(UsageError, match="surrogate") as caught:
        asyncio.run(read(b'{"type": "ping", "data": {"text": "\\ud800"}}\n'))
    line(caught)


def test_tracks_that_a_damaged_recording_lacks_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av", reason="such recordings are decoded by PyAV")
    from edgespeech.errors import AudioError
    from edgespeech.runtime.audio import read
    from tests.runtime.audio.test_foreign import write

    def lacking(*_: object) -> None:
        raise IndexError("list index out of range")

    path = write(tmp_path / "sound.m4a", "aac", "mp4")
    opened = av.open

    class Container:
        def __init__(self, *arguments: object, **settings: object) -> None:
            self._opened = opened(*arguments, **settings)
            self.streams, self.duration = self._opened.streams, self._opened.duration

        def __enter__(self) -> Container:
            return self

        def __exit__(self, *_: object) -> None:
            self._opened.close()

        demux = lacking

    monkeypatch.setattr(av, "open", Container)
    with pytest.raises(AudioError) as caught:
        read(path)
    line(caught)
