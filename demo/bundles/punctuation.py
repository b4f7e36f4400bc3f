"""The work of ``edgespeech punctuation add``: the tagger of a checkpoint, or of another bundle, in a bundle."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import PUNCTUATION, FileEntry, Manifest, load_bundle, write_bundle


def add_tagger(source: Path, bundle_folder: Path | None, output: Path | None) -> str:
    """Write a bundle with a tagger, and describe it in a line.

    Args:
        source: File that `train_tagger` wrote, or a bundle with a tagger.
        bundle_folder: Bundle; None for the default bundle.
        output: Folder of the new bundle; None to change the bundle itself, as a whole.

    Raises:
        EdgespeechError: A file cannot be read or written, or the exported graph differs from the tagger.
    """
    bundle = load_bundle(bundle_folder)
    graph, facts, what = _of_bundle(source) if source.is_dir() else _of_checkpoint(source)

    def describe(files: dict[str, FileEntry]) -> Manifest:
        known = {**bundle.manifest.provenance, "punctuation": facts}
        return msgspec.structs.replace(bundle.manifest, provenance=known, files=files)

    written = write_bundle(output or bundle.folder, {**bundle.paths, PUNCTUATION: graph}, describe)
    return f"{written.folder}: {PUNCTUATION} with {len(graph) / 1e6:.2f} MB, {what}"


def _of_checkpoint(path: Path) -> tuple[bytes, object, str]:
    from edgespeech.export.punctuation_graph import export_tagger  # torch, which a bundle does not need
    from edgespeech.reference.punctuation.checkpoint import load_training, tagger_of

    state = load_training(path)
    facts = {"words_seen": state.words_seen, "minutes": round(state.seconds / 60.0, 1)}
    facts |= {"loss": round(state.loss, 4)} if state.loss else {}
    return export_tagger(tagger_of(state)), facts, "equal to torch with the same weights"


def _of_bundle(folder: Path) -> tuple[bytes, object, str]:
    bundle = load_bundle(folder)
    if bundle.punctuation_path is None:
        raise UsageError(f"bundle {folder} has no {PUNCTUATION}; give a checkpoint, or a bundle that has one")
    return bundle.punctuation_path.read_bytes(), bundle.manifest.provenance.get("punctuation"), f"that of {folder}"
