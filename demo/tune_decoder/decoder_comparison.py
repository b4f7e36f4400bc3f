"""Word errors and CPU time of several beam searches on the same log-probabilities, each with its own weights."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from edgespeech.demo.tune_decoder.compared_decoders import DECODERS, Decoder, Task, decode_all
from edgespeech.demo.tune_decoder.log_prob_cache import HeardUtterance
from edgespeech.demo.tune_decoder.progress import counted, hear, narrated
from edgespeech.demo.tune_decoder.weight_search import MOST_DECODINGS, Trial, Weights, search_weights
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.bundle import load_bundle

TUNING_BEAM = 64


@dataclass(frozen=True)
class DecoderFigures:
    """What was measured of one decoder; all but ``name`` and ``remark`` are empty where it could not take part.

    Attributes:
        name: Of the decoder.
        weights: Of the language model, natural logarithms.
        decodings: How many decodings it took to find them; 0 where they were given.
        setup_seconds: CPU time to read the language model and to build a lexicon.
        wer: Word error rate by beam width.
        cpu: CPU seconds per second of audio by beam width.
        remark: Why it did not take part, and what to do about it.
    """

    name: str
    weights: Weights | None = None
    decodings: int = 0
    setup_seconds: float = 0.0
    wer: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Comparison:
    """The figures of all decoders and what they were measured on."""

    utterances: int
    words: int
    audio_seconds: float
    tuned_on: int
    beam_widths: tuple[int, ...]
    decoders: tuple[DecoderFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        for entry, figures in zip(found["decoders"], self.decoders, strict=True):
            entry["weights"] = figures.weights and figures.weights._asdict()
        return found

    def table(self) -> str:
        """For people."""
        title = (
            f"{self.utterances} utterances, {self.words} words, {self.audio_seconds:.0f} s of audio; "
            "WER and CPU seconds per second of audio, one thread"
        )
        columns = "".join(f"{f'beam {width}':>20}" for width in self.beam_widths)
        rows = [f"{'':28}{columns}   set-up   weights"]
        remarks = []
        for figures in self.decoders:
            if figures.weights is None:
                remarks.append(f"{figures.name}: {figures.remark}")
                continue
            cells = "".join(f"{figures.wer[width]:11.2%} {figures.cpu[width]:8.5f}" for width in self.beam_widths)
            how = f"tuned with {figures.decodings} decodings" if figures.decodings else "given"
            rows.append(f"{figures.name:28}{cells}{figures.setup_seconds:7.2f} s   {figures.weights}, {how}")
        tuned = [] if self.tuned_on == 0 else [f"weights tuned on {self.tuned_on} of these utterances: optimistic"]
        return "\n".join([title, "", *rows, *remarks, *tuned])


@dataclass(frozen=True, eq=False)
class Entrant:
    """A decoder that takes part, or the reason why it does not."""

    figures: DecoderFigures
    decoder: Decoder | None


def enter(
    decoders: Mapping[str, Callable[[Task], Decoder]],
    task: Task,
    part: Sequence[HeardUtterance],
    given: Mapping[str, Weights],
    seconds: float = 60.0,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Entrant]:
    """Make decoders ready and tune those whose weights are not given, all in the same way.

    Args:
        decoders: By name, what makes each of them ready.
        task: What they are given.
        part: Utterances to tune on.
        given: Weights of decoders that need no tuning.
        seconds: The most CPU time that the tuning of one decoder may take.
        tell: Takes a line after every decoding.
    """
    entrants = []
    for name, make in decoders.items():
        began = time.process_time()
        try:
            decoder = make(task)
        except EdgespeechError as error:
            entrants.append(Entrant(DecoderFigures(name, remark=str(error)), None))
            continue
        setup = time.process_time() - began
        weights, decodings = given.get(name), 0
        if weights is None:
            weights, decodings = _tune(name, decoder, part, seconds, tell)
        entrants.append(Entrant(DecoderFigures(name, weights, decodings, setup), decoder))
    return entrants


def _tune(
    name: str, decoder: Decoder, part: Sequence[HeardUtterance], seconds: float, tell: Callable[[str], None]
) -> tuple[Weights, int]:
    log_probs = [utterance.log_probs for utterance in part]
    references = [utterance.reference for utterance in part]
    words = sum(len(reference.split()) for reference in references)

    def report(trial: Trial, best: Trial) -> None:
        tell(f"{name}: {trial.errors / words:.2%} with {trial.weights}; best {best.errors / words:.2%}")

    found = search_weights(
        lambda weights: decode_all(decoder, TUNING_BEAM, log_probs, weights),
        references,
        decoder.start,
        decoder.unknown_scores,
        seconds,
        report,
    )
    return found.best.weights, len(found.trials)


def measure_entrants(
    entrants: Sequence[Entrant],
    heard: Sequence[HeardUtterance],
    beam_widths: Sequence[int],
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[DecoderFigures, ...]:
    """Measure in turns, so that whatever else the machine does falls on all of them; who begins changes each time.

    Args:
        entrants: From `enter`.
        heard: Utterances to measure on.
        beam_widths: To measure at; the weights were tuned at 64.
        advance: Told how many utterances are done, of how many.

    Returns:
        Their figures, in the same order.
    """
    races = [
        (number, width, entrant.decoder.search(entrant.figures.weights, width))
        for number, entrant in enumerate(entrants)
        if entrant.decoder is not None and entrant.figures.weights is not None
        for width in beam_widths
    ]
    shortest = min(heard, key=lambda utterance: len(utterance.log_probs))
    for _, _, search in races:
        search.text(shortest.log_probs)  # memory and the pages of the language model are warm from here on
    errors, seconds = Counter[tuple[int, int]](), dict.fromkeys(((number, width) for number, width, _ in races), 0.0)
    for index, utterance in enumerate(heard):
        turn = index * len(beam_widths) % max(1, len(races))
        for number, width, search in (*races[turn:], *races[:turn]):
            began = time.process_time()
            text = search.text(utterance.log_probs)
            seconds[number, width] += time.process_time() - began
            errors[number, width] += Levenshtein.distance(utterance.reference.split(), text.split())
        advance(index + 1, len(heard))
    words = sum(len(utterance.reference.split()) for utterance in heard)
    audio = sum(utterance.seconds for utterance in heard)
    return tuple(
        replace(
            entrant.figures,
            wer={width: errors[number, width] / words for width in beam_widths if (number, width) in seconds},
            cpu={width: seconds[number, width] / audio for width in beam_widths if (number, width) in seconds},
        )
        for number, entrant in enumerate(entrants)
    )


def compare_on_manifest(
    manifest: Path,
    *,
    bundle: Path | None,
    lm: Path | None,
    beam_widths: Sequence[int],
    names: Sequence[str],
    given: Mapping[str, Weights],
    tune_every: int,
    seconds: float,
    cache: Path | None,
    say: Callable[[str], None],
) -> Comparison:
    """`lm compare`: from a manifest and a bundle to the figures of every decoder.

    Raises:
        EdgespeechError: Something given is unusable.
    """
    for name in (*names, *given):
        if name not in DECODERS:
            raise UsageError(f"decoder {name!r} is unknown; wanted one of: {'; '.join(DECODERS)}")
    if tune_every < 1:
        raise UsageError(f"every {tune_every}th utterance: wanted 1 (all of them) or more")
    loaded = load_bundle(bundle)
    task = Task.of(loaded, lm)
    heard = hear(loaded, manifest, cache, say)
    chosen = {name: make for name, make in DECODERS.items() if not names or name in names}
    part = heard[::tune_every]
    with narrated(MOST_DECODINGS * sum(name not in given for name in chosen)) as tell:
        entrants = enter(chosen, task, part, given, seconds, tell)
    with counted("measuring in turns") as advance:
        figures = measure_entrants(entrants, heard, beam_widths, advance)
    return Comparison(
        utterances=len(heard),
        words=sum(len(utterance.reference.split()) for utterance in heard),
        audio_seconds=sum(utterance.seconds for utterance in heard),
        tuned_on=len(part) if any(one.decodings for one in figures) else 0,
        beam_widths=tuple(beam_widths),
        decoders=figures,
    )


def parse_weights(options: Sequence[str]) -> dict[str, Weights]:
    """Read ``NAME=ALPHA,BETA`` or ``NAME=ALPHA,BETA,UNKNOWN``, natural logarithms.

    Raises:
        UsageError: One of them is neither.
    """
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
