"""The same checkpoint in several precisions, as bundles to compare; exporting and quantizing are done elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.dependencies import require

# The form that each has unless another one is asked for; `export` unrolls what has no operator with such weights.
FORMS = {"fp32": "fused", "fp16": "fused", "int8": "fused", "int4": "cells"}


def build_variants(
    checkpoint: Path,
    precisions: Sequence[str],
    like: Bundle,
    folder: Path,
    speech: Path | None,
    say: Callable[[str], None],
) -> list[Path]:
    """Export a checkpoint once for each precision.

    Args:
        checkpoint: A file of `edgespeech train`.
        precisions: Of `FORMS`, each with or without a form: ``int8`` or ``int8:fused``.
        like: Gives the chunk length, the language model and the settings of the search.
        folder: Takes one bundle for each.
        speech: Manifest to calibrate int8 and int4 on; None for the clips that ship.
        say: Takes remarks.

    Returns:
        The bundles' folders, in the order asked for.

    Raises:
        EdgespeechError: Something given is unusable, or a bundle was refused.
    """
    wanted = [_parse(text) for text in precisions]
    require("torch onnx", "export")
    from edgespeech.demo.bundles.export import export_bundle

    made = []
    for text, (precision, form) in zip(precisions, wanted, strict=True):
        say(f"making {precision} {form} of {checkpoint}")
        settings = {
            "form": form,
            "chunk_ms": like.manifest.audio.chunk_seconds * 1000.0,
            "precision": precision,
            "fp16_compute": False,
            "no_calibrate": True,  # batch norm is the checkpoint's own
            "blank_score": float(like.manifest.provenance.get("blank_score", 0.0)),
            "lm": like.language_model_path,
            "name": "",
            **msgspec.structs.asdict(like.manifest.decoder),
        }
        made.append(
            export_bundle(checkpoint, folder / text.replace(":", "-"), speech, settings, lambda line: None).folder
        )
    return made


def _parse(text: str) -> tuple[str, str]:
    precision, _, form = text.partition(":")
    if precision not in FORMS or form not in {"", "fused", "cells"}:
        raise UsageError(
            f"precision {text!r} is unknown; wanted some of {', '.join(FORMS)}, with :fused or :cells or not"
        )
    return precision, form or FORMS[precision]
