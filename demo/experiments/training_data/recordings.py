"""An archive whose truth is known: clips joined to long recordings with texts, and the same clips as a true manifest.

    python -m edgespeech.demo.experiments.training_data.recordings MANIFEST FOLDER --hours 2 --minutes 30

FOLDER gets 0.flac, 0.txt, 1.flac and so on for `edgespeech data align` and `data label`, and true.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import click
import numpy as np
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.archive.cutting import Stretch, cut
from edgespeech.demo.experiments.alignment import CHANGED, FILE, RATE, Joined, Samples, changed
from edgespeech.reference.data.acoustics import audio_files
from edgespeech.runtime import audio
from edgespeech.runtime.files import make_folder
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest

TRUE = "true.jsonl"


def joined_recordings(
    manifest: Path, hours: float, minutes: float, noises: Sequence[Samples], seed: int
) -> Iterator[Joined]:
    """Yield recordings of about this length, each from other clips; sentences that are only in a text come from none.

    Args:
        manifest: Manifest of the clips.
        hours: Length of all recordings.
        minutes: Length of one.
        noises: Noise for some of the pauses, at 16 kHz.
        seed: Seed of the choice and of the changes.
    """
    random = Random(seed)
    clips = [one for one in read_manifest(manifest) if (one.duration or 0.0) > 1.0]
    random.shuffle(clips)
    spare = clips[: round(CHANGED * len(clips))]
    used: list[Utterance] = []
    seconds = total = 0.0
    for one in clips[len(spare) :]:
        used.append(one)
        seconds += one.duration or 0.0
        if seconds >= 60.0 * minutes or total + seconds >= 3600.0 * hours:
            yield changed(used, random.sample(spare, len(spare)), noises, random)
            total, seconds, used = total + seconds, 0.0, []
            if total >= 3600.0 * hours:
                return
    if used:
        yield changed(used, random.sample(spare, len(spare)), noises, random)


def write_recording(folder: Path, number: int, joined: Joined) -> list[Utterance]:
    """Write a recording and its text, cut its clips where they truly are, and return their lines of a manifest."""
    recording = folder / f"{number}.flac"
    with soundfile.SoundFile(recording, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for block in joined.blocks():
            file.write(np.clip(block, -1.0, 1.0))
    (folder / f"{number}.txt").write_text("\n".join(joined.lines) + "\n", encoding="utf-8")
    truths = joined.truths()
    make_folder(folder / "true_clips")
    paths = [folder / "true_clips" / f"{number}-{index:04d}.flac" for index in range(len(truths))]
    stretches = [Stretch(path, one.start, one.end) for path, one in zip(paths, truths, strict=True)]
    cut(audio.read_blocks(str(recording), RATE), RATE, stretches)
    found = []
    for path, one in zip(paths, truths, strict=True):
        where: dict[str, str | float] = {"kind": "joined", "source": recording.name, "start": one.start, "end": one.end}
        found.append(Utterance(path.name, path, one.text, one.end - one.start, provenance=where))
    return found


@click.command()
@click.argument("manifest", type=FILE)
@click.argument("folder", type=FILE)
@click.option("--hours", default=2.0, show_default=True)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--noise", type=FILE, multiple=True, help="Folder of noise.")
@click.option("--seed", default=0)
def main(manifest: Path, folder: Path, hours: float, minutes: float, noise: tuple[Path, ...], seed: int) -> None:
    """Write the recordings, their texts and the true manifest, and print how long they are."""
    make_folder(folder)
    noises = [audio.read(file, RATE) for file in (audio_files(noise) if noise else [])]
    lines: list[Utterance] = []
    for number, joined in enumerate(joined_recordings(manifest, hours, minutes, noises, seed)):
        lines += write_recording(folder, number, joined)
    write_manifest(folder / TRUE, lines)
    click.echo(
        f"{number + 1} recordings, {len(lines)} clips, {sum(one.duration or 0.0 for one in lines) / 3600.0:.2f} h"
    )


if __name__ == "__main__":
    main()
