"""A recording session: sentence by sentence, each recorded, judged, and stored or repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgespeech.demo.record.capture import Recorded, Take
from edgespeech.demo.record.takes import Takes
from edgespeech.demo.record.verdict import Verdict, judge
from edgespeech.demo.record.view import PlainView
from edgespeech.runtime.live.sound_watch import level_db
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.recognizer import Recognizer

MAX_ATTEMPTS = 3  # at a sentence, where no key can be pressed
WAIT_SECONDS = 0.05
Key = Literal["enter", "keep", "repeat", "skip", "quit", ""]
_KEYS: dict[int, Key] = {
    **dict.fromkeys(b"\r\n ", "enter"),
    **dict.fromkeys(b"kK", "keep"),
    **dict.fromkeys(b"rR", "repeat"),
    **dict.fromkeys(b"sS", "skip"),
    **dict.fromkeys(b"qQ\x04", "quit"),
}


@dataclass(frozen=True)
class Input:
    """Where takes come from.

    Attributes:
        blocks: Returns the audio of the next take, or None after the last one.
        sample_rate: Of the audio, in hertz.
        keys: Returns the keys pressed since its last call.
        has_keys: Whether there is a keyboard to ask.
        ends_itself: Whether the end of ``blocks`` is the end of a take, as of a file.
    """

    blocks: Callable[[], Iterator[Block] | None]
    sample_rate: int
    keys: Callable[[], bytes] = lambda: b""
    has_keys: bool = False
    ends_itself: bool = False


@dataclass(frozen=True)
class Summary:
    """What a session recorded, and how many sentences it skipped; ``finished`` if it came to the last one."""

    recorded: int
    skipped: int
    finished: bool


@dataclass(frozen=True)
class _Progress:
    at: int = 0
    attempts: int = 0
    recorded: int = 0
    skipped: int = 0


class Session:
    """Records sentences from an input into the folder of `Takes`."""

    def __init__(self, recognizer: Recognizer, takes: Takes, view: PlainView, source: Input) -> None:
        self._recognizer, self._takes, self._view, self._input = recognizer, takes, view, source

    def run(self, sentences: Sequence[str]) -> Summary:
        """Record until the last sentence, the end of the input, or the user's wish."""
        now = _Progress()
        while now.at < len(sentences):
            sentence = sentences[now.at]
            self._view.ask_to_read(sentence, f"{now.at + 1}/{len(sentences)}")
            blocks = self._input.blocks()
            if blocks is None:
                return Summary(now.recorded, now.skipped, False)
            take, key = self._record(blocks)
            if take is not None:
                key, now = self._examine(take, sentence, now)
            after = _after(now, key)
            if after is None:
                return Summary(now.recorded, now.skipped, False)
            now = after
        return Summary(now.recorded, now.skipped, True)

    def _record(self, blocks: Iterator[Block]) -> tuple[Recorded | None, Key]:
        """Return a take, or else the key that ended it."""
        take, rate = Take(), self._input.sample_rate
        for block in blocks:
            take = take.add(block.samples)
            self._view.level(level_db(block.samples))
            key = _first_key(self._input.keys())
            if key in {"repeat", "skip", "quit"}:
                return None, key
            if key == "enter" or (not self._input.ends_itself and take.is_over(rate)):
                return take.recording(rate), ""
        if self._input.ends_itself:
            return take.recording(rate), ""
        return None, "quit"

    def _examine(self, recorded: Recorded, sentence: str, now: _Progress) -> tuple[Key, _Progress]:
        """Judge a take and store it if it is good or wanted; returns what to do next."""
        verdict = judge(recorded, sentence, self._recognizer)
        if verdict.is_good:
            self._store(recorded, sentence, verdict)
            return "enter", replace(now, recorded=now.recorded + 1, attempts=0)
        self._view.report(_problem(verdict), good=False, asks=self._input.has_keys)
        attempts = now.attempts + 1
        if not self._input.has_keys:
            key: Key = "skip" if attempts >= MAX_ATTEMPTS else ""
            return key, replace(now, attempts=attempts)
        key = self._wait_for_key()
        if key == "keep":
            self._store(recorded, sentence, verdict)
            return "enter", replace(now, recorded=now.recorded + 1, attempts=0)
        return (key if key in {"skip", "quit"} else ""), replace(now, attempts=attempts)

    def _store(self, recorded: Recorded, sentence: str, verdict: Verdict) -> None:
        path = self._takes.store(sentence, recorded)
        differs = f", {100.0 * verdict.cer:.0f} % of the characters recognised otherwise" if verdict.cer else ""
        self._view.report(
            f"{path.name}  {recorded.seconds:.1f} s, {recorded.speech_db:.0f} dB{differs}; "
            f"{self._takes.seconds / 60.0:.1f} minutes so far",
            good=True,
        )

    def _wait_for_key(self) -> Key:
        while True:
            if key := _first_key(self._input.keys()):
                return key
            time.sleep(WAIT_SECONDS)


def _after(now: _Progress, key: Key) -> _Progress | None:
    """Return the progress after a key; None at the end of the session."""
    if key == "quit":
        return None
    if key == "repeat":
        return replace(now, at=max(0, now.at - 1), attempts=0)
    if key == "skip":
        return replace(now, at=now.at + 1, attempts=0, skipped=now.skipped + 1)
    return replace(now, at=now.at + 1) if key == "enter" else now


def _first_key(pressed: bytes) -> Key:
    return next((_KEYS[one] for one in pressed if one in _KEYS), "")


def _problem(verdict: Verdict) -> str:
    said = f", but like: {verdict.recognised or 'nothing'}" if verdict.cer else ""
    return f"again: {verdict.problem}{said}"
