"""A bundle that knows the words of a text: its language model is mixed with one of the text, the rest stays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from edgespeech.demo.bundles.inspect import verify_bundle
from edgespeech.errors import UsageError
from edgespeech.reference.language_model.own_text import MixedModel, OwnTextRequest, mix_text
from edgespeech.runtime.bundle import (
    LANGUAGE_MODEL,
    Bundle,
    FileEntry,
    Manifest,
    load_bundle,
    require_bundle_folder,
    write_bundle,
)
from edgespeech.runtime.measure.evaluation import Evaluation, evaluate_references
from edgespeech.runtime.measure.references import References, read_references
from edgespeech.runtime.measure.tables import Caution, Page, Table
from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

MAX_INCREASE = 0.003  # of a word error rate, beyond which there is a warning
_SHOWN_WORDS = 10


@dataclass(frozen=True)
class TextRequest:
    """A text for a bundle, and speech to count word errors on.

    Attributes:
        texts: Sentences, one per line, or manifests.
        bundle: The bundle whose language model is mixed; None for the default bundle.
        dev: Manifests of speech, of the user or of others.
        weight: Weight of the text; None to choose it.
        tools: Folder of KenLM's programs; None to search for it.
    """

    texts: tuple[Path, ...]
    bundle: Path | None = None
    dev: tuple[Path, ...] = ()
    weight: float | None = None
    tools: Path | None = None


@dataclass(frozen=True)
class TextBundle:
    """A bundle that was written, what the text changed, and the word errors before and after."""

    bundle: Bundle
    mixed: MixedModel
    speech: Sequence[str]
    before: Sequence[Evaluation]
    after: Sequence[Evaluation]

    def page(self) -> Page:
        """Lay out the facts of the text, the perplexities, and the word errors."""
        errors = list(zip(self.speech, self.before, self.after, strict=True))
        rows = [_cells(name, before, after) for name, before, after in errors]
        table = [Table(("speech", "words", "WER % before", "after", "change"), rows)] if rows else []
        worse = [name for name, before, after in errors if after.wer - before.wer > MAX_INCREASE]
        caution = [Caution(f"More word errors than before on {', '.join(worse)}; try a smaller --text-weight.")]
        return [_facts(self.mixed), _perplexities(self.mixed), *table, *(caution if worse else [])]


def _facts(mixed: MixedModel) -> Table:
    rows = [("sentences used", str(mixed.sentences)), ("words", str(mixed.words))]
    rows += [(f"lines dropped: {reason}", str(count)) for reason, count in mixed.dropped.items()]
    shown = ", ".join(mixed.new_words[:_SHOWN_WORDS])
    more = ", ..." if len(mixed.new_words) > _SHOWN_WORDS else ""
    rows.append(("new words", f"{len(mixed.new_words)}{': ' if shown else ''}{shown}{more}"))
    rows.append(("weight of the text", f"{mixed.chosen.weight:g}"))
    return Table(("text", ""), rows, left=2)


def _perplexities(mixed: MixedModel) -> Table:
    before, after = mixed.before.perplexity, mixed.chosen.held_out.perplexity
    rows = [
        (f"held-out part of the text, {mixed.before.lines} sentences", before, after),
        ("sentences drawn from the model before", mixed.general_before, mixed.chosen.general),
    ]
    cells = [(name, f"{one:.1f}", f"{other:.1f}", f"{100.0 * (other / one - 1.0):+.1f} %") for name, one, other in rows]
    return Table(("perplexity", "before", "after", "change"), cells)


def _cells(name: str, before: Evaluation, after: Evaluation) -> tuple[str, ...]:
    one, other = 100.0 * before.wer, 100.0 * after.wer
    return name, str(before.words), f"{one:.1f}", f"{other:.1f}", f"{other - one:+.1f}"


def adapt_text(
    request: TextRequest, output: Path, announce: Callable[[float, float], None] = lambda seconds, megabytes: None
) -> TextBundle:
    """Mix a text into the language model of a bundle, and write the bundle; what was there stays until it is complete.

    Args:
        request: The text and the bundle.
        output: Folder to write, which may be that of the bundle.
        announce: Called with the estimated seconds and peak memory in megabytes.

    Raises:
        EdgespeechError: An input is invalid; nothing is written.
        VerificationError: The text does not lower the perplexity of its held-out part.
    """
    bundle = load_bundle(request.bundle)
    require_bundle_folder(output)
    base = bundle.language_model_path
    if base is None:
        raise UsageError(f"bundle {bundle.folder} has no language model; build one with 'edgespeech lm build'")
    dev = [read_references(one) for one in request.dev]
    wanted = OwnTextRequest(
        texts=request.texts, base=base, labels=bundle.manifest.labels, weight=request.weight, tools=request.tools
    )
    before = _evaluate(bundle, dev)
    with TemporaryDirectory() as folder:
        model = Path(folder) / LANGUAGE_MODEL
        mixed = mix_text(wanted, model, announce)
        written = _write(bundle, model, mixed, output)
    return TextBundle(written, mixed, [one.corpus for one in dev], before, _evaluate(written, dev))


def _evaluate(bundle: Bundle, speech: Sequence[References]) -> list[Evaluation]:
    if not speech:
        return []
    with Recognizer(bundle) as recognizer:
        return [evaluate_references(recognizer, one) for one in speech]


def _write(bundle: Bundle, model: Path, mixed: MixedModel, output: Path) -> Bundle:
    facts = {
        "sentences": mixed.sentences,
        "words": mixed.words,
        "new_words": len(mixed.new_words),
        "weight": mixed.chosen.weight,
        "perplexity_before": round(mixed.before.perplexity, 2),
        "perplexity": round(mixed.chosen.held_out.perplexity, 2),
    }

    def describe(files: dict[str, FileEntry]) -> Manifest:
        provenance = {**bundle.manifest.provenance, "own_text": facts}
        return msgspec.structs.replace(bundle.manifest, provenance=provenance, files=files)

    def check(new: Bundle) -> None:
        for line in verify_bundle(new):
            log.info("%s", line)

    return write_bundle(output, {**bundle.paths, LANGUAGE_MODEL: model}, describe, check)
