"""Training of the tagger on printed text within a limit of CPU time, which can be continued."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.errors import ConfigError
from edgespeech.reference.language_model.text import read_lines
from edgespeech.reference.punctuation.checkpoint import TrainingState, load_training, save_training
from edgespeech.reference.punctuation.model import Tagger
from edgespeech.reference.punctuation.printed_text import printed_words
from edgespeech.reference.punctuation.speech import UNKNOWN, Simulation, Speech, Text
from edgespeech.runtime.measure.progress import Progress
from edgespeech.runtime.punctuation.tags import Mark

log = logging.getLogger(__name__)

LENGTHS = (16, 48, 64, 96)  # words of a window
BATCH_WORDS = 3072
PART_WORDS = 1_500_000  # of a text that are spoken at once, which takes 0.2 GB
LEARNING_RATE = 1.5e-3
CASE_WEIGHT = 0.5  # of the cases in the loss
KNOWN_PAUSES = 0.85  # fraction of the text
HESITATION = 0.03  # fraction of pauses that have nothing to do with the mark
WARM_UP = 0.03  # fraction of the time
WEIGHT_DECAY = 0.01
SAVE_SECONDS = 60.0
MIN_WORDS = 1000
SHARED_WORDS = 10  # in a row, of paragraphs that are the same


@dataclass(frozen=True)
class TrainRequest:
    """What ``edgespeech punctuation train`` asks for.

    Attributes:
        texts: Printed texts, a paragraph per line; compressed ones too.
        output: Checkpoint to write, and to continue from.
        held_out: Texts whose paragraphs must not be trained on.
        minutes: CPU time of the training.
        resume: Whether to continue ``output``.
        threads: CPU threads.
        bf16: Whether layers compute in bfloat16, for CPUs with AMX or AVX-512 BF16.
        compact: Whether the result has float16 weights and no state of the optimiser, a sixth of the size.
        seed: Of the weights and the simulated speech.
    """

    texts: Sequence[Path]
    output: Path
    held_out: Sequence[Path] = ()
    minutes: float = 20.0
    resume: bool = False
    threads: int = 1
    bf16: bool = False
    compact: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.minutes > 0.0:
            raise ConfigError(f"{self.minutes:g} minutes of training; wanted more than 0")


@dataclass(frozen=True)
class Summary:
    """Words of the texts, words that the training has seen, and its last mean loss."""

    words: int
    words_seen: int
    loss: float


def read_text(paths: Sequence[Path], held_out: Sequence[Path] = ()) -> Text:
    """Read printed texts without the paragraphs that share ten words in a row with those held out.

    Raises:
        LanguageModelError: A text cannot be read.
        ConfigError: There are too few words.
    """
    held = frozenset(run for path in held_out for line in read_lines(path) for run in _runs(line))
    lines = (line for path in paths for line in read_lines(path))
    kept = (line for line in lines if not held or held.isdisjoint(_runs(line)))
    text = Text.of(run for line in kept for run in printed_words(line))
    if len(text) < MIN_WORDS or not (text.marks > Mark.NONE).any():
        names = ", ".join(path.name for path in paths)
        raise ConfigError(
            f"{names}: {len(text)} words with {int((text.marks > Mark.NONE).sum())} marks; wanted printed text with "
            f"capitals and punctuation, {MIN_WORDS} words or more"
        )
    return text


def train_tagger(request: TrainRequest) -> Summary:
    """Train a tagger, saving every minute.

    Raises:
        EdgespeechError: A text or the checkpoint cannot be read or written.
    """
    torch.set_num_threads(request.threads)
    state = load_training(request.output) if request.resume else TrainingState.new(request.seed)
    text = read_text(request.texts, request.held_out)
    model = Tagger(state.shape)
    model.load_state_dict(state.weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    if state.optimizer:
        optimizer.load_state_dict(state.optimizer)
    log.info("%d words, %d parameters", len(text), sum(one.numel() for one in model.parameters()))
    budget, began = request.minutes * 60.0, time.process_time() - state.seconds
    saved = state.seconds
    loss = state.loss
    model.train()
    with Progress("training the tagger", total=100) as progress:
        for batch in _batches(text, seed=request.seed + state.words_seen):
            elapsed = time.process_time() - began
            if elapsed >= budget:
                break
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * _schedule(elapsed / budget)
            value = _step(model, optimizer, batch, request.bf16)
            loss = value if not loss else 0.98 * loss + 0.02 * value
            state = state.advanced(model, optimizer, elapsed, batch[1].numel(), loss)
            if elapsed - saved >= SAVE_SECONDS:
                saved = elapsed
                save_training(state, request.output)
                log.info("%.0f s: %d words, loss %.4f", elapsed, state.words_seen, loss)
            progress.update(int(100 * elapsed / budget), 100)
    save_training(state.compact() if request.compact else state, request.output)
    return Summary(len(text), state.words_seen, loss)


def _runs(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the runs of ten words of a paragraph, or all its words if it has fewer."""
    words = [one.word for run in printed_words(line) for one in run]
    return (tuple(words[start : start + SHARED_WORDS]) for start in range(max(1, len(words) - SHARED_WORDS + 1)))


def _schedule(fraction: float) -> float:
    """Return the factor of the learning rate: a short rise, then a straight fall to zero."""
    return fraction / WARM_UP if fraction < WARM_UP else max(0.0, 1.0 - fraction) / (1.0 - WARM_UP)


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor, Tensor], bf16: bool
) -> float:
    features, marks, cases = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        scores = model(features).float()
    loss = functional.cross_entropy(scores[..., : len(Mark)].flatten(0, 1), marks.flatten(), ignore_index=UNKNOWN)
    loss = loss + CASE_WEIGHT * functional.cross_entropy(
        scores[..., len(Mark) :].flatten(0, 1), cases.flatten(), ignore_index=UNKNOWN
    )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _batches(text: Text, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield windows of speech without end, each of which ends where a segment does."""
    simulation, random = Simulation(text, seed), np.random.default_rng(seed)
    borders = np.linspace(0, len(text), 1 + -(-len(text) // PART_WORDS), dtype=int).tolist()
    parts = list(itertools.pairwise(borders))
    while True:
        for index in random.permutation(len(parts)).tolist():
            speech = simulation.speak(KNOWN_PAUSES, HESITATION, part=text.part(*parts[index]))
            for _ in range(max(1, len(speech) // BATCH_WORDS)):
                yield _windows(speech, int(random.choice(LENGTHS)), random)


def _windows(speech: Speech, length: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    ends = speech.ends[speech.ends >= length - 1]
    chosen = random.choice(ends, size=max(1, BATCH_WORDS // length))
    indices = chosen[:, None] + np.arange(1 - length, 1)
    return (
        torch.from_numpy(speech.features[indices]),
        torch.from_numpy(speech.marks[indices]),
        torch.from_numpy(speech.cases[indices]),
    )
