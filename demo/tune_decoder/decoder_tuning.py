"""Language model weights and a beam width for given log-probabilities, for edgespeech's own search; no files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from edgespeech.demo.tune_decoder.compared_decoders import Edgespeech, Task, decode_all
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance
from edgespeech.demo.tune_decoder.weight_search import MAX_DECODINGS, SearchResult, Trial, Weights, search_weights
from edgespeech.runtime.bundle import DecoderDefaults
from edgespeech.runtime.measure.progress import Progress
from edgespeech.runtime.measure.tables import Page, Table

# A wider beam is worth its time if it lowers the word error rate by more than this fraction.
BEAM_TOLERANCE = 0.002
FEW_UTTERANCES = 50
_CHOSEN = "<- the narrowest that is as good"


@dataclass(frozen=True)
class BeamFigures:
    """Word error rate and CPU seconds per second of audio at a beam width."""

    beam_width: int
    wer: float
    cpu: float


@dataclass(frozen=True, eq=False)
class Tuning:
    """The decoder defaults of a bundle before and after a tuning, and how it found them.

    Attributes:
        beams: Figures of each beam width with the best weights.
        wer: Word error rate with the new defaults, on the utterances they were tuned on: optimistic.
        wer_cross_validated: Rate when the weights of every second utterance re-score the others, and vice versa.
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

    def summary(self) -> dict[str, object]:
        """Return the figures that are stored in ``bundle.json``."""
        return {
            "utterances": self.utterances,
            "wer_before": self.wer_before,
            "wer": self.wer,
            "wer_cross_validated": self.wer_cross_validated,
        }

    def as_dict(self) -> dict[str, object]:
        """Return all figures under the keys of ``lm tune --json``."""
        words = int(self.search.surface.words.sum())
        return {
            **self.summary(),
            "before": msgspec.to_builtins(self.before),
            "after": msgspec.to_builtins(self.after),
            "words": words,
            "search_beam": self.search_beam,
            "finished": self.search.finished,
            "decodings": [{**one.weights._asdict(), "wer": one.errors / words} for one in self.search.trials],
            "beams": [asdict(beam) for beam in self.beams],
        }

    def page(self) -> Page:
        """Lay out tables of the weights and beam widths that were tried, and the settings before and after."""
        words = int(self.search.surface.words.sum())
        trials = [
            (*(f"{weight:g}" for weight in trial.weights), f"{trial.errors / words:.2%}")
            for trial in sorted(self.search.trials, key=lambda trial: trial.errors)
        ]
        chosen = narrowest_good_beam(self.beams)
        beams = [
            (
                str(one.beam_width),
                f"{one.wer:.2%}",
                f"{one.cpu:.5f}",
                _CHOSEN if one is chosen else "",
            )
            for one in self.beams
        ]
        settings = [
            ("before", describe_settings(self.before), f"{self.wer_before:.2%}"),
            ("after", describe_settings(self.after), f"{self.wer:.2%}"),
        ]
        return [
            Table(("alpha", "beta", "unknown", "WER"), trials, 0, f"weights tried at beam {self.search_beam}"),
            Table(("beam", "WER", "CPU s per s", ""), beams, 0, "beam widths with the best weights"),
            Table(("", "settings", "WER"), settings, 2),
            f"The second figure is optimistic, because the settings were tuned on the same {self.utterances} "
            f"utterances. Weights from one half of them re-score the other half to {self.wer_cross_validated:.2%}.",
        ]

    def warnings(self) -> list[str]:
        """Return the reasons to doubt the result."""
        found = []
        if self.after == self.before:
            found.append("nothing that was tried is better than the current settings; they stay")
        if not self.search.finished:
            found.append(f"the time limit ended the search after {len(self.search.trials)} decodings; raise --minutes")
        if self.search.at_edge:
            found.append(f"the best weights ({self.search.best.weights}) are at the edge of the search range")
        if self.utterances < FEW_UTTERANCES:
            found.append(
                f"{self.utterances} utterances are few to tune on; {FEW_UTTERANCES} or more give steadier weights"
            )
        return found


