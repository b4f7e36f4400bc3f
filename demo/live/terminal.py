"""A live session in a terminal or a pipe: the work of `edgespeech live`."""

from __future__ import annotations

import contextlib

from edgespeech.demo.live.screen import choose_output
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.live.microphone import no_native_messages
from edgespeech.runtime.live.outputs import abandon_standard_output
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_live
from edgespeech.runtime.recognizer import Recognizer


def run_on_terminal(recognizer: Recognizer, request: LiveRequest, as_json: bool = False) -> None:
    """Run a live session on standard output; Ctrl-C ends it, and so does a reader that leaves, such as ``head``.

    Args:
        recognizer: Recognizer whose model all sources share.
        request: Sources, files and settings.
        as_json: Whether to print one JSON object per event instead of a live view or plain lines.

    Raises:
        EdgespeechError: As in `run_live`, or standard output cannot be written.
    """
    with contextlib.ExitStack() as stack:
        if not request.replays:
            stack.enter_context(no_native_messages())
        try:
            run_live(recognizer, request, choose_output(as_json), handle_signals=True)
        except BrokenPipeError:
            abandon_standard_output()
        except OSError as error:
            abandon_standard_output()
            raise EdgespeechError(f"standard output cannot be written: {error.strerror}; redirect it") from None
