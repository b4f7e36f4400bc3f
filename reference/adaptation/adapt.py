"""Adapt a checkpoint to a voice: split its recordings, train, mix the result with the start, measure both.

The run has a folder of its own with the state to resume from; the checkpoint that it starts from is never changed.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import torch

from edgespeech.errors import UsageError
from edgespeech.reference.adaptation.cost import Cost, measure_cost
from edgespeech.reference.adaptation.recipe import AdaptationFiles, AdaptationSettings, adaptation_config
from edgespeech.reference.adaptation.voice import Voice, VoiceRules, read_voice
from edgespeech.reference.data.batches import ClipDataset
from edgespeech.reference.data.clips import usable_clips
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.training.averaging import average_checkpoints
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.greedy import evaluate_greedy
from edgespeech.reference.training.speech import load_speech
from edgespeech.reference.training.train import STATE, train
from edgespeech.reference.training.workers import Workers
from edgespeech.runtime.files import make_folder, replacing
from edgespeech.runtime.manifest import Utterance, write_manifest

log = logging.getLogger(__name__)

REQUEST, REPLAY, FILES = "request.json", "replay.jsonl", AdaptationFiles()


class _Begun(msgspec.Struct, frozen=True):
    """What a folder's run is known by, and its number of passes."""

    key: str
    passes: int


@dataclass(frozen=True)
class AdaptationRequest:
    """What to adapt, and to what.

    Attributes:
        checkpoint: The model to start from.
        speech: Manifest of the voice.
        held_out: Manifest of other recordings of the voice; None to hold some of ``speech`` out.
        replay: Manifest of general speech, on which the model is held to its outputs before.
        minutes: Limit of the training time, by which the number of passes is chosen.
    """

    checkpoint: Path
    speech: Path
    held_out: Path | None = None
    replay: Path | None = None
    minutes: float | None = None
    settings: AdaptationSettings = AdaptationSettings()

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0.0:
            raise UsageError(f"{self.minutes:g} minutes; wanted more than 0; leave the limit out for all passes")


@dataclass(frozen=True)
class Adaptation:
    """An adapted model.

    Attributes:
        finished: Whether all passes were done; if not, the next call continues.
        model: The adapted model, in evaluation mode.
        provenance: What a checkpoint or bundle records about it.
        voice: The recordings.
        losses: CTC loss in nats per letter on those held out, before and after; not measured if not finished.
    """

    finished: bool
    model: DeepSpeech2
    provenance: dict[str, Any]
    voice: Voice
    losses: tuple[float, float] = (math.nan, math.nan)

    @property
    def is_better(self) -> bool:
        """Whether the held-out recordings are more probable than before."""
        return self.losses[1] < self.losses[0]


