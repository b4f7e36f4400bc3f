"""`lm compare`: word errors and CPU time of several beam searches on the same log-probabilities, each tuned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edgespeech.demo.tune_decoder.compared_decoders import DECODERS, Decoder, Task, decode_all
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.demo.tune_decoder.weight_search import MAX_DECODINGS, Trial, Weights, search_weights
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.measure.progress import Progress, track
from edgespeech.runtime.measure.tables import Page, Table

TUNING_BEAM = 64


@dataclass(frozen=True)
class DecoderFigures:
    """Measurements of one decoder by beam width; ``unavailable`` is why there are none, and what to do about it.

    Attributes:
        decodings: Number of decodings of the search for weights; 0 if the weights were given.
        setup_seconds: CPU time to read the language model and to build a lexicon.
        cpu: CPU seconds per second of audio.
    """

    name: str
    weights: Weights | None = None
    decodings: int = 0
    setup_seconds: float = 0.0
    wer: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    unavailable: str = ""


@dataclass(frozen=True)
class Comparison:
    """The figures of all decoders and the size of what they were measured on."""

    utterances: int
    words: int
    audio_seconds: float
    tuned_on: int
    beam_widths: tuple[int, ...]
    decoders: tuple[DecoderFigures, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the figures for ``lm compare --json``, with ``unavailable`` also as "remark", its older key."""
        found = asdict(self)
        for entry, figures in zip(found["decoders"], self.decoders, strict=True):
            entry["weights"] = figures.weights and figures.weights._asdict()
            entry["remark"] = figures.unavailable
        return found

    def page(self) -> Page:
        """Lay out a table with one row per decoder, followed by the decoders that are unavailable."""
        title = (
            f"{self.utterances} utterances, {self.words} words, {self.audio_seconds:.0f} s of audio; "
            "WER and CPU seconds per second of audio, one thread"
        )
        beams = [heading for width in self.beam_widths for heading in (f"beam {width}: WER", "CPU")]
        rows, notes = [], []
        for figures in self.decoders:
            if figures.weights is None:
                notes.append(f"{figures.name}: {figures.unavailable}")
                continue
            how = f"tuned with {figures.decodings} decodings" if figures.decodings else "given"
            rates = [(f"{figures.wer[width]:.2%}", f"{figures.cpu[width]:.5f}") for width in self.beam_widths]
            cells = [cell for pair in rates for cell in pair]
            rows.append([figures.name, f"{figures.weights}, {how}", *cells, f"{figures.setup_seconds:.2f} s"])
        if self.tuned_on:
            notes.append(f"weights tuned on {self.tuned_on} of these utterances: optimistic")
        return [title, Table(("decoder", "weights", *beams, "set-up"), rows, 2), *notes]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A decoder with its weights, or without a decoder if it is unavailable."""

    figures: DecoderFigures
    decoder: Decoder | None


def prepare_decoders(
    decoders: Mapping[str, Callable[[Task], Decoder]],
    task: Task,
    utterances: Sequence[AcousticUtterance],
    given: Mapping[str, Weights],
    seconds: float = 60.0,
) -> list[Candidate]:
    """Construct decoders, and tune those without given weights, each for at most ``seconds`` of CPU time."""
    candidates = []
    with Progress("tuning", MAX_DECODINGS * sum(name not in given for name in decoders)) as progress:
        for name, make in decoders.items():
            began = time.process_time()
            try:
                decoder = make(task)
            except EdgespeechError as error:
                candidates.append(Candidate(DecoderFigures(name, unavailable=str(error)), None))
                continue
            setup = time.process_time() - began
            weights, decodings = given.get(name), 0
            if weights is None:
                weights, decodings = _tune(name, decoder, utterances, seconds, progress)
            candidates.append(Candidate(DecoderFigures(name, weights, decodings, setup), decoder))
    return candidates


def _tune(
    name: str, decoder: Decoder, utterances: Sequence[AcousticUtterance], seconds: float, progress: Progress
) -> tuple[Weights, int]:
    log_probs = [utterance.log_probs for utterance in utterances]
    references = [utterance.reference for utterance in utterances]
    words = sum(len(reference.split()) for reference in references)

    def log_trial(trial: Trial, best: Trial) -> None:
        wer, lowest = trial.errors / words, best.errors / words
        progress.log_step(f"{name}: {wer:.2%} with {trial.weights}; best {lowest:.2%}")

    found = search_weights(
        lambda weights: decode_all(decoder, TUNING_BEAM, log_probs, weights),
        references,
        decoder.start,
        decoder.unknown_scores,
        seconds,
        log_trial,
        utterances[0].by_characters,
    )
    return found.best.weights, len(found.trials)


def measure_decoders(
    candidates: Sequence[Candidate], utterances: Sequence[AcousticUtterance], beam_widths: Sequence[int]
) -> tuple[DecoderFigures, ...]:
    """Measure decoders in turns, so that background load affects all of them alike; the first one changes each time."""
    races = [
        (number, width, candidate.decoder.search(candidate.figures.weights, width))
        for number, candidate in enumerate(candidates)
        if candidate.decoder is not None and candidate.figures.weights is not None
        for width in beam_widths
    ]
    shortest = min(utterances, key=lambda utterance: len(utterance.log_probs))
    for _, _, search in races:
        search.text(shortest.log_probs)  # warms up memory and the pages of the language model
    errors, seconds = Counter[tuple[int, int]](), dict.fromkeys(((number, width) for number, width, _ in races), 0.0)
    for index, utterance in enumerate(track(utterances, "measuring in turns")):
        turn = index * len(beam_widths) % max(1, len(races))
        for number, width, search in (*races[turn:], *races[:turn]):
            began = time.process_time()
            text = search.text(utterance.log_probs)
            seconds[number, width] += time.process_time() - began
            errors[number, width] += utterance.errors(text)
    words = sum(len(utterance.reference.split()) for utterance in utterances)
    audio = sum(utterance.seconds for utterance in utterances)
    return tuple(
        replace(
            candidate.figures,
            wer={width: errors[number, width] / words for width in beam_widths if (number, width) in seconds},
            cpu={width: seconds[number, width] / audio for width in beam_widths if (number, width) in seconds},
        )
        for number, candidate in enumerate(candidates)
    )


@dataclass(frozen=True)
class CompareRequest:
    """What to compare on which speech; see ``edgespeech lm compare``. Invalid options raise UsageError."""

    manifest: Path
    bundle: Path | None = None
    lm: Path | None = None
    beam_widths: tuple[int, ...] = (16, 64, 256)
    decoders: tuple[str, ...] = ()
    given: Mapping[str, Weights] = field(default_factory=dict)
    tune_every: int = 3
    seconds: float = 60.0
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in (*self.decoders, *self.given):
            if name not in DECODERS:
                raise UsageError(f"decoder {name!r} is unknown; wanted one of: {'; '.join(DECODERS)}")
        if self.tune_every < 1:
            raise UsageError(f"every {self.tune_every}th utterance: wanted 1 (all of them) or more")


def compare_decoders(request: CompareRequest) -> Comparison:
    """Tune decoders on a part of the manifest, and measure them on all of it.

    Raises:
        EdgespeechError: The bundle, the language model or the manifest is invalid.
    """
    bundle = load_bundle(request.bundle)
    task = Task.from_bundle(bundle, request.lm)
    utterances = compute_log_probs(bundle, request.manifest, request.cache)
    chosen = {name: make for name, make in DECODERS.items() if not request.decoders or name in request.decoders}
    part = utterances[:: request.tune_every]
    candidates = prepare_decoders(chosen, task, part, request.given, request.seconds)
    figures = measure_decoders(candidates, utterances, request.beam_widths)
    return Comparison(
        utterances=len(utterances),
        words=sum(len(utterance.reference.split()) for utterance in utterances),
        audio_seconds=sum(utterance.seconds for utterance in utterances),
        tuned_on=len(part) if any(one.decodings for one in figures) else 0,
        beam_widths=request.beam_widths,
        decoders=figures,
    )


def parse_weights(options: Sequence[str]) -> dict[str, Weights]:
    """Parse ``NAME=ALPHA,BETA`` or ``NAME=ALPHA,BETA,UNKNOWN``, natural logarithms; raise UsageError if invalid."""
    found = {}
    for option in options:
        name, _, numbers = option.rpartition("=")
        try:
            alpha, beta, *rest = map(float, numbers.split(","))
            (unknown_score,) = rest or (0.0,)
            if not (name and 0.0 <= alpha <= 100.0 and -100.0 <= beta <= 100.0 and -1000.0 <= unknown_score <= 0.0):
                raise ValueError("out of range")
        except ValueError:
            raise UsageError(
                f"weights are {option!r}; wanted NAME=ALPHA,BETA,UNKNOWN such as edgespeech=0.5,1.5,-60"
            ) from None
        found[name] = Weights(alpha, beta, unknown_score)
    return found
