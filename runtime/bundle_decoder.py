"""The search that belongs to a bundle: its labels, its language model and its settings, each to be replaced at will."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.beam_search import BeamSearchDecoder
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.grammar import DEFAULT_FILLER_SCORE
from edgespeech.runtime.language_model import LanguageModel


def bundle_decoder(
    bundle: Bundle,
    *,
    beam_width: int | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    unknown_score: float | None = None,
    use_lm: bool = True,
    lm: str | Path | None = None,
    hot_words: Mapping[str, float] | None = None,
    grammar: Iterable[str] | None = None,
    filler_score: float | None = None,
) -> BeamSearchDecoder:
    """Make the search for the log-probabilities of a bundle's model.

    Args:
        bundle: From `load_bundle`.
        beam_width: Prefixes kept; None for the bundle's own setting, as for the next three.
        alpha: Weight of the language model.
        beta: Natural log added for each word.
        unknown_score: Natural log added for a word that the language model does not know.
        use_lm: Whether to use the bundle's language model.
        lm: Another KenLM model instead.
        hot_words: Phrases with boosts in natural log.
        grammar: The only phrases that can come out; there is no language model then.
        filler_score: Natural log for each letter of speech outside the grammar; None for the default.

    Raises:
        EdgespeechError: The language model or a setting does not do.
    """
    own = bundle.manifest.decoder
    if lm is not None and not use_lm:
        raise UsageError(f"language model {lm} and no language model: the two clash; leave one out")
    if filler_score is not None and grammar is None:
        raise UsageError(f"filler score {filler_score:g} without a grammar; give a grammar too, or leave it out")
    path = (bundle.language_model_path if lm is None else Path(lm)) if use_lm else None
    if grammar is not None and lm is None:
        path = None
    return BeamSearchDecoder(
        bundle.manifest.labels,
        bundle.manifest.blank,
        LanguageModel(path) if path else None,
        alpha=own.alpha if alpha is None else alpha,
        beta=(own.beta if path else 0.0) if beta is None else beta,
        unknown_score=own.unknown_score if unknown_score is None else unknown_score,
        beam_width=own.beam_width if beam_width is None else beam_width,
        hot_words=hot_words,
        grammar=grammar,
        filler_score=DEFAULT_FILLER_SCORE if filler_score is None else filler_score,
        frame_seconds=bundle.manifest.audio.frame_seconds,
    )
