"""A program whose main thread stays free: a second thread recognises speech and puts the events into a queue.

    python docs/examples/threads.py                  the default microphone; Ctrl-C ends
    python docs/examples/threads.py recording.wav    a recording in real time

Programs with windows are like that: a timer of the window system empties the queue (Tk: `after`, Qt: `QTimer`), because
only the main thread may draw.
"""

from __future__ import annotations

import queue
import sys
import threading

from edgespeech import EdgespeechError, Event, Recognizer
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import Replay, Source

Message = Event | Exception | None  # None: the source has ended


def recognise(recognizer: Recognizer, source: Source, messages: queue.Queue[Message]) -> None:
    """Put the events of a source into a queue, an error if there is one, and None at the end."""
    try:
        # The stream is made on the thread that uses it, and never leaves it.
        with recognizer.stream(source.sample_rate, fast_partials=True) as stream:
            for block in source:
                for event in stream.accept(block.samples):
                    messages.put(event)
            for event in stream.finish():
                messages.put(event)
    except Exception as error:  # the main thread decides what to do
        messages.put(error)
    finally:
        messages.put(None)


def show(messages: queue.Queue[Message]) -> bool:
    """Print what has arrived, without waiting; return whether more may come."""
    while True:
        try:
            message = messages.get_nowait()
        except queue.Empty:
            return True
        if message is None:
            return False
        if isinstance(message, Exception):
            raise message
        if message.type == "partial":
            print(f"\r{message.text[-60:]:<60}", end="", flush=True)
        elif message.type == "final":
            print(f"\r{message.start:6.1f} s  {message.text:<60}", flush=True)


def main() -> None:
    """Start the thread, and be the loop of a window until the source ends."""
    recognizer = Recognizer()
    source = Replay(sys.argv[1], recognizer.sample_rate) if len(sys.argv) > 1 else MicrophoneSource()
    messages: queue.Queue[Message] = queue.Queue()
    thread = threading.Thread(target=recognise, args=(recognizer, source, messages))
    thread.start()
    redraw = threading.Event()
    try:
        while show(messages):
            redraw.wait(0.05)  # the timer of a window
    finally:
        source.stop()  # the iteration of the source ends soon, and with it the thread
        thread.join()
        source.close()
        recognizer.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except EdgespeechError as error:
        sys.exit(str(error))
