"""All configurations in one process, taking turns recording by recording, so that drift hits all alike."""

from __future__ import annotations

import time

import msgspec

from edgespeech.demo.bench.listen import Plan, Speech, listen, open_ear


class Turns(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What to do: each round, every plan hears every recording. Rounds end early after so many seconds, but two."""

    plans: list[Plan]
    speech: Speech
    rounds: int
    seconds: float


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration's figures, in seconds: everything, the acoustic model, the decoder.

    Attributes:
        rounds: Real-time factors of each round.
        chunks: Times of every full chunk of each round.
    """

    rounds: list[tuple[float, float, float]]
    chunks: list[list[tuple[float, float, float]]]


class TurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, in the order of the plans."""

    turns: list[Turn]
    audio_seconds: float


def measure_turns(task: Turns) -> TurnFigures:
    """Measure.

    Raises:
        EdgespeechError: A configuration or the speech does not do.
    """
    ears = [open_ear(plan) for plan in task.plans]
    recordings = {ear.recognizer.sample_rate: task.speech.read(ear.recognizer.sample_rate) for ear in ears}
    turns = [Turn(rounds=[], chunks=[]) for _ in ears]
    count = len(next(iter(recordings.values())))
    audio = sum(map(len, next(iter(recordings.values())))) / next(iter(recordings))
    for ear in ears:
        listen(ear, recordings[ear.recognizer.sample_rate][0])  # warms up
    until = time.perf_counter() + task.seconds
    for number in range(task.rounds):
        if number >= 2 and time.perf_counter() > until:
            break
        totals = [(0.0, 0.0, 0.0) for _ in ears]
        for turn in turns:
            turn.chunks.append([])
        for recording in range(count):
            for offset in range(len(ears)):
                index = (offset + number + recording) % len(ears)  # nobody always follows the same neighbour
                ear = ears[index]
                heard = listen(ear, recordings[ear.recognizer.sample_rate][recording])
                whole, acoustic, decoder = totals[index]
                taken = heard.totals
                totals[index] = (whole + taken[0], acoustic + taken[1], decoder + taken[2])
                turns[index].chunks[-1].extend(heard.chunks)
        for turn, (whole, acoustic, decoder) in zip(turns, totals, strict=True):
            turn.rounds.append((whole / audio, acoustic / audio, decoder / audio))
    return TurnFigures(turns=turns, audio_seconds=audio)
