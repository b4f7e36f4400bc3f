"""`verify --strict`: what an untrusted bundle may do, found without running it, and a trial in another process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path

from edgespeech.demo.bundles.trial import MAX_BYTES, MAX_SECONDS
from edgespeech.errors import BundleError, VerificationError
from edgespeech.runtime.bundle import ACOUSTIC, MANIFEST, Bundle, load_bundle
from edgespeech.runtime.decoder.kenlm_guard import check_binary
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.vocabulary import is_kenlm_binary
from edgespeech.runtime.graph.limits import check_graph
from edgespeech.runtime.graph.onnx_graph import OnnxGraph

_WAIT_SECONDS = 10 * MAX_SECONDS  # the trial counts its own CPU time; another one may be stopped for long


def inspect_untrusted(path: Path | None) -> Iterator[str]:
    """Refuse a bundle that could do more than recognise speech, and try what is left in a process with limits.

    Yields:
        One line for each thing that it may do, and for each check of the trial.

    Raises:
        BundleError: It is damaged or out of bounds.
        LanguageModelError: Its language model is damaged.
        VerificationError: The trial failed, or needed too much time or memory.
    """
    bundle = load_bundle(path)
    _require_plain_folder(bundle)
    yield from _describe(bundle, _graph(bundle))
    yield from _try(bundle)


def _require_plain_folder(bundle: Bundle) -> None:
    listed = {MANIFEST, *bundle.manifest.files}
    for found in sorted(bundle.folder.iterdir()):
        if found.is_symlink():
            raise BundleError(f"{found} is a link; an untrusted bundle must have none: copy the files (cp -rL)")
        if found.name not in listed:
            raise BundleError(f"{found} is not listed in {MANIFEST}; remove it, or ask where the bundle comes from")


def _graph(bundle: Bundle) -> OnnxGraph:
    states = bundle.manifest.graph.states
    return check_graph(
        bundle.acoustic_path, {one.name: one.shape for one in states}, {one.output: one.shape for one in states}
    )


def _describe(bundle: Bundle, graph: OnnxGraph) -> Iterator[str]:
    files = ", ".join(f"{name} {entry.bytes}" for name, entry in sorted(bundle.manifest.files.items()))
    yield f"reads {len(bundle.manifest.files)} files of its folder, in bytes: {files}"
    yield "writes nothing; uses no network, no other file, no external data, no custom operator, no code"
    for domain, version in sorted(graph.opsets.items()):
        counts = Counter(operator for one, operator in graph.operators if one == domain)
        if counts:
            listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
            yield f"computes {counts.total()} operators of {domain or 'ai.onnx'} {version}: {listed}"
    size = sum(one.size for one in graph.weights.values())
    yield f"has {len(graph.weights)} weights in {size} bytes, all of them finite"
    states = bundle.manifest.graph.states
    values = sum(prod(one.shape) for one in states)
    yield f"keeps {len(states)} states of {4 * values} bytes for each stream, of the same size at every step"
    yield f"outputs {len(bundle.manifest.labels)} labels"
    if (path := bundle.punctuation_path) is not None:
        tagger = check_graph(path, {}, {})
        size = sum(one.size for one in tagger.weights.values())
        yield f"has a tagger of marks and capitals: {len(tagger.operators)} operators, {size} bytes of weights"
    if (path := bundle.language_model_path) is not None:
        model = LanguageModel(path)
        if is_kenlm_binary(path):
            check_binary(path, model.trie)
        count = "no list of words" if model.vocabulary is None else f"{len(model.vocabulary)} words"
        yield f"has a {model.order}-gram language model with {count}, whose indices stay inside of it"


def _try(bundle: Bundle) -> Iterator[str]:
    """Verify the bundle in another process, which ends instead of this one."""
    command = [sys.executable, "-m", "edgespeech.demo.bundles.trial", str(bundle.folder)]
    wanted = "do not use the bundle"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_WAIT_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise VerificationError(f"a trial of {bundle.folder} did not end; {wanted}") from None
    lines = done.stdout.splitlines()
    if done.returncode == 0:
        yield from lines
        return
    if done.returncode in (1, 2) and done.stderr.strip():
        raise VerificationError(done.stderr.strip().splitlines()[-1])
    how = signal.strsignal(-done.returncode) if done.returncode < 0 else f"exit code {done.returncode}"
    limits = f"within {MAX_SECONDS} s of CPU time and {MAX_BYTES >> 30} GB of memory"
    raise VerificationError(f"a trial of {ACOUSTIC} {limits} ended with: {how}; {wanted}")
