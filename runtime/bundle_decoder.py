"""The beam search of a bundle: its labels, language model and settings, unless options replace them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.options import DecoderOptions
from edgespeech.runtime.options import RecognizerOptions


def bundle_decoder(bundle: Bundle, options: RecognizerOptions | None = None) -> BeamSearchDecoder:
    """Make the beam search for the log-probabilities of a bundle's model, with the options that differ from its own.

    Raises:
        EdgespeechError: The language model or a setting is invalid.
    """
    options = options or RecognizerOptions()
    path = (bundle.language_model_path if options.lm is None else Path(options.lm)) if options.use_lm else None
    if options.grammar is not None and options.lm is None:
        path = None
    own = bundle.manifest.decoder.options()
    chosen = options.with_defaults(own if path else replace(own, beta=0.0))
    settings = {one.name: getattr(chosen, one.name) for one in fields(DecoderOptions)}
    settings["frame_seconds"] = bundle.manifest.audio.frame_seconds
    settings["label_priors"] = options.label_priors or bundle.manifest.label_priors or None
    return BeamSearchDecoder(
        bundle.manifest.labels,
        bundle.manifest.blank,
        LanguageModel(path) if path else None,
        DecoderOptions(**settings),
        hot_words=options.hot_words,
        grammar=options.grammar,
    )