class AdaptationRun:
    """An adaptation whose inputs are checked and copied to its folder; it continues what was begun there.

    Raises:
        EdgespeechError: The checkpoint or a manifest is invalid, or there is too little speech.
    """

    def __init__(self, request: AdaptationRequest, folder: Path) -> None:
        self.request, self.folder = request, folder
        self._model, self._provenance = load_checkpoint(request.checkpoint)
        rules = VoiceRules(self._model.labels, self._model.config)
        self.voice = read_voice(rules, request.speech, request.held_out, request.settings.seed)
        self._replay = [] if request.replay is None else rules.usable(request.replay)
        self._files = replace(FILES, replay=REPLAY if self._replay else None)
        self.config = self._config(request.settings)

    def _config(self, settings: AdaptationSettings) -> TrainingConfig:
        characters = "".join(self._model.labels.symbols)
        return adaptation_config(self._model.config, characters, self._files, settings)

    def prepare(self) -> Cost:
        """Write the folder, measure what the run takes, and choose the passes that fit into the time limit.

        Raises:
            UsageError: Not even one pass fits.
        """
        make_folder(self.folder)
        begun = self._begun()
        if begun is None:
            self._write_inputs()
        else:
            log.info("continuing the adaptation in %s", self.folder)
        with Workers() as workers:
            torch.manual_seed(self.request.settings.seed)
            speech = load_speech(self.config, self.folder, workers)
            cost = measure_cost(self._model, self.config, speech, workers)
        passes = self._passes_within_limit(cost) if begun is None else begun.passes
        # A resumed run has the passes of its beginning, whatever is measured now.
        with replacing(self.folder / REQUEST) as file:
            file.write(msgspec.json.encode(_Begun(self._key, passes)))
        self.config = self._config(replace(self.request.settings, passes=passes))
        return replace(cost, passes=passes)

    def _passes_within_limit(self, cost: Cost) -> int:
        minutes = self.request.minutes
        if minutes is None:
            return cost.passes
        passes = cost.passes_within(minutes * 60.0)
        if passes < 1:
            raise UsageError(
                f"a pass takes {cost.pass_seconds / 60.0:.1f} minutes here, and --minutes is {minutes:g}; "
                "allow more, or give less speech"
            )
        return passes

    def run(self) -> Adaptation:
        """Train, from where an earlier call was stopped, until the last pass or a signal."""
        outcome = train(self.config, self.folder, resume=True)
        mix = 1.0 if self._replay else self.request.settings.mix
        paths = self.folder / FILES.start, self.folder / FILES.output / STATE
        model, _ = average_checkpoints(paths, (1.0 - mix, mix))
        known = {
            "seconds": round(self.voice.train_seconds, 1),
            "passes": outcome.position.epoch,
            "mix": mix,
            "replay_seconds": round(sum(one.duration or 0.0 for one in self._replay), 1),
        }
        adaptation = Adaptation(outcome.finished, model.eval(), {**self._provenance, "adapted": known}, self.voice)
        if not outcome.finished:
            return adaptation
        before, after = self._held_out_loss(self._model), self._held_out_loss(adaptation.model)
        log.info("held-out recordings: a loss of %.3f nats per letter before, %.3f after", before, after)
        return replace(adaptation, losses=(before, after))

    def _held_out_loss(self, model: DeepSpeech2) -> float:
        clips, _ = usable_clips([self.folder / FILES.held_out], model.labels, model.config, self.config.data)
        speech = ClipDataset(clips, model.config.features.sample_rate)
        return evaluate_greedy(model, speech, self.config.data.batch_seconds, torch.device("cpu")).loss

    def _begun(self) -> _Begun | None:
        """Return the run of the same inputs that was begun in the folder, if there is one."""
        try:
            found = msgspec.json.decode((self.folder / REQUEST).read_bytes(), type=_Begun)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        is_same = found.key == self._key and (self.folder / FILES.output / STATE).is_file()
        return found if is_same else None

    def _write_inputs(self) -> None:
        """Write the manifests and the start; what a run of other inputs left is removed."""
        for name in (STATE, "best.pt", "history.jsonl"):
            (self.folder / FILES.output / name).unlink(missing_ok=True)
        (self.folder / REPLAY).unlink(missing_ok=True)
        write_manifest(self.folder / FILES.voice, self.voice.train)
        write_manifest(self.folder / FILES.held_out, self.voice.held_out)
        if self._files.replay is not None:
            write_manifest(self.folder / self._files.replay, self._replay)
        save_checkpoint(self._model, self.folder / FILES.start)

    @cached_property
    def _key(self) -> str:
        def listed(utterances: Sequence[Utterance]) -> list[tuple[str, float, str]]:
            return [(str(one.path), one.offset, one.text) for one in utterances]

        weights = hashlib.sha256()
        for value in self._model.state_dict().values():
            weights.update(value.numpy().tobytes())
        content = {
            "start": weights.hexdigest(),
            "settings": asdict(self.request.settings),
            "minutes": self.request.minutes,
            "speech": [listed(self.voice.train), listed(self.voice.held_out), listed(self._replay)],
        }
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
