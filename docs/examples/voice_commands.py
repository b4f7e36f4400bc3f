"""A loop that waits for one of a few spoken commands, and calls a function for each.

    python docs/examples/voice_commands.py                  the default microphone; Ctrl-C ends
    python docs/examples/voice_commands.py recording.wav    a recording in its place

A grammar allows the search only these phrases; everything else is <unknown>. That is faster than free text and finds
short commands far better. Phrases of two or three words that sound different work best.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from edgespeech import EdgespeechError, Event, Recognizer
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import Replay, Source

# Mean confidence of the words. Lower it if commands are missed, raise it if something else is taken for one.
MIN_CONFIDENCE = 0.4

COMMANDS: dict[str, Callable[[], None]] = {
    "turn on the light": lambda: print("the light is on"),
    "turn off the light": lambda: print("the light is off"),
    "what time is it": lambda: print("time to look at a clock"),
}


def find_command(event: Event, commands: Mapping[str, Callable[[], None]]) -> str | None:
    """Return the command of a finished segment, if it is one and certain enough."""
    spoken = [word for word in event.words if word.word != "<unknown>"]
    text = " ".join(word.word for word in spoken)
    if text not in commands or sum(word.confidence for word in spoken) < MIN_CONFIDENCE * len(spoken):
        return None
    return text


def listen(source: Source, commands: Mapping[str, Callable[[], None]]) -> None:
    """Call the function of each command that is spoken, until the source ends."""
    # A command is short: 0.5 s of silence ends it, instead of the second that suits free speech.
    with Recognizer(grammar=list(commands), endpoint_seconds=0.5) as recognizer:
        stream = recognizer.stream(source.sample_rate)

        def act(events: list[Event]) -> None:
            for event in events:
                if event.type == "final":
                    command = find_command(event, commands)
                    print(f"understood: {command or 'nothing'} ({event.text})")
                    if command:
                        commands[command]()

        for block in source:
            act(stream.accept(block.samples))
        act(stream.finish())


def open_source(recording: str | None) -> Source:
    """Open a recording, which is played as fast as it can be recognised, or the default microphone."""
    return MicrophoneSource() if recording is None else Replay(recording, sample_rate=16000, speed=0)


def main() -> None:
    """Listen to the microphone or to the recording on the command line."""
    source = open_source(sys.argv[1] if len(sys.argv) > 1 else None)
    print(f"{source.description}; say one of: {', '.join(COMMANDS)}")
    try:
        listen(source, COMMANDS)
    except KeyboardInterrupt:
        pass
    finally:
        source.close()


if __name__ == "__main__":
    try:
        main()
    except EdgespeechError as error:
        sys.exit(str(error))
