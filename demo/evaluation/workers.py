"""Manifests evaluated by several workers: each utterance is transcribed by one, and errors are counted here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgespeech.demo.evaluation.conditions import AcousticsRequest
from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.progress import HoursProgress
from edgespeech.errors import AudioError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance, read_samples
from edgespeech.runtime.measure.evaluation import Evaluation, Hypothesis, recognise, score
from edgespeech.runtime.measure.references import References, log_shorter_recordings
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class EvaluateItem:
    """An utterance, and the index of the condition under which it is transcribed."""

    utterance: Utterance
    condition: int


@dataclass(frozen=True)
class EvaluateTask:
    """What each worker does with an utterance; the results are the JSON of `_Found`.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        options: Options of the recognizer.
        acoustics: The conditions.
    """

    bundle: Path | None
    options: RecognizerOptions
    acoustics: AcousticsRequest

    def open(self) -> Callable[[EvaluateItem], str]:
        """Load the model and the conditions.

        Raises:
            EdgespeechError: The bundle, a setting or a condition is invalid.
        """
        recognizer = Recognizer(load_bundle(self.bundle), self.options)
        conditions = self.acoustics.conditions()

        def evaluate_one(item: EvaluateItem) -> str:
            samples = read_samples(item.utterance, recognizer.sample_rate)
            found = recognise(recognizer, conditions[item.condition], item.utterance, samples)
            return json.dumps(asdict(found) | {"read_seconds": len(samples) / recognizer.sample_rate})

        return evaluate_one


def evaluate_with_workers(task: EvaluateTask, manifests: Sequence[References], engine: Engine) -> list[Evaluation]:
    """Evaluate manifests under all conditions, in the order of `evaluate_bundles` and with the same figures.

    The processing time is the sum over the workers, so the real-time factor is that of one of them.

    Raises:
        AudioError: An utterance cannot be read or transcribed.
        EdgespeechError: The task cannot be opened, or the cluster not be reached.
    """
    conditions = [one.name for one in task.acoustics.conditions()]
    pairs = [(references, index) for references in manifests for index in range(len(conditions))]
    places = [
        (pair, place) for pair, (references, _) in enumerate(pairs) for place in range(len(references.utterances))
    ]
    items = [EvaluateItem(pairs[pair][0].utterances[place], pairs[pair][1]) for pair, place in places]
    found: dict[int, dict[int, Hypothesis]] = defaultdict(dict)
    read: dict[int, dict[int, float]] = defaultdict(dict)
    with HoursProgress(len(items), sum(one.utterance.duration or 0.0 for one in items)) as progress:
        for outcome in engine.run(task, items):
            if outcome.error is not None:
                raise AudioError(outcome.error)
            pair, place = places[outcome.index]
            line = json.loads(outcome.result)
            read[pair][place] = line.pop("read_seconds")
            found[pair][place] = Hypothesis(**line)
            progress.advance(read[pair][place])
    evaluations = []
    for pair, (references, index) in enumerate(pairs):
        order = range(len(references.utterances))
        log_shorter_recordings(references, [read[pair][place] for place in order])
        evaluations.append(score(references, conditions[index], [found[pair][place] for place in order]))
    return evaluations
