"""Weights and a beam width for given log-probabilities, by edgespeech's own search; reads and writes no files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from rapidfuzz.distance import Levenshtein

from edgespeech.demo.tune_decoder.compared_decoders import Edgespeech, Task, decode_all
from edgespeech.demo.tune_decoder.log_prob_cache import HeardUtterance
from edgespeech.demo.tune_decoder.weight_search import SearchResult, Trial, Weights, search_weights
from edgespeech.runtime.bundle import DecoderDefaults

# A wider beam has to lower the word errors by more than this share of all words to be worth its time.
BEAM_TOLERANCE = 0.002
FEW_UTTERANCES = 50


@dataclass(frozen=True)
class BeamFigures:
    """Word error rate and CPU seconds per second of audio at a beam width."""

    beam_width: int
    wer: float
    cpu: float


@dataclass(frozen=True, eq=False)
class Tuning:
    """What was found.

    Attributes:
        before: The bundle's settings as they were.
        after: Those that suit the speech it was tuned on.
        utterances: How many of them.
        search: Weights that were tried, at ``search_beam``.
        search_beam: Beam width of the search.
        beams: Figures of each beam width with the best weights.
        wer_before: With the settings before.
        wer: With the new ones, on the speech they were tuned on: optimistic.
        wer_cross_validated: Weights from every second utterance re-score the others, and the other way round.
    """

    before: DecoderDefaults
    after: DecoderDefaults
    utterances: int
    search: SearchResult
    search_beam: int
    beams: tuple[BeamFigures, ...]
    wer_before: float
    wer: float
    wer_cross_validated: float

    def summary(self) -> dict[str, Any]:
        """What is worth keeping in the bundle's description."""
        return {
            "utterances": self.utterances,
            "wer_before": self.wer_before,
            "wer": self.wer,
            "wer_cross_validated": self.wer_cross_validated,
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        words = int(self.search.surface.words.sum())
        return {
            **self.summary(),
            "before": msgspec.structs.asdict(self.before),
            "after": msgspec.structs.asdict(self.after),
            "words": words,
            "search_beam": self.search_beam,
            "finished": self.search.finished,
            "decodings": [{**one.weights._asdict(), "wer": one.errors / words} for one in self.search.trials],
            "beams": [asdict(beam) for beam in self.beams],
        }

    def table(self) -> str:
        """For people."""
        words = int(self.search.surface.words.sum())
        rows = [f"{'alpha':>6} {'beta':>6} {'unknown':>8} {'WER':>8}   at beam {self.search_beam}"]
        for trial in sorted(self.search.trials, key=lambda trial: trial.errors):
            alpha, beta, unknown_score = trial.weights
            rows.append(f"{alpha:6g} {beta:6g} {unknown_score:8g} {trial.errors / words:8.2%}")
        rows += ["", f"{'beam':>6} {'WER':>8} {'CPU s per s':>12}   with the best weights"]
        narrowest = narrowest_good(self.beams)
        for beam in self.beams:
            mark = "   <- the narrowest that is as good" if beam is narrowest else ""
            rows.append(f"{beam.beam_width:6} {beam.wer:8.2%} {beam.cpu:12.5f}{mark}")
        rows += [
            "",
            f"before  {describe(self.before)}: WER {self.wer_before:.2%}",
            f"after   {describe(self.after)}: WER {self.wer:.2%}",
            f"The second is optimistic: it was tuned on these very {self.utterances} utterances. Weights from one half "
            f"of them re-score the other half to {self.wer_cross_validated:.2%}.",
        ]
        return "\n".join(rows)

    def remarks(self) -> list[str]:
        """What should make one doubt the result."""
        found = []
        if self.after == self.before:
            found.append("nothing that was tried is better than the settings as they were; they stay")
        if not self.search.finished:
            found.append(f"the time was up after {len(self.search.trials)} decodings; more --minutes may find more")
        if self.search.at_edge:
            found.append(f"the best weights ({self.search.best.weights}) lie at the edge of what was searched")
        if self.utterances < FEW_UTTERANCES:
            found.append(
                f"{self.utterances} utterances are few to tune on; {FEW_UTTERANCES} or more give steadier weights"
            )
        return found


def describe(settings: DecoderDefaults) -> str:
    """Settings of a decoder in one line."""
    weights = Weights(settings.alpha, settings.beta, settings.unknown_score)
    return f"{weights}, beam {settings.beam_width}"


def tune(
    task: Task,
    before: DecoderDefaults,
    heard: Sequence[HeardUtterance],
    *,
    search_beam: int = 64,
    beam_widths: Sequence[int] = (16, 32, 64, 128),
    minutes: float = 4.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Find weights, then a beam width.

    Args:
        task: Labels and language model.
        before: The settings to begin with.
        heard: Log-probabilities and references.
        search_beam: Beam width while the weights are sought.
        beam_widths: Those to choose from.
        minutes: The most CPU time that the search for weights may take.
        tell: Takes a line after each decoding.

    Returns:
        The narrowest beam whose word error rate is at most 0.2 points above the best, and the weights; the settings as
        they were, where these make fewer errors.
    """
    log_probs, references = [one.log_probs for one in heard], [one.reference for one in heard]
    words = sum(len(reference.split()) for reference in references)
    decoder = Edgespeech(task)

    def report(trial: Trial, best: Trial) -> None:
        tell(f"WER {trial.errors / words:.2%} with {trial.weights}; best {best.errors / words:.2%}")

    search = search_weights(
        lambda weights: decode_all(decoder, search_beam, log_probs, weights),
        references,
        Weights(before.alpha, before.beta, before.unknown_score),
        seconds=60.0 * minutes,
        heard=report,
    )
    beams = []
    for beam_width in sorted(set(beam_widths)):
        beams.append(measure_beam(task, search.best.weights, beam_width, heard))
        tell(f"WER {beams[-1].wer:.2%} with {search.best.weights}, beam {beam_width}")
    chosen, wer_before = narrowest_good(beams), measure(task, before, heard).wer
    alpha, beta, unknown_score = search.best.weights
    after = msgspec.structs.replace(
        before, beam_width=chosen.beam_width, alpha=alpha, beta=beta, unknown_score=unknown_score
    )
    worse = chosen.wer > wer_before + BEAM_TOLERANCE
    return Tuning(
        before=before,
        after=before if worse else after,
        utterances=len(heard),
        search=search,
        search_beam=search_beam,
        beams=tuple(beams),
        wer_before=wer_before,
        wer=wer_before if worse else chosen.wer,
        wer_cross_validated=search.surface.cross_validated_errors() / words,
    )


def narrowest_good(beams: Sequence[BeamFigures]) -> BeamFigures:
    """The first of the beams, narrowest first, that makes hardly more errors than the best."""
    fewest = min(beam.wer for beam in beams)
    return next(beam for beam in beams if beam.wer <= fewest + BEAM_TOLERANCE)


def measure(task: Task, settings: DecoderDefaults, heard: Sequence[HeardUtterance]) -> BeamFigures:
    """Word error rate and CPU time with given settings."""
    weights = Weights(settings.alpha, settings.beta, settings.unknown_score)
    return measure_beam(task, weights, settings.beam_width, heard)


def measure_beam(task: Task, weights: Weights, beam_width: int, heard: Sequence[HeardUtterance]) -> BeamFigures:
    """Word error rate and CPU time with given weights and beam width."""
    search, errors, seconds = Edgespeech(task).search(weights, beam_width), 0, 0.0
    for utterance in heard:
        began = time.process_time()
        text = search.text(utterance.log_probs)
        seconds += time.process_time() - began
        errors += Levenshtein.distance(utterance.reference.split(), text.split())
    words = sum(len(utterance.reference.split()) for utterance in heard)
    return BeamFigures(beam_width, errors / words, seconds / sum(utterance.seconds for utterance in heard))
