"""Every writer of the project in a small form: what it writes, and what a reader then finds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from tests.tiny_models import TINY, make_tiny_model, unpack_tiny_bundles

os.environ["OMP_NUM_THREADS"] = "1"  # torch's threads do not survive a fork

TORCH = ("torch", "onnx")
KENLM_TOOLS = Path("work/kenlm/bin")
Content = Any  # what a reader finds: None for nothing, otherwise anything that can be compared


@dataclass(frozen=True)
class Writer:
    """A writer under test.

    Attributes:
        name: Its name in the table.
        modules: Modules of the package whose writing it shows, for the list of those without a test.
        write: Writes the version ``old`` or ``new`` into a folder, over what is there.
        read: Returns what a reader finds in the folder; raises any exception if that is damaged.
        grows: Whether the file grows, so that its beginning is valid too.
        needs: Packages or files without which it cannot be tested.
        is_slow: Whether it takes seconds, so that fewer of its points are tried.
    """

    name: str
    modules: tuple[str, ...]
    write: Callable[[Path, str], None]
    read: Callable[[Path], Content]
    grows: bool = False
    needs: tuple[str, ...] = ()
    is_slow: bool = False

    def missing(self) -> list[str]:
        """Return what is missing here to test it."""
        return [one for one in self.needs if not (Path(one).exists() if "/" in one else find_spec(one))]


@cache
def inputs() -> Path:
    """Return a folder with a tiny bundle and a text, made once in each process."""
    folder = Path(mkdtemp(prefix="edgespeech-crash-"))
    unpack_tiny_bundles(folder)
    for version, start in (("old", 0), ("new", 1)):
        lines = [f"{'to be or not to be ' * (number % 3)}{'abcdefgh'[number % 8]}\n" for number in range(start, 400)]
        (folder / f"{version}.txt").write_text("".join(lines))
    return folder


def remove_inputs() -> None:
    """Remove what `inputs` has made."""
    if inputs.cache_info().currsize:
        shutil.rmtree(inputs(), ignore_errors=True)


def _digest(path: Path) -> Content:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _write_bundle(folder: Path, version: str) -> None:
    import msgspec

    from edgespeech.runtime.bundle import load_bundle, write_bundle

    tiny = load_bundle(inputs() / TINY)
    write_bundle(
        folder / "bundle",
        {**tiny.paths, "notes.bin": version.encode() * 100_000},
        lambda entries: msgspec.structs.replace(tiny.manifest, name=version, files=entries),
        check=lambda bundle: None,
    )


def _read_bundle(folder: Path) -> Content:
    from edgespeech.runtime.bundle import load_bundle

    if not (folder / "bundle").exists():
        return None
    bundle = load_bundle(folder / "bundle")
    return bundle.manifest.name, sorted(path.name for path in bundle.folder.iterdir())


def _write_checkpoint(folder: Path, version: str) -> None:
    from edgespeech.reference.model.checkpoint import save_checkpoint

    save_checkpoint(_tiny_model(), folder / "model.pt", {"name": version})


@cache
def _tiny_model() -> Any:
    return make_tiny_model()


def _read_checkpoint(folder: Path) -> Content:
    from edgespeech.reference.model.checkpoint import load_checkpoint

    if not (folder / "model.pt").exists():
        return None
    return load_checkpoint(folder / "model.pt")[1]["name"]


def _export(folder: Path, version: str) -> None:
    from edgespeech.export import ExportRequest, export_checkpoint

    _write_checkpoint(inputs(), version)
    export_checkpoint(inputs() / "model.pt", folder / "bundle", ExportRequest())


def _write_manifest(folder: Path, version: str) -> None:
    from edgespeech.runtime.manifest import Utterance, write_manifest

    names = (f"{number}.wav" for number in range(500))
    lines = (Utterance(name, folder / name, f"{version} text") for name in names)
    write_manifest(folder / "speech.jsonl", lines)


def _build_language_model(folder: Path, version: str) -> None:
    from edgespeech.reference.language_model.build import build_language_model
    from edgespeech.reference.language_model.request import BuildRequest

    text = inputs() / f"{version}.txt"
    build_language_model(
        BuildRequest(texts=(text,), output=folder / "lm.bin", order=2, tools=KENLM_TOOLS, memory="64M", prune="0")
    )


def _transcripts(append: bool) -> Callable[[Path, str], None]:
    def write(folder: Path, version: str) -> None:
        from edgespeech.demo.transcribe.output import Output

        with Output(folder / "talk.txt", print, overwrite=True, append=append) as output:
            for number in range(20):
                output.write(f"{version} line {number}\n")

    return write


def _events(version: str) -> Iterator[Any]:
    from edgespeech.runtime.decoder.hypothesis import Word
    from edgespeech.runtime.transcript import Event

    for number in range(8):
        words = (Word(version, number + 0.1, number + 0.5, 0.9), Word("word", number + 0.5, number + 0.8, 0.9))
        text = f"{version} word"
        yield Event("final", text, text, "", float(number), number + 1.0, words)


def _save_finals(suffix: str) -> Callable[[Path, str], None]:
    def write(folder: Path, version: str) -> None:
        from edgespeech.runtime.live.save_file import SaveFile

        file = SaveFile(folder / f"talk{suffix}", overwrite=True)
        for event in _events(version):
            file.add(event)
        file.close()

    return write


def _record(folder: Path, version: str) -> None:
    from edgespeech.runtime.live.recording import Recording

    recording = Recording(folder / "talk.wav", 16000, overwrite=True)
    for number in range(8):
        recording.add(np.full(480, number / 10 + (version == "new") / 100, np.float32))
    recording.close()


def _read_recording(folder: Path) -> Content:
    import soundfile  # type: ignore[import-untyped]

    path = folder / "talk.wav"
    if not path.exists() or not path.stat().st_size:
        return None if not path.exists() else b""
    samples, rate = soundfile.read(path, dtype="int16")
    header = path.read_bytes()[:44]
    assert rate == 16000 and int.from_bytes(header[40:44], "little") == 2 * len(samples)
    return samples.tobytes()


def _caption(folder: Path, version: str) -> None:
    from edgespeech.runtime.live.captions import Captions

    captions = Captions(folder / "captions.txt", overwrite=True)
    *_, last = _events(version)
    captions.show(last)


def _remember_settings(folder: Path, version: str) -> None:
    from edgespeech.demo.tune_device import settings
    from edgespeech.runtime.bundle import load_bundle

    settings.settings_file = lambda: folder / "devices.json"
    found = settings.DeviceSettings(
        bundle=None,
        bundle_sha256="",
        provider="cpu",
        threads=1 + (version == "new"),
        chunk_ms=80.0,
        beam_width=64,
        rtf=0.1,
        latency_ms=100.0,
        wer=0.1,
        made="",
    )
    settings.remember(load_bundle(inputs() / TINY), found)


def _write_outputs(folder: Path, version: str) -> None:
    from edgespeech.demo.tune_decoder.log_prob_cache import _write

    _write(folder / "cache.npz", [(np.full((200, 29), float(version == "new"), np.float32), 100)])


def _read_outputs(folder: Path) -> Content:
    if not (folder / "cache.npz").exists():
        return None
    with np.load(folder / "cache.npz") as stored:
        return float(stored["log_probs"].sum())


def _insert_table(folder: Path, version: str) -> None:
    from edgespeech.runtime.files import replacing
    from edgespeech.runtime.measure.tables import insert_between_marks

    path = folder / "page.md"
    if not path.exists():
        with replacing(path) as file:
            file.write(b"# Page\n<!-- t: begin -->\n<!-- t: end -->\n")
    insert_between_marks(path, "t", f"{version} table\n" * 1000)


def _read_table(folder: Path) -> Content:
    path = folder / "page.md"
    return _digest(path) if path.exists() and "table" in path.read_text() else None


def _append_history(folder: Path, version: str) -> None:
    from edgespeech.runtime.files import appending

    for epoch in range(5):
        with appending(folder / "history.jsonl") as file:
            file.write(json.dumps({"epoch": epoch, "run": version}).encode() + b"\n")


def _append_bulk(folder: Path, version: str) -> None:
    from edgespeech.demo.jobs.journal import Journal

    with Journal(folder / "bulk.jsonl", resume=False, overwrite=True) as journal:
        for number in range(8):
            journal.write(json.dumps({"file": f"{number}.wav", "text": version}))


def _of(name: str) -> Callable[[Path], Content]:
    return lambda folder: _digest(folder / name)


def _bytes_of(name: str) -> Callable[[Path], Content]:
    return lambda folder: (folder / name).read_bytes() if (folder / name).exists() else None


WRITERS = (
    Writer(
        "bundle",
        ("runtime.bundle.writing", "demo.web.bundle", "quantization.quantizer", "quantization.float16"),
        _write_bundle,
        _read_bundle,
    ),
    Writer("export", ("export.checkpoint_export",), _export, _read_bundle, needs=TORCH, is_slow=True),
    Writer("checkpoint", ("reference.model.checkpoint",), _write_checkpoint, _read_checkpoint, needs=TORCH),
    Writer("manifest", ("runtime.manifest",), _write_manifest, _of("speech.jsonl")),
    Writer(
        "language model",
        ("reference.language_model.build", "reference.language_model.corpus", "reference.language_model.kenlm_tools"),
        _build_language_model,
        _of("lm.bin"),
        needs=(str(KENLM_TOOLS / "lmplz"),),
        is_slow=True,
    ),
    Writer("transcripts", ("demo.transcribe.output",), _transcripts(append=False), _of("talk.txt")),
    Writer(
        "transcripts, appended", ("demo.transcribe.output",), _transcripts(append=True), _bytes_of("talk.txt"), True
    ),
    Writer(
        "transcribe --jobs",
        ("demo.jobs.journal", "demo.transcribe.bulk_task"),
        _append_bulk,
        _bytes_of("bulk.jsonl"),
        grows=True,
    ),
    Writer("live --save, subtitles", ("runtime.live.save_file",), _save_finals(".srt"), _bytes_of("talk.srt"), True),
    Writer(
        "live --save, JSON lines", ("runtime.live.save_file",), _save_finals(".jsonl"), _bytes_of("talk.jsonl"), True
    ),
    Writer("live --record", ("runtime.live.recording",), _record, _read_recording, True),
    Writer("captions", ("runtime.live.captions",), _caption, _bytes_of("captions.txt"), True),
    Writer("device settings", ("demo.tune_device.settings",), _remember_settings, _of("devices.json")),
    Writer("cache of outputs", ("demo.tune_decoder.log_prob_cache",), _write_outputs, _read_outputs),
    Writer("tables in documents", ("runtime.measure.tables",), _insert_table, _read_table),
    Writer("training history", ("reference.training.train",), _append_history, _bytes_of("history.jsonl"), True),
)
