"""Checks of the optional parts: libraries and programs that only some commands need, and GPUs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from importlib import import_module
from importlib.util import find_spec

from edgespeech.demo.doctor.imports import find_crash, find_import_error
from edgespeech.demo.doctor.report import Check, error_and_fix
from edgespeech.errors import EdgespeechError, LanguageModelError, MissingDependencyError
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.runtime.audio.foreign import can_decode_foreign
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native.library import VARIABLE, search_kind
from edgespeech.runtime.decoder.ngram_scores import how_to_install_kenlm

KENLM, LM, MEDIA = "kenlm", "lm", "media"
_COMPILE = "sudo apt-get install g++, then again: pip install --force-reinstall --no-deps . in the repository"
_EXTRAS = {
    MEDIA: ("files that libsndfile does not read, such as M4A and WebM", ("av",)),
    "export": ("`export` and `quantize`", ("torch", "onnx")),
    "train": ("`train` and `calibrate`", ("torch", "scipy", *(("tomli",) if sys.version_info < (3, 11) else ()))),
    "report": ("pictures of `bench --save` and `quantize --report`", ("matplotlib",)),
}


def check_extras(asked: Collection[str] = ()) -> Iterator[Check]:
    """Check the libraries of the optional parts, and import those of the parts that were asked for."""
    for part, (purpose, modules) in _EXTRAS.items():
        if asked and part not in asked:
            continue
        missing = [name for name in modules if find_spec(name) is None]
        install = f"pip install 'edgespeech[{part}]'"
        if missing and part == MEDIA and can_decode_foreign():
            yield Check(part, "ok", f"a program ffmpeg; for {purpose}", part=part)
            continue
        if missing:
            yield Check(part, "missing", f"{', '.join(missing)} not installed; for {purpose}", install, part)
            continue
        errors = [f"{name} {error}" for name in modules if asked and (error := find_import_error(name))]
        for error in errors:
            yield Check(part, "missing", error, f"{install} --force-reinstall", part)
        if not errors:
            yield Check(part, "ok", f"{', '.join(modules)}; for {purpose}", part=part)


def check_kenlm_tools() -> Iterator[Check]:
    """Check the programs that build language models."""
    try:
        found = all(find_tool(name) for name in ("lmplz", "build_binary"))
    except EdgespeechError:
        found = False
    if found:
        yield Check("lm build", "ok", "KenLM's programs are installed", part=LM)
        return
    fix = "make kenlm-tools in the repository, or set KENLM_BIN (CONTRIBUTING.md)"
    yield Check("lm build", "missing", "KenLM's lmplz and build_binary not found; for `lm build`", fix, LM)


def check_search() -> Iterator[Check]:
    """Report whether the beam search is the compiled one."""
    kind = search_kind()
    if kind.name == "native":
        yield Check("search", "ok", "native: compiled at installation")
    else:
        fix = f"unset {VARIABLE}" if VARIABLE in kind.reason else _COMPILE
        yield Check("search", "note", f"numpy, which takes several times as long: {kind.reason}", fix)


def check_kenlm(bundle: Bundle | None) -> Iterator[Check]:
    """Check that the language model of the bundle can be read, and whether KenLM is installed for other kinds."""
    path = None if bundle is None else bundle.language_model_path
    crash = find_crash("kenlm") if find_spec("kenlm") else None
    if crash:
        fix = "pip install --force-reinstall --no-binary :all: kenlm; or pip uninstall kenlm"
        yield Check("kenlm", "broken", crash, fix)
        return
    try:
        model = None if path is None else LanguageModel(path)
    except MissingDependencyError as error:
        yield Check("kenlm", "broken", error_and_fix(error)[0], f"{how_to_install_kenlm()}; or use --no-lm")
        return
    except LanguageModelError as error:
        yield Check("kenlm", "broken", *error_and_fix(error))
        return
    loads = "models of the kind trie load" if model is None else f"the bundle's {model.order}-gram model loads"
    try:
        import_module("kenlm")
    except ModuleNotFoundError:
        found = f"not installed; {loads} without it, other kinds of files (ARPA) do not"
        yield Check("kenlm", "missing", found, how_to_install_kenlm(), KENLM)
    except ImportError as error:
        reason = " ".join(str(error).split())[:160]
        found = f"does not load ({reason}); {loads} without it, other kinds of files (ARPA) do not"
        yield Check("kenlm", "missing", found, f"pip uninstall kenlm; {how_to_install_kenlm()}", KENLM)
    else:
        yield Check("kenlm", "ok", "installed; for language models" if model is None else f"installed; {loads}")