def weights_of(settings: DecoderDefaults) -> Weights:
    """Return the weights among the settings."""
    return Weights(settings.alpha, settings.beta, settings.unknown_score)


def describe_settings(settings: DecoderDefaults) -> str:
    """Describe weights and beam width in one line."""
    return f"{weights_of(settings)}, beam {settings.beam_width}"


def tune(
    task: Task,
    before: DecoderDefaults,
    utterances: Sequence[AcousticUtterance],
    *,
    search_beam: int = 64,
    beam_widths: Sequence[int] = (16, 32, 64, 128),
    minutes: float = 4.0,
) -> Tuning:
    """Search for weights with one beam width for at most ``minutes`` of CPU time, then choose a beam width.

    The result is the best weights with the narrowest beam whose word error rate is at most 0.2 points above that of the
    best beam; or the settings as they were, if these make fewer errors.
    """
    log_probs, references = [one.log_probs for one in utterances], [one.reference for one in utterances]
    words = sum(len(reference.split()) for reference in references)
    decoder, beams = Edgespeech(task), []
    with Progress("tuning", MAX_DECODINGS + len(beam_widths)) as progress:

        def log_trial(trial: Trial, best: Trial) -> None:
            progress.log_step(f"WER {trial.errors / words:.2%} with {trial.weights}; best {best.errors / words:.2%}")

        search = search_weights(
            lambda weights: decode_all(decoder, search_beam, log_probs, weights),
            references,
            weights_of(before),
            seconds=60.0 * minutes,
            on_trial=log_trial,
            by_characters=utterances[0].by_characters,
        )
        for beam_width in sorted(set(beam_widths)):
            beams.append(measure_beam(task, search.best.weights, beam_width, utterances))
            progress.log_step(f"WER {beams[-1].wer:.2%} with {search.best.weights}, beam {beam_width}")
    chosen, wer_before = narrowest_good_beam(beams), measure_settings(task, before, utterances).wer
    alpha, beta, unknown_score = search.best.weights
    after = msgspec.structs.replace(
        before, beam_width=chosen.beam_width, alpha=alpha, beta=beta, unknown_score=unknown_score
    )
    worse = chosen.wer > wer_before + BEAM_TOLERANCE
    return Tuning(
        before=before,
        after=before if worse else after,
        utterances=len(utterances),
        search=search,
        search_beam=search_beam,
        beams=tuple(beams),
        wer_before=wer_before,
        wer=wer_before if worse else chosen.wer,
        wer_cross_validated=search.surface.cross_validated_errors() / words,
    )


def narrowest_good_beam(beams: Sequence[BeamFigures]) -> BeamFigures:
    """Return the first of the beams, narrowest first, whose word error rate is within the tolerance of the best."""
    lowest = min(beam.wer for beam in beams)
    return next(beam for beam in beams if beam.wer <= lowest + BEAM_TOLERANCE)


def measure_settings(task: Task, settings: DecoderDefaults, utterances: Sequence[AcousticUtterance]) -> BeamFigures:
    """Measure word error rate and CPU time with given settings."""
    return measure_beam(task, weights_of(settings), settings.beam_width, utterances)


def measure_beam(task: Task, weights: Weights, beam_width: int, utterances: Sequence[AcousticUtterance]) -> BeamFigures:
    """Measure word error rate and CPU time with given weights and beam width."""
    search, errors, seconds = Edgespeech(task).search(weights, beam_width), 0, 0.0
    for utterance in utterances:
        began = time.process_time()
        text = search.text(utterance.log_probs)
        seconds += time.process_time() - began
        errors += utterance.errors(text)
    words = sum(len(utterance.reference.split()) for utterance in utterances)
    return BeamFigures(beam_width, errors / words, seconds / sum(utterance.seconds for utterance in utterances))
