"""Adapts the default bundle to a text, and counts word errors on speech of that domain and on other speech.

Run: python -m edgespeech.demo.experiments.vocabulary.own_text SPEECH [--domain NAME] [--weights X,Y] [--lm LM]

SPEECH is a folder with coffee_orders, speechocean762 and librispeech. The domains are

- coffee: orders, of which half of the different sentences are the text, and the clips of the other half the test;
- learners: speechocean762, of which the texts of training clips are the text, without sentences that share six words
  with the dev set, which is the test. The default language model has them already; LM may be one without them.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.tune_decoder.compared_decoders import Task
from edgespeech.demo.tune_decoder.decoder_tuning import measure_settings
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.reference.language_model.own_text import MixedModel, OwnTextRequest, mix_text
from edgespeech.reference.language_model.text import ENGLISH, Exclusion
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.memory import resident_memory
from edgespeech.runtime.measure.tables import Table

HEADINGS = (
    "domain", "text: words", "new", "weight", "perplexity before", "after", "others %", "test words", "WER % before",
    "after", "reduction %", "elsewhere before", "after", "change", "s",
)  # fmt: skip


@dataclass(frozen=True)
class Domain:
    """A text, and the utterances that test it, none of whose sentences is in the text."""

    name: str
    text: Sequence[str]
    tests: Sequence[AcousticUtterance]


def coffee_orders(bundle: Bundle, speech: Path) -> Domain:
    """Divide the sentences of the coffee orders, in which the acoustic and the language model have no part."""
    manifest = speech / "coffee_orders" / "train.jsonl"
    sentences = sorted({one.text for one in read_manifest(manifest)})
    random.Random(1).shuffle(sentences)
    text = sentences[: len(sentences) // 2]
    known = set(text)
    return Domain(
        "coffee orders", text, [one for one in compute_log_probs(bundle, manifest) if one.reference not in known]
    )


def learners(bundle: Bundle, speech: Path) -> Domain:
    """Take the prompts of learners' training clips as text, and the dev clips, of other speakers, as test."""
    train, dev = (speech / "speechocean762" / f"{name}.jsonl" for name in ("train", "dev"))
    exclusion = Exclusion.of([dev], ENGLISH)
    prompts = sorted({one.text for one in read_manifest(train)})
    return Domain(
        "speechocean762", [one for one in prompts if not exclusion.covers(one)], compute_log_probs(bundle, dev)
    )


DOMAINS = {"coffee": coffee_orders, "learners": learners}


def word_error_rate(bundle: Bundle, model: Path, utterances: Sequence[AcousticUtterance]) -> float:
    """Decode with the settings of the bundle."""
    return measure_settings(Task.from_bundle(bundle, model), bundle.manifest.decoder, utterances).wer


def run(
    bundle: Bundle, base: Path, domain: Domain, others: Sequence[AcousticUtterance], weight: float | None
) -> tuple[str, ...]:
    """Adapt the language model, and return the row under `HEADINGS`."""
    with tempfile.TemporaryDirectory() as name:
        text, model = Path(name) / "text.txt", Path(name) / "lm.bin"
        text.write_text("\n".join(domain.text) + "\n", encoding="utf-8")
        began = time.monotonic()
        mixed = mix_text(OwnTextRequest(texts=(text,), base=base, labels=bundle.manifest.labels, weight=weight), model)
        seconds = time.monotonic() - began
        rates = [word_error_rate(bundle, one, speech) for speech in (domain.tests, others) for one in (base, model)]
    return _cells(domain, mixed, rates, seconds)


def _cells(domain: Domain, mixed: MixedModel, rates: Sequence[float], seconds: float) -> tuple[str, ...]:
    before, after, elsewhere, changed = (100.0 * rate for rate in rates)
    words = sum(len(one.reference.split()) for one in domain.tests)
    return (
        domain.name, str(mixed.words), str(len(mixed.new_words)), f"{mixed.chosen.weight:g}",
        f"{mixed.before.perplexity:.1f}", f"{mixed.chosen.held_out.perplexity:.1f}",
        f"{100.0 * mixed.general_increase:+.1f}", str(words), f"{before:.1f}", f"{after:.1f}",
        f"{100.0 * (1.0 - after / before):.1f}", f"{elsewhere:.2f}", f"{changed:.2f}", f"{changed - elsewhere:+.2f}",
        f"{seconds:.0f}",
    )  # fmt: skip


def main() -> None:
    """Print a row for each domain, and for each weight that is named."""
    parser = argparse.ArgumentParser(description="Adapt the default bundle to texts of two domains.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("--weights", default="", help="weights of the text instead of the chosen one, with commas")
    parser.add_argument("--domain", choices=sorted(DOMAINS), action="append", help="default: all")
    parser.add_argument("--lm", type=Path, help="language model to adapt; default: that of the default bundle")
    given = parser.parse_args()
    weights = [float(one) for one in given.weights.split(",")] if given.weights else [None]
    bundle = load_bundle()
    base = bundle.language_model_path if given.lm is None else given.lm
    assert base is not None
    others = compute_log_probs(bundle, given.speech / "librispeech" / "dev.jsonl")
    rows = []
    for name in given.domain or sorted(DOMAINS):
        domain = DOMAINS[name](bundle, given.speech)
        for weight in weights:
            rows.append(run(bundle, base, domain, others, weight))
            print(" | ".join(rows[-1]), flush=True)
    print(Table(HEADINGS, rows).text())
    print(f"peak memory {resident_memory().peak_mb / 1e3:.2f} GB")


if __name__ == "__main__":
    main()
