"""A live session in a terminal or a pipe: the work of `edgespeech live`."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from edgespeech.demo.live.keyboard import segment_key
from edgespeech.demo.live.screen import LiveScreen, choose_output
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.audio import STANDARD_INPUT
from edgespeech.runtime.live.microphone import no_native_messages
from edgespeech.runtime.live.outputs import abandon_standard_output
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import Controls, run_live
from edgespeech.runtime.recognizer import Recognizer


def run_on_terminal(recognizer: Recognizer, request: LiveRequest, as_json: bool = False) -> None:
    """Run a live session on standard output; Ctrl-C ends it, and so does a reader that leaves, such as ``head``.

    Enter or space ends the segment, if standard input is a terminal.

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
        output = choose_output(as_json)
        controls = Controls(signals=True)
        if STANDARD_INPUT not in map(str, request.replays):
            restore = output.suspend if isinstance(output, LiveScreen) else lambda: None
            controls = replace(controls, end_segment=stack.enter_context(segment_key(restore)))
        try:
            run_live(recognizer, request, output, controls)
        except BrokenPipeError:
            abandon_standard_output()
        except OSError as error:
            abandon_standard_output()
            raise EdgespeechError(f"standard output cannot be written: {error.strerror}; redirect it") from None
