"""The state of a training run, and its step: CTC, update, averaged weights."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgespeech.errors import CheckpointError
from edgespeech.reference.data.augment import SpecAugment
from edgespeech.reference.data.batches import Batch, ClipDataset
from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm
from edgespeech.reference.training.anchor import Anchor
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig
from edgespeech.reference.training.memory import Fitting
from edgespeech.reference.training.muon import Muon
from edgespeech.reference.training.phonemes import WithPhonemes
from edgespeech.reference.training.word_risk import WordRisk
from edgespeech.runtime.foreign.torch_files import STATE_FORMAT

MUON_MOMENTUM = 0.95


@dataclass
class Position:
    """How far a run has come; ``batch`` is counted within the epoch."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    trained_seconds: float = 0.0
    best_wer: float = math.inf
    worse: int = 0  # evaluations since the best one


@dataclass
class Trainer:
    """The changing state of a run; ``phonemes`` is the model together with its phoneme head, if it has one."""

    config: TrainingConfig
    model: DeepSpeech2
    average: AveragedModel
    optimisers: tuple[torch.optim.Optimizer, ...]
    scaler: torch.amp.GradScaler
    precision: torch.dtype
    total_steps: int
    phonemes: WithPhonemes | None = None
    anchor: Anchor | None = None
    risk: WordRisk | None = None
    position: Position = field(default_factory=Position)
    fitting: Fitting = field(default_factory=Fitting)

    @property
    def network(self) -> nn.Module:
        """The module that a step trains."""
        return self.model if self.phonemes is None else self.phonemes

    @property
    def averaged(self) -> DeepSpeech2:
        """The model with the averaged weights."""
        module = self.average.module
        assert isinstance(module, DeepSpeech2)
        return module

    def learning_rate(self) -> float:
        """Return linear warm-up, then cosine decay to 1 % over steps or the time budget, whichever is further."""
        optimisation = self.config.optimisation
        progress = self.position.step / max(1, self.total_steps)
        if optimisation.budget_minutes:
            progress = max(progress, self.position.trained_seconds / 60.0 / optimisation.budget_minutes)
        warm = min(1.0, (self.position.step + 1) / (optimisation.warmup_steps + 1))
        decay = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
        return optimisation.learning_rate * warm * decay

    def step(self, network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """Update the weights; returns the loss over labels, without phonemes, in nats per label."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate()
        loss = self._gradients(network, batch, device)
        if self.anchor is not None:
            self._pull_to_anchor(self.anchor, device)
        for optimiser in self.optimisers:
            self.scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimisation.clip_norm)
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
        self.scaler.update()
        self.average.update_parameters(self.model)
        self.position.step += 1
        return loss

    def set_training(self, network: nn.Module) -> None:
        """Put the network into training mode, except for statistics that stay as they are."""
        network.train()
        if self.config.optimisation.frozen_statistics:
            for module in self.model.modules():
                if isinstance(module, MaskedBatchNorm):
                    module.eval()

    def try_largest(self, batch: Batch, device: torch.device) -> None:
        """Compute the gradients of the largest batch and drop them, so that too little memory shows at once."""
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        self.set_training(self.network)
        self._gradients(self.network, batch, device)
        self._reset()
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(buffers[name])

    def _gradients(self, network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """Compute the gradients of a batch, in parts if it does not fit into the memory; returns the loss."""
        losses: list[Tensor] = []

        def reset() -> None:
            losses.clear()
            self._reset()

        def add(part: Batch, share: float, is_last: bool) -> None:
            alone = isinstance(network, DistributedDataParallel) and not is_last
            with cast(DistributedDataParallel, network).no_sync() if alone else nullcontext():
                losses.append(share * self._backward(network, part, share, device))

        # Workers that wait for each other's gradients cannot begin again.
        self.fitting.run(batch, add, reset, retry=not isinstance(network, DistributedDataParallel))
        return torch.stack(losses).sum()

    def _pull_to_anchor(self, anchor: Anchor, device: torch.device) -> None:
        # Workers need not share these gradients: they are equal, because the batch depends on the step alone.
        divergence = anchor.divergence(self.model, self.position.step, device)
        torch.autograd.backward(self.scaler.scale(self.config.optimisation.anchor_weight * divergence))

    def _reset(self) -> None:
        self.network.zero_grad(set_to_none=True)

    def _backward(self, network: nn.Module, batch: Batch, share: float, device: torch.device) -> Tensor:
        """Add the gradients of a batch times ``share``; returns the loss over labels, without phonemes."""
        optimisation, augmentation = self.config.optimisation, self.config.augmentation
        augment = SpecAugment(augmentation.in_pass(self.position.epoch))
        dropout = optimisation.dropout * augmentation.strength(self.position.epoch)
        mixed = self.precision != torch.float32
        with torch.autocast(device.type, self.precision) if mixed else nullcontext():
            log_probs, frames, *others = network(
                batch.samples.to(device, non_blocking=True), batch.lengths, augment, dropout
            )
        loss = ctc_loss(log_probs, frames, batch)
        total = loss
        if self.risk is not None:
            weight = optimisation.risk_weight
            total = (1.0 - weight) * loss + weight * self.risk.loss(log_probs, frames, batch.texts)
        if self.phonemes is not None:
            weight = optimisation.phoneme_weight
            total = (1.0 - weight) * total + weight * self.phonemes.loss(others[0], frames, batch.texts)
        torch.autograd.backward(self.scaler.scale(total * share))
        return loss.detach()

    def end_batch(self, seconds: float) -> None:
        """Count a batch of the epoch and the training time that it took."""
        self.position.batch += 1
        self.position.trained_seconds += seconds

    def end_epoch(self) -> None:
        """Move to the first batch of the next epoch."""
        self.position.epoch, self.position.batch = self.position.epoch + 1, 0

    def record_wer(self, wer: float) -> bool:
        """Record a word error rate on dev; returns whether it is the lowest so far."""
        best = wer <= self.position.best_wer
        self.position.worse = 0 if best else self.position.worse + 1
        if best:
            self.position.best_wer = wer
        return best

    @property
    def is_past_best(self) -> bool:
        """Whether as many evaluations in a row as ``patience`` gave no lower word error rate."""
        patience = self.config.optimisation.patience
        return 0 < patience <= self.position.worse

    def state(self) -> dict[str, Any]:
        """Return everything needed to resume, as tensors and plain values."""
        return {
            "format": STATE_FORMAT,
            "config": msgspec.to_builtins(self.config),
            "labels": list(self.model.labels.symbols),
            "position": asdict(self.position),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "scaler": self.scaler.state_dict(),
            "phonemes": self._phoneme_state(),
        }

    def _phoneme_state(self) -> dict[str, Any] | None:
        if self.phonemes is None:
            return None
        return {
            "layer": self.phonemes.layer,
            "symbols": list(self.phonemes.pronunciations.symbols),
            "head": self.phonemes.head.state_dict(),
        }

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Continue from a `state`; one of another model, with other labels or damaged is a CheckpointError."""
        if state.get("format") != STATE_FORMAT:
            raise CheckpointError(
                f"{path} has the format {state.get('format')!r}, wanted a training state; drop --resume"
            )
        try:
            if state["config"]["model"] != msgspec.to_builtins(self.config.model):
                raise CheckpointError(
                    f"{path} was trained with another [model]; choose another output or drop --resume"
                )
            if tuple(state["labels"]) != self.model.labels.symbols:
                raise CheckpointError(f"{path} has other labels than the configuration gives; drop --resume")
            self._restore_phonemes(state.get("phonemes"), path)
            self.position = Position(**state["position"])
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise CheckpointError(f"{path}: its parts do not fit together: {reason}; drop --resume") from None

    def _restore_phonemes(self, saved: dict[str, Any] | None, path: Path) -> None:
        if self.phonemes is None or saved is None:
            if self.phonemes is not None or saved is not None:
                which = ("without", "with") if saved is None else ("with", "without")
                raise CheckpointError(
                    f"{path} was trained {which[0]} phonemes, the configuration is {which[1]}; drop --resume"
                )
            return
        now = (self.phonemes.layer, list(self.phonemes.pronunciations.symbols))
        if (saved["layer"], saved["symbols"]) != now:
            raise CheckpointError(f"{path} was trained with another phoneme_layer or other phonemes; drop --resume")
        self.phonemes.head.load_state_dict(saved["head"])


def ctc_loss(log_probs: Tensor, frames: Tensor, batch: Batch) -> Tensor:
    """Compute CTC negative log-likelihood in nats per target label; clips that cannot be aligned count as zero."""
    total = functional.ctc_loss(
        log_probs.transpose(0, 1),
        batch.targets.to(log_probs.device),
        frames,
        batch.target_lengths,
        reduction="sum",
        zero_infinity=True,
    )
    return total / batch.target_lengths.sum()


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """Return the type of mixed precision; ``auto`` is float16 on a GPU, bfloat16 on a CPU with Intel AMX."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        # autocast always runs cuDNN's recurrent layers in float16.
        return torch.float16
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


def build_optimisers(
    model: nn.Module, optimisation: OptimisationConfig, head: nn.Module | None = None
) -> tuple[torch.optim.Optimizer, ...]:
    """Return AdamW and, if the configuration selects it, Muon for the matrices and kernels below the output layer.

    Weight decay applies to matrices and kernels only, but not to the row convolution.
    """
    matrices: list[nn.Parameter] = []
    output: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2 or name.startswith("lookahead"):
            plain.append(parameter)
        else:
            (output if name.startswith("output") else matrices).append(parameter)
    for parameter in head.parameters() if head is not None else ():
        (plain if parameter.dim() < 2 else output).append(parameter)
    muon = optimisation.optimiser == "muon"
    decayed = output if muon else matrices + output
    groups = [{"params": decayed, "weight_decay": optimisation.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=optimisation.learning_rate, betas=(0.9, 0.98))
    if not muon:
        return (adamw,)
    return adamw, Muon(matrices, optimisation.learning_rate, MUON_MOMENTUM, optimisation.weight_decay)


def build_trainer(
    config: TrainingConfig,
    model: DeepSpeech2,
    device: torch.device,
    total_steps: int,
    pronunciations: Pronunciations | None = None,
    anchor_speech: ClipDataset | None = None,
    risk: WordRisk | None = None,
) -> Trainer:
    """Move a model to the device and add optimisers, averaged weights, a scaler and, with pronunciations, its head.

    With ``anchor_speech`` the model is held to its outputs of now, and with ``risk`` it is trained on word errors too.
    """
    model.to(device)
    optimisation = config.optimisation
    anchor = None
    if anchor_speech is not None:
        anchor = Anchor(model, anchor_speech, config.data.anchor_seconds, optimisation.seed)
    phonemes = None
    if pronunciations is not None:
        phonemes = WithPhonemes(model, pronunciations, optimisation.phoneme_layer).to(device)
    optimisers = build_optimisers(model, optimisation, None if phonemes is None else phonemes.head)
    precision = choose_precision(optimisation.precision, device)
    moving = get_ema_multi_avg_fn(optimisation.ema_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=moving, use_buffers=True)
    for module in average.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # a copy is fragmented, and cuDNN would compact it at every call
    # cuDNN's recurrent layers run in float16 even under bfloat16.
    half = precision == torch.float16 or (precision == torch.bfloat16 and device.type == "cuda")
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    return Trainer(config, model, average, optimisers, scaler, precision, total_steps, phonemes, anchor, risk)
