"""The tagger in onnxruntime: ``step(words, state) -> (tags, state)`` over the words of finals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import BundleError
from edgespeech.runtime.punctuation.features import COLUMNS, SEGMENT_END, features
from edgespeech.runtime.punctuation.tags import OUTPUTS, Case, Mark, Tag

INPUT: Final = "features"  # int64 [words, COLUMNS]
OUTPUT: Final = "scores"  # float32 [words, OUTPUTS]
CONTEXT_WORDS: Final = 32  # of the segments before, which the tagger also reads


@dataclass(frozen=True)
class Context:
    """The last words before a segment, with the classes of the pauses after them."""

    words: tuple[str, ...] = ()
    pauses: tuple[int, ...] = ()


class PunctuationTagger:
    """Decides marks and cases of a segment from its words, its pauses and the words before it.

    Args:
        path: Graph of the bundle.
        onnxruntime: The module, as `import_onnxruntime` returns it.

    Raises:
        BundleError: The graph cannot be loaded, or is not a tagger.
    """

    def __init__(self, path: Path, onnxruntime: Any) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many types
            reason = " ".join(str(error).split())[:160]
            raise BundleError(f"{path} does not load: {reason}; export the bundle again") from None
        inputs = {value.name: value.shape[1:] for value in self._session.get_inputs()}
        outputs = {value.name: value.shape[1:] for value in self._session.get_outputs()}
        if inputs != {INPUT: [COLUMNS]} or outputs != {OUTPUT: [OUTPUTS]}:
            raise BundleError(
                f"{path} has inputs {inputs} and outputs {outputs}; wanted {INPUT} [{COLUMNS}] and "
                f"{OUTPUT} [{OUTPUTS}]: it was made for another version, make it again"
            )

    def initial_state(self) -> Context:
        """Return the state before the first segment."""
        return Context()

    def step(self, words: Sequence[str], pauses: Sequence[int], state: Context) -> tuple[list[Tag], Context]:
        """Decide the tags of a segment.

        Args:
            words: Words of the segment in lower case.
            pauses: Class of the pause after each word; the last one is not asked for.
            state: The words before.

        Returns:
            A tag per word, and the state for the segment behind it.
        """
        if not words:
            return [], state
        read = Context((*state.words, *words), (*state.pauses, *pauses[: len(words) - 1], SEGMENT_END))
        scores = self.scores(read.words, read.pauses)[len(state.words) :]
        marks = scores[:, : len(Mark)].argmax(axis=1)
        cases = scores[:, len(Mark) :].argmax(axis=1)
        tags = [Tag(Mark(mark), Case(case)) for mark, case in zip(marks.tolist(), cases.tolist(), strict=True)]
        return tags, Context(read.words[-CONTEXT_WORDS:], read.pauses[-CONTEXT_WORDS:])

    def scores(self, words: Sequence[str], pauses: Sequence[int]) -> NDArray[np.float32]:
        """Return the scores [words, OUTPUTS] of words and the classes of the pauses after them."""
        found = self._session.run([OUTPUT], {INPUT: features(words, pauses)})[0]
        return np.asarray(found, np.float32)
