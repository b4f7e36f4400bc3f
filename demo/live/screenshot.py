"""The live view in the middle of a sentence, as text or, given FILE.svg, as a picture.

Run: python -m edgespeech.demo.live.screenshot [FILE.svg]
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from edgespeech.demo.live.screen import LiveScreen
from edgespeech.runtime import audio
from edgespeech.runtime.live.live_stream import LiveStream, SharedOutput
from edgespeech.runtime.live.outputs import Meter
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer

WIDTH = 100
PAUSE_SECONDS = 2.0
LAST_CLIP_FRACTION = 0.6
# The template of rich without its web fonts: a picture in a document must not load anything.
SVG_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Screenshot(LiveScreen):
    """A live screen that is printed once, as it is after the last block."""

    def __init__(self) -> None:
        self.paper = Console(file=io.StringIO(), width=WIDTH, record=True, highlight=False)
        super().__init__(self.paper)

    def show_meter(self, meter: Meter, source: str = "") -> None:
        """Keep the meter without drawing it."""
        self._meters[source] = meter

    def text(self) -> str:
        """Return what the terminal shows."""
        self._draw(self.view())
        return self.paper.export_text().rstrip()

    def svg(self) -> str:
        """Return what the terminal shows as an SVG picture."""
        self._draw(self.view())
        return self.paper.export_svg(title="edgespeech live", code_format=SVG_FORMAT, unique_id="live")

    def _draw(self, above: Sequence[Text] = ()) -> None:
        for line in above:
            self.paper.print(line)


class SampleClips:
    """A source that plays the first sample clips up to the middle of the third one."""

    name, description = "clips", "playing the sample clips"
    device_seconds = None
    is_microphone = True

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        clips = [audio.read(utterance.path, sample_rate) for utterance in read_manifest(SAMPLE_CLIPS)][:3]
        clips[-1] = clips[-1][: round(LAST_CLIP_FRACTION * len(clips[-1]))]
        pause = np.zeros(round(PAUSE_SECONDS * sample_rate), np.float32)
        self._samples = np.concatenate([piece for clip in clips for piece in (clip, pause)][:-1])

    def __iter__(self) -> Iterator[Block]:
        size = round(BLOCK_SECONDS * self.sample_rate)
        for start in range(0, len(self._samples), size):
            yield Block(self._samples[start : start + size], time.perf_counter())

    def take_messages(self) -> list[str]:
        """Return nothing: clips have no problems."""
        return []

    def counts(self) -> dict[str, int]:
        """Return nothing: no audio is lost."""
        return {}

    def stop(self) -> None:
        """Do nothing: the clips end soon."""

    def close(self) -> None:
        """Do nothing: no file is open."""


def main() -> None:
    """Print the live view while the sample clips play, or write it to an SVG file."""
    recognizer, screen = Recognizer(), Screenshot()
    source = SampleClips(recognizer.sample_rate)
    stream = LiveStream(recognizer, source, SharedOutput(screen))
    stream.report(source.description)
    for block in source:
        stream.process(block)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(screen.svg(), encoding="utf-8")
    else:
        print(screen.text())


if __name__ == "__main__":
    main()
