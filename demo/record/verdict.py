"""Whether a take is good: its level, clipping, and what a recognizer makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from edgespeech.demo.record.capture import Recorded
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.word_errors import character_error_rate
from edgespeech.runtime.recognizer import Recognizer

MIN_SPEECH_DB = -42.0
MIN_ABOVE_ROOM_DB = 12.0
MAX_CLIPPED = 1e-3  # of the samples
# A model errs more with an unusual voice: half of the characters are still recognised if the sentence was read.
MAX_CHARACTER_ERRORS = 0.6


@dataclass(frozen=True)
class Verdict:
    """The problem of a take, empty if it is good, and what was recognised with which character error rate."""

    problem: str
    recognised: str = ""
    cer: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with the take."""
        return not self.problem


def judge(recorded: Recorded, sentence: str, recognizer: Recognizer) -> Verdict:
    """Check the sound of a take, then compare what is recognised with the sentence."""
    problem = sound_problem(recorded)
    if problem:
        return Verdict(problem)
    recognised = scoring_text(recognizer.transcribe((recorded.samples, recorded.sample_rate)).plain_text)
    cer = character_error_rate([scoring_text(sentence)], [recognised])
    if cer > MAX_CHARACTER_ERRORS:
        return Verdict("that does not sound like the sentence", recognised, cer)
    return Verdict("", recognised, cer)


def sound_problem(recorded: Recorded) -> str:
    """Describe what is wrong with the sound; empty if nothing is."""
    if not recorded.has_speech:
        return "no speech: is the microphone muted?"
    if recorded.clipped > MAX_CLIPPED:
        return f"clipped ({100.0 * recorded.clipped:.1f} % of the samples): lower the microphone's gain"
    if recorded.speech_db < MIN_SPEECH_DB:
        return f"too quiet ({recorded.speech_db:.0f} dB): come closer, or raise the microphone's gain"
    if recorded.speech_db - recorded.room_db < MIN_ABOVE_ROOM_DB:
        above = recorded.speech_db - recorded.room_db
        return f"the room is loud (speech only {above:.0f} dB above it): come closer, or find a quieter one"
    return ""
