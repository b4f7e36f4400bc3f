"""`make demo`: the default bundle on the sample clips; text, reference, word error rate, real-time factor."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import DeviceError, MissingDependencyError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.live.microphone import import_portaudio, input_devices
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
    return _short(Path(sys.executable).with_name("edgespeech"))


def summary(results: list[Result]) -> str:
    """Return the word error rate and the speed over all clips."""
    wer = word_error_rate([one.reference for one in results], [one.hypothesis for one in results])
    audio_seconds = sum(one.transcript.duration for one in results)
    seconds = sum(one.transcript.seconds for one in results)
    return (
        f"all {len(results)} clips: WER {wer:.1%}, {audio_seconds:.1f} s of audio in {seconds:.2f} s, "
        f"real-time factor {seconds / audio_seconds:.3f} on one core"
    )


def about_search(name: str) -> str:
    """Return what makes the search faster, where it was not compiled; else an empty text."""
    if name == "native":
        return ""
    return (
        "the beam search runs in numpy; compiled, it takes an eighth of the CPU time: sudo apt-get install g++, "
        "then touch setup.py and run make demo again\n"
    )


def microphone_problem() -> str:
    """Return why `live` finds no microphone, with what to do; an empty text if it finds one."""
    try:
        input_devices(import_portaudio())
    except (MissingDependencyError, DeviceError) as error:
        return str(error)
    return ""


def next_steps(clip: Path) -> str:
    """Return commands that can be typed as they stand: `live` with a recording while no microphone is found."""
    program, problem = command(), microphone_problem()
    live = f"{program} live"
    lines = ["next:", f"  {program} transcribe {_short(clip)}    # or a recording of your own"]
    if problem:
        lines += [f"  {live} --replay {_short(clip)}", f"for {live}: {problem}"]
    else:
        lines.append(f"  {live}    # the microphone; Ctrl-C ends")
    return "\n".join(lines)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main() -> None:
    """Transcribe the sample clips, whose speakers are not in the training data, and print the result."""
    utterances = read_manifest(SAMPLE_CLIPS, check_files=True)
    print(f"loading the default bundle and transcribing {len(utterances)} sample clips ...", flush=True)
    bundle = load_bundle()
    size = sum(entry.bytes for entry in bundle.manifest.files.values()) / 1e6
    print(f"bundle {bundle.manifest.name}: {bundle.manifest.graph.precision}, {size:.1f} MB with its language model")
    recognizer = Recognizer(bundle)
    results = [Result(utterance, recognizer.transcribe(utterance.path)) for utterance in utterances]
    results.sort(key=lambda one: one.wer)
    speakers = len({one.utterance.speaker for one in results})
    print(
        f"all {len(results)} clips of {speakers} unseen speakers, those with the lowest word error rate (WER) first; "
        "the WER at the end covers all of them\n"
    )
    for result in results:
        print(result.lines())
    print(
        f"{summary(results)}\n{about_search(recognizer.decoder.search_kind.name)}\n{next_steps(results[0].utterance.path)}"
    )


if __name__ == "__main__":
    main()
