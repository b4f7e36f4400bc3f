"""The checks of `edgespeech doctor`: Python, onnxruntime, the bundle, libraries and extras, in order."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgespeech.demo.doctor.imports import find_crash
from edgespeech.demo.doctor.machine import check_permissions, check_power, check_sound
from edgespeech.demo.doctor.providers import check_onnxruntime, check_providers
from edgespeech.demo.doctor.report import Check, all_required_work, render
from edgespeech.demo.machine.host import THIS_HOST, Host
from edgespeech.demo.tune_device.settings import recall, settings_file
from edgespeech.errors import EdgespeechError, LanguageModelError, MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.runtime.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from edgespeech.runtime.decoder.language_model import LanguageModel, how_to_install_kenlm

__all__ = ["Check", "all_required_work", "examine", "render"]

_OPTIONAL = (
    ("media", "files that libsndfile does not read, such as M4A and WebM", ("av",)),
    ("export", "`export` and `quantize`", ("torch", "onnx")),
    ("train", "`train` and `calibrate`", ("torch", "scipy")),
    ("report", "pictures of `bench --save` and `quantize --report`", ("matplotlib",)),
)


def examine(bundle: Path | None = None, host: Host = THIS_HOST) -> list[Check]:
    """Run all checks.

    Args:
        bundle: Folder; None for the default bundle.
        host: The machine to check.
    """
    loaded, checks = check_bundle(bundle)
    found = [*check_python(), *check_onnxruntime(host), *checks, *check_kenlm(loaded)]
    if loaded is not None and not any(check.topic == "onnxruntime" and check.state == "broken" for check in found):
        found += check_providers(loaded.folder, host)
        found += check_tuned(loaded)
    return [
        *found,
        *check_libraries(),
        *check_sound(),
        *check_permissions(host.root),
        *check_optional(),
        *check_power(host),
    ]


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
        found, fix = _split(error)
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


def _split(error: EdgespeechError) -> tuple[str, str]:
    """Split an error message into the problem and the advice, which our errors put behind the last semicolon."""
    found, _, fix = str(error).rpartition("; ")
    return found or fix, fix


def check_kenlm(bundle: Bundle | None) -> Iterator[Check]:
    """Check that the language model of the bundle can be read, and whether KenLM is installed, which is faster."""
    path = None if bundle is None else bundle.language_model_path
    crash = find_crash("kenlm") if find_spec("kenlm") else None
    if crash:
        fix = "pip install --force-reinstall --no-binary :all: kenlm; or pip uninstall kenlm, which is slower"
        yield Check("kenlm", "broken", crash, fix)
        return
    try:
        model = None if path is None else LanguageModel(path)
    except MissingDependencyError as error:
        yield Check("kenlm", "broken", _split(error)[0], f"{how_to_install_kenlm()}; or use --no-lm")
        return
    except LanguageModelError as error:
        yield Check("kenlm", "broken", *_split(error))
        return
    loads = "models of the kind trie load" if model is None else f"the bundle's {model.order}-gram model loads"
    try:
        import_module("kenlm")
    except ModuleNotFoundError:
        yield Check("kenlm", "missing", f"not installed; {loads} without it, but slower", how_to_install_kenlm())
    except ImportError as error:
        found = f"does not load ({' '.join(str(error).split())[:160]}); {loads} without it, but slower"
        yield Check("kenlm", "missing", found, f"pip uninstall kenlm; {how_to_install_kenlm()}")
    else:
        yield Check("kenlm", "ok", "installed; for language models" if model is None else f"installed; {loads}")


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


def check_optional() -> Iterator[Check]:
    """Check the extras that only some commands need, and the programs of KenLM."""
    for extra, purpose, modules in _OPTIONAL:
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            found = f"{', '.join(missing)} not installed; for {purpose}"
            yield Check(extra, "missing", found, f"pip install 'edgespeech[{extra}]'")
        else:
            yield Check(extra, "ok", f"{', '.join(modules)}; for {purpose}")
    if not _kenlm_tools():
        found = "KenLM's lmplz and build_binary not found; for `lm build`"
        yield Check(
            "lm build", "missing", found, "make kenlm-tools in the repository, or set KENLM_BIN (CONTRIBUTING.md)"
        )
    else:
        yield Check("lm build", "ok", "KenLM's programs are installed")


def _kenlm_tools() -> bool:
    try:
        return all(find_tool(name) for name in ("lmplz", "build_binary"))
    except EdgespeechError:
        return False
