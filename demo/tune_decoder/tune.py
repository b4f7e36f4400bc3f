"""`lm tune`: language model weights and a beam width for a bundle, from speech to ``bundle.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgespeech.demo.tune_decoder.compared_decoders import Edgespeech, Task
from edgespeech.demo.tune_decoder.measurements import measure, tune
from edgespeech.demo.tune_decoder.picture import draw_tuning, require_matplotlib
from edgespeech.demo.tune_decoder.progress import hear, narrated
from edgespeech.demo.tune_decoder.weight_search import MOST_DECODINGS, Weights
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import (
    LANGUAGE_MODEL,
    MANIFEST,
    Bundle,
    DecoderDefaults,
    FileEntry,
    Manifest,
    load_bundle,
    write_bundle,
)
from edgespeech.runtime.files import replacing


@dataclass(frozen=True)
class TuneRequest:
    """What `edgespeech lm tune` was asked for; see its options."""

    manifest: Path
    bundle: Path | None
    lm: Path | None
    output: Path | None
    dry_run: bool
    report_on: Path | None
    minutes: float
    search_beam: int
    beams: tuple[int, ...]
    picture: Path | None
    as_json: bool
    cache: Path | None


def tune_bundle(request: TuneRequest, say: Callable[[str], None]) -> str:
    """Tune, measure on other speech if asked to, draw, write; return what to print.

    Raises:
        EdgespeechError: Something given is unusable; it is found before anything long begins.
    """
    bundle = load_bundle(request.bundle)
    if not request.dry_run:
        require_writable(bundle, request.output)
    if request.picture is not None:
        require_matplotlib()
        if request.picture.is_dir() or not request.picture.parent.is_dir():
            raise UsageError(f"cannot write {request.picture}; give a file in a folder that exists")
    task = Task.of(bundle, request.lm)
    before = bundle.manifest.decoder
    Edgespeech(task).search(Weights(before.alpha, before.beta, before.unknown_score), 1)  # the model fits the labels
    heard = hear(bundle, request.manifest, request.cache, say)
    others = [] if request.report_on is None else hear(bundle, request.report_on, request.cache, say)
    with narrated(MOST_DECODINGS + len(request.beams)) as tell:
        found = tune(
            task,
            before,
            heard,
            search_beam=request.search_beam,
            beam_widths=request.beams,
            minutes=request.minutes,
            tell=tell,
        )
    for remark in found.remarks():
        say(remark)
    measured: dict[str, Any] = {"manifest": request.manifest.name, **found.summary()}
    lines = [found.table()]
    if request.report_on is not None:
        then, now = (measure(task, settings, others).wer for settings in (found.before, found.after))
        measured["other"] = {"manifest": request.report_on.name, "wer_before": then, "wer": now}
        lines.append(f"on {request.report_on.name}, {len(others)} utterances: WER {then:.2%} before, {now:.2%} after")
    if request.picture is not None:
        draw_tuning(found.search, f"{bundle.manifest.name} on {request.manifest.name}", request.picture)
        say(f"{request.picture} written")
    if not request.dry_run:
        say(f"{write_settings(bundle, found.after, measured, request.lm, request.output)}: new decoder settings")
    return json.dumps({**found.as_dict(), **measured}) if request.as_json else "\n".join(lines)


def require_writable(bundle: Bundle, output: Path | None) -> None:
    """Look whether the settings can be written in the end.

    Raises:
        UsageError: The bundle cannot be changed where it lies.
    """
    if output is None and not all(os.access(path, os.W_OK) for path in (bundle.folder, bundle.folder / MANIFEST)):
        raise UsageError(f"bundle {bundle.folder} is not writable; give -o DIR for a tuned copy, or --dry-run")


def write_settings(
    bundle: Bundle, settings: DecoderDefaults, measured: dict[str, Any], lm: Path | None, output: Path | None
) -> Path:
    """Write the settings into the bundle, or a copy of it, whole or not at all.

    Args:
        bundle: To change or to copy.
        settings: Decoder defaults.
        measured: Figures for the bundle's description, under ``tuning``.
        lm: The language model that the settings suit, where it is not the bundle's own; it is put in.
        output: Folder of the copy; None to change the bundle.

    Returns:
        The folder that was written.

    Raises:
        UsageError: It cannot be written.
    """

    def describe_bundle(files: dict[str, FileEntry]) -> Manifest:
        known = {**bundle.manifest.measured, "tuning": measured}
        return msgspec.structs.replace(bundle.manifest, decoder=settings, measured=known, files=files)

    if lm is None and output is None:
        content = msgspec.json.encode(describe_bundle(bundle.manifest.files))
        with replacing(bundle.folder / MANIFEST) as file:
            file.write(msgspec.json.format(content, indent=2) + b"\n")
        return bundle.folder
    files: dict[str, Path | bytes] = {name: bundle.folder / name for name in bundle.manifest.files}
    if lm is not None:
        files[LANGUAGE_MODEL] = lm
    return write_bundle(output or bundle.folder, files, describe_bundle).folder
