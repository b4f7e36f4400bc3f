"""`make demo`: the default bundle on the sample clips; text, reference, word error rate, real-time factor."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Transcript


@dataclass(frozen=True)
class Result:
    """A sample clip and what the recognizer made of it."""

    utterance: Utterance
    transcript: Transcript

    @property
    def reference(self) -> str:
        """Normalised reference text of the clip."""
        return normalise(self.utterance.text)

    @property
    def hypothesis(self) -> str:
        """Normalised text of the recognizer."""
        return normalise(self.transcript.text)

    @property
    def wer(self) -> float:
        """Word error rate of this clip."""
        return word_error_rate([self.reference], [self.hypothesis])

    def lines(self) -> str:
        """Lay the clip out for the terminal."""
        clip, transcript = self.utterance, self.transcript
        return (
            f"{clip.path.name}  ({transcript.duration:.1f} s, speaker {clip.speaker}, WER {self.wer:.0%}, "
            f"real-time factor {transcript.rtf:.3f})\n"
            f"  reference   {self.reference}\n"
            f"  recognised  {self.hypothesis}\n"
        )


def command() -> str:
    """Return the command line of this environment, as it can be typed in the current folder."""
    program = Path(sys.executable).with_name("edgespeech")
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


def summary(results: list[Result]) -> str:
    """Return the word error rate and the speed over all clips."""
    wer = word_error_rate([one.reference for one in results], [one.hypothesis for one in results])
    audio_seconds = sum(one.transcript.duration for one in results)
    seconds = sum(one.transcript.seconds for one in results)
    return (
        f"all {len(results)} clips: WER {wer:.1%}, {audio_seconds:.1f} s of audio in {seconds:.2f} s, "
        f"real-time factor {seconds / audio_seconds:.3f} on one core"
    )


def next_steps() -> str:
    """Return the commands to try next."""
    program = command()
    live = f"{program} live" if find_spec("sounddevice") else f"{program} live --replay YOUR.wav"
    return f"next: {program} transcribe YOUR.wav   or   {live}"


def main() -> None:
    """Transcribe the sample clips, whose speakers are not in the training data, and print the result."""
    utterances = read_manifest(SAMPLE_CLIPS, check_files=True)
    print(f"loading the default bundle and transcribing {len(utterances)} sample clips ...", flush=True)
    bundle = load_bundle()
    size = sum(entry.bytes for entry in bundle.manifest.files.values()) / 1e6
    print(f"bundle {bundle.manifest.name}: {bundle.manifest.graph.precision}, {size:.1f} MB with its language model")
    recognizer = Recognizer(bundle)
    results = [Result(utterance, recognizer.transcribe(utterance.path)) for utterance in utterances]
    speakers = len({one.utterance.speaker for one in results})
    print(
        f"all {len(results)} clips of {speakers} unseen speakers, those with the lowest word error rate (WER) first; "
        "the WER at the end covers all of them\n"
    )
    for result in sorted(results, key=lambda one: one.wer):
        print(result.lines())
    print(f"{summary(results)}\n\n{next_steps()}")


if __name__ == "__main__":
    main()
