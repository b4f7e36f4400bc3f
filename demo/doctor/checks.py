"""The checks of `edgespeech doctor`: Python, onnxruntime, the bundle, libraries and optional parts, in order."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from edgespeech.demo.doctor.extras import (
    KENLM,
    LM,
    check_extras,
    check_kenlm,
    check_kenlm_tools,
    check_search,
)
from edgespeech.demo.doctor.imports import find_crash
from edgespeech.demo.doctor.machine import check_permissions, check_power
from edgespeech.demo.doctor.microphone import MIC, MicrophoneTrial, check_recording, check_sound
from edgespeech.demo.doctor.providers import GPU, check_gpu, check_onnxruntime, check_providers
from edgespeech.demo.doctor.report import Check, all_required_work, error_and_fix, render, require
from edgespeech.demo.machine.host import THIS_HOST, Host
from edgespeech.demo.tune_device.settings import recall, settings_file
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.recognizer import Recognizer

__all__ = ["Check", "DoctorRequest", "all_required_work", "examine", "render"]

PARTS = (MIC, "media", "export", "train", "report", LM, KENLM, GPU)
SAMPLE_CLIP = "librispeech-1898-145715-0004.opus"  # 14 % word errors
MAX_SAMPLE_WER = 0.5


@dataclass(frozen=True)
class DoctorRequest:
    """Bundle, optional parts and microphone that are checked.

    Attributes:
        bundle: Folder; None for the default bundle.
        parts: Those of `PARTS` that are required, and the only ones to check; all are optional if there are none.
        microphone: Test recording, made if the part `mic` is asked for.
    """

    bundle: Path | None = None
    parts: tuple[str, ...] = ()
    microphone: MicrophoneTrial = field(default_factory=MicrophoneTrial)

    def wants(self, part: str) -> bool:
        """Whether an optional part is checked."""
        return not self.parts or part in self.parts


def examine(request: DoctorRequest | None = None, host: Host = THIS_HOST) -> list[Check]:
    """Run the checks on a machine."""
    request = request or DoctorRequest()
    loaded, found = check_bundle(request.bundle)
    found = [*check_python(), *check_onnxruntime(host), *found, *check_search(), *check_kenlm(loaded)]
    if loaded is not None and not any(check.topic == "onnxruntime" and check.state == "broken" for check in found):
        found += check_providers(loaded.folder, host)
        found += check_tuned(loaded)
    if GPU in request.parts:
        found += check_gpu(found)
    found += check_libraries()
    if loaded is not None and loaded.folder == DEFAULT_BUNDLE and all_required_work(found):
        found += check_recognition(loaded)
    if request.wants(MIC):
        found += check_sound()
        if MIC in request.parts and all(check.state != "missing" for check in found if check.part == MIC):
            found += check_recording(request.microphone.open, request.microphone.seconds)
    found += [*check_permissions(host.root), *check_extras(request.parts)]
    if request.wants(LM):
        found += check_kenlm_tools()
    found += check_power(host)
    return require((check for check in found if not check.part or request.wants(check.part)), request.parts)


def check_python() -> Iterator[Check]:
    """Check the word size; the installer has checked the version."""
    bits = struct.calcsize("P") * 8
    found = f"{platform.python_version()}, {platform.machine()}, {bits} bits"
    if bits != 64:
        fix = "install a 64-bit system (Raspberry Pi OS has one); onnxruntime has no wheels for 32 bits"
        yield Check("Python", "broken", found, fix)
    else:
        yield Check("Python", "ok", found)


def check_bundle(path: Path | None) -> tuple[Bundle | None, list[Check]]:
    """Load a bundle, which compares the hashes of its files; `check_providers` loads the graph."""
    try:
        bundle = load_bundle(path)
    except EdgespeechError as error:
        found, fix = error_and_fix(error)
        return None, [Check("bundle", "broken", found, _restore_default_bundle() if path is None else fix)]
    manifest = bundle.manifest
    size = sum(entry.bytes for entry in manifest.files.values()) / 1e6
    what = f"{manifest.name}, {manifest.graph.precision} {manifest.graph.form}, {size:.1f} MB, all hashes match"
    whose = " (the default bundle)" if bundle.folder == DEFAULT_BUNDLE else f" ({bundle.folder})"
    return bundle, [Check("bundle", "ok", what + whose)]


def _restore_default_bundle() -> str:
    checkout = DEFAULT_BUNDLE.parents[1]
    if (checkout / ".git").exists():
        return f"git -C {checkout} checkout -- {DEFAULT_BUNDLE.relative_to(checkout)}"
    return "pip install --force-reinstall --no-deps FOLDER (the repository or the wheel that it was installed from)"


def check_recognition(bundle: Bundle) -> Iterator[Check]:
    """Recognise a sample clip with the default bundle, whose word errors are known there."""
    try:
        clip = next(each for each in read_manifest(SAMPLE_CLIPS) if each.path.name == SAMPLE_CLIP)
        text = Recognizer(bundle).transcribe(clip.path).text
    except EdgespeechError as error:
        yield Check("recognition", "broken", *error_and_fix(error))
        return
    errors = word_error_rate([clip.text], [text])
    found = f"{errors:.0%} word errors in a sample clip"
    if errors <= MAX_SAMPLE_WER:
        yield Check("recognition", "ok", found)
        return
    found = f"{found}, instead of at most {MAX_SAMPLE_WER:.0%}: {text!r}"
    yield Check("recognition", "broken", found, "run edgespeech verify, and try another version of onnxruntime")


def check_tuned(bundle: Bundle) -> Iterator[Check]:
    """Report the settings that `tune-device` stored for this bundle."""
    settings = recall(bundle)
    if settings is None:
        found = "`live` has not been tuned for this device and bundle"
        yield Check("settings", "note", found, "edgespeech tune-device")
    else:
        yield Check("settings", "ok", f"`live` uses {settings} ({settings_file()})")


def check_libraries() -> Iterator[Check]:
    """Check that the required libraries with compiled code can be imported."""
    for name in ("numpy", "soundfile", "soxr", "msgspec", "psutil"):
        crash = find_crash(name) if name not in sys.modules else None
        if crash:
            yield Check(name, "broken", crash, f"pip install --force-reinstall {name}")
            continue
        try:
            import_module(name)
        except (ImportError, OSError) as error:
            why = " ".join(str(error).split())[:160]
            yield Check(name, "broken", f"does not load: {why}", f"pip install --force-reinstall {name}")
