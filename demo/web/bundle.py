"""The bundle of a site: checked for what a browser can run, and with another language model or none if wanted."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgespeech.errors import BundleError, LanguageModelError
from edgespeech.runtime.bundle import (
    LANGUAGE_MODEL,
    PUNCTUATION,
    Bundle,
    FileEntry,
    Manifest,
    load_bundle,
    write_bundle,
)
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, OtherKindError, QuantizedWeights
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.vocabulary import is_arpa, read_stored_words

log = logging.getLogger(__name__)

_BUILD = "build it with `edgespeech lm build`, or with KenLM's build_binary -q 8 -b 8 -a 22 trie"


@contextmanager
def site_bundle(folder: Path | None, lm: Path | None = None, use_lm: bool = True) -> Iterator[Bundle]:
    """Open the bundle of a site; one with another language model, or without, is temporary.

    Args:
        folder: The bundle; None for the default bundle.
        lm: Language model in place of the bundle's.
        use_lm: Whether there is a language model.

    Raises:
        BundleError: The bundle is damaged, or its weights are too slow in a browser.
        LanguageModelError: The language model is damaged, does not fit the labels, or is of a kind that the page cannot
            read.
    """
    bundle = load_bundle(folder)
    graph = bundle.manifest.graph
    if graph.precision == "int4":
        raise BundleError(
            f"{bundle.folder} has int4 weights, with which a chunk takes 0.1 s in WebAssembly on a fast CPU; give a "
            "bundle in int8"
        )
    if graph.form == "cells":
        log.warning(
            "the graph of %s has the form cells, which takes 1.3 times as long in a browser as fused", bundle.folder
        )
    with tempfile.TemporaryDirectory() as temporary:
        drops_lm = lm is not None or (not use_lm and bundle.language_model_path is not None)
        if drops_lm or bundle.punctuation_path is not None:
            bundle = _for_browsers(bundle, lm, drops_lm, Path(temporary) / "bundle")
        if bundle.language_model_path is not None:
            _check_language_model(bundle, lm or bundle.language_model_path)
        yield bundle


def _for_browsers(bundle: Bundle, lm: Path | None, drops_lm: bool, target: Path) -> Bundle:
    """Write the bundle without its tagger, whose graph the page does not run, or with another language model.

    Figures that were measured with the old language model are left out.
    """
    if lm is not None and not lm.is_file():
        raise LanguageModelError(f"no language model at {lm}; {_BUILD}")
    dropped = {PUNCTUATION, LANGUAGE_MODEL} if drops_lm else {PUNCTUATION}
    sources = {name: path for name, path in bundle.paths.items() if name not in dropped}
    if lm is not None:
        sources[LANGUAGE_MODEL] = lm

    def describe(entries: dict[str, FileEntry]) -> Manifest:
        return msgspec.structs.replace(
            bundle.manifest, files=entries, measured={} if drops_lm else bundle.manifest.measured
        )

    return write_bundle(target, sources, describe)


def _check_language_model(bundle: Bundle, path: Path) -> None:
    """Check that the JavaScript reader knows this kind of file, and that its words can be spelled with the labels."""
    kind = _kind(path)
    if kind is not None:
        raise LanguageModelError(
            f"{path} is {kind}; the page reads only a quantized trie with compressed pointers and its words: {_BUILD}"
        )
    manifest = bundle.manifest
    BeamSearchDecoder(manifest.labels, manifest.blank, LanguageModel(path), manifest.decoder.options())


def _kind(path: Path) -> str | None:
    """Name the kind of a language model; None for the one that the page reads."""
    if is_arpa(path):
        return "an ARPA file"
    try:
        trie = KenlmTrie(path)
    except OtherKindError as error:
        return f"a KenLM binary of the kind {error}"
    except OSError as error:
        raise LanguageModelError(f"cannot read {path}: {error.strerror}; correct the path or its permissions") from None
    if not all(isinstance(ngrams.weights, QuantizedWeights) for ngrams in trie.longer):
        return "a trie that is not quantized"
    if any(ngrams.table is None for ngrams in trie.longer[:-1]):
        return "a trie whose pointers are not compressed"
    return None if read_stored_words(path) is not None else "a trie without its words"
