"""Several streams in one asyncio program, whose event loop stays free while the model computes.

    python docs/examples/asyncio_streams.py one.wav two.wav    recordings, all at once, in real time
    python docs/examples/asyncio_streams.py                    the default microphone; Ctrl-C ends

`events` is the part to copy: an asynchronous generator of the events of one source.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from edgespeech import EdgespeechError, Event, Recognizer
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import Replay, Source


async def events(recognizer: Recognizer, source: Source) -> AsyncIterator[Event]:
    """Yield the partials and finals of a source.

    Waiting for audio and computing happen on threads. A stream allows one call at a time, and each call is awaited
    before the next one.
    """
    blocks = iter(source)
    with recognizer.stream(source.sample_rate) as stream:
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            for event in await asyncio.to_thread(stream.accept, block.samples):
                yield event
        for event in await asyncio.to_thread(stream.finish):
            yield event


async def show(recognizer: Recognizer, source: Source) -> None:
    """Print the finals of a source."""
    try:
        async for event in events(recognizer, source):
            if event.type == "final":
                print(f"{source.name} {event.start:.1f} s: {event.text}", flush=True)
    finally:
        source.stop()
        source.close()


async def count_ticks(seconds: float) -> None:
    """Stand for the rest of the program: it runs every tenth of a second, whatever the model does."""
    ticks = 0
    try:
        while True:
            await asyncio.sleep(seconds)
            ticks += 1
    finally:
        print(f"meanwhile the event loop ran {ticks} ticks", flush=True)


async def main(recordings: list[str]) -> None:
    """Transcribe all sources at once, with one model in memory."""
    with Recognizer() as recognizer:
        sources: list[Source] = [Replay(path, recognizer.sample_rate) for path in recordings]
        sources = sources or [MicrophoneSource(None, recognizer.sample_rate)]
        ticking = asyncio.create_task(count_ticks(0.1))
        try:
            await asyncio.gather(*(show(recognizer, source) for source in sources))
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except KeyboardInterrupt:
        pass
    except EdgespeechError as error:
        sys.exit(str(error))
