"""Training a tagger: it learns a rule, continues, leaves held-out text alone, and its graph computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.export.punctuation_graph import export_tagger
from edgespeech.reference.punctuation import training
from edgespeech.reference.punctuation.checkpoint import load_training, tagger_of
from edgespeech.reference.punctuation.model import Layer, Tagger, TaggerShape
from edgespeech.reference.punctuation.printed_text import printed_words
from edgespeech.reference.punctuation.speech import NO_ERRORS, UNKNOWN, Simulation, Speech, Text
from edgespeech.reference.punctuation.training import TrainRequest, read_text, train_tagger
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.graph.limits import check_graph
from edgespeech.runtime.punctuation.features import COLUMNS, FIRST_PAUSE_ROW, SEGMENT_END
from edgespeech.runtime.punctuation.tagger import PunctuationTagger
from edgespeech.runtime.punctuation.tags import Mark

MAX_BYTES = 2_000_000


def lines(count: int) -> list[str]:
    random = np.random.default_rng(0)
    names = [f"{letter}ra" for letter in "BCDFGKLMNP"]
    whole = []
    for _ in range(count):
        one, other = random.choice(names, 2)
        whole.append(f"So {one} came to the house, and who was there? It was {other} with a dog. Then they went on.")
    return whole


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines(80)), encoding="utf-8")
    return path


def test_speech_has_the_words_marks_and_ends_of_the_text() -> None:
    text = Text.of(run for line in lines(50) for run in printed_words(line))
    speech = Simulation(text, 1, NO_ERRORS).speak()
    assert np.array_equal(speech.words, text.words) and np.array_equal(speech.marks, text.marks)
    assert speech.features.shape == (len(text), COLUMNS)
    assert (speech.features[speech.ends, -1] == FIRST_PAUSE_ROW + SEGMENT_END).all()
    assert (speech.marks[speech.ends] == Mark.PERIOD).mean() > 0.5


def test_simulated_errors_change_words_and_keep_most_marks() -> None:
    text = Text.of(run for line in lines(200) for run in printed_words(line))
    simulation = Simulation(text, 1)
    speech = simulation.speak()
    same = min(len(text), len(speech))
    assert not np.array_equal(speech.words[:same], text.words[:same])
    assert abs(int((speech.marks > 0).sum()) - int((text.marks > 0).sum())) < 0.03 * len(text)
    assert speech.words.max() < len(simulation.forms)
    assert set(np.unique(speech.cases)) <= {UNKNOWN, 0, 1, 2}


def test_a_large_text_is_spoken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PART_WORDS", 500)
    text = Text.of(run for line in lines(200) for run in printed_words(line))
    spoken: list[tuple[int, ...]] = []
    speak = Simulation.speak

    def listen(simulation: Simulation, known: float, hesitation: float, *, part: Text) -> Speech:
        spoken.append(tuple(part.words.tolist()))
        return speak(simulation, known, hesitation, part=part)

    monkeypatch.setattr(Simulation, "speak", listen)
    batches = training._batches(text, 1)
    whole = -(-len(text) // 500)
    while len(spoken) <= whole:
        features, marks, cases = next(batches)
        assert features.shape[:2] == marks.shape == cases.shape
    assert max(map(len, spoken)) <= 500
    found = [index for part in spoken[:whole] for index in part]
    assert sorted(found) == sorted(text.words.tolist()) and spoken[0] != tuple(text.words[:500].tolist())


def test_a_layer_is_a_convolution() -> None:
    torch.manual_seed(0)
    layer = Layer(8, 4)
    x = torch.randn(2, 7, 8)
    wanted = x + torch.relu(layer.convolution(layer.norm(x).transpose(1, 2))).transpose(1, 2)
    torch.testing.assert_close(layer(x), wanted)


def test_a_tagger_learns_is_saved_and_continued(text: Path, tmp_path: Path) -> None:
    path = tmp_path / "tagger.pt"
    first = train_tagger(TrainRequest([text], path, minutes=0.02))
    again = train_tagger(TrainRequest([text], path, minutes=0.1, resume=True))
    assert again.words_seen > first.words_seen and again.loss < first.loss < 5.0
    state = load_training(path)
    assert state.words_seen == again.words_seen
    size = path.stat().st_size
    compact = train_tagger(TrainRequest([text], path, minutes=0.1, resume=True, compact=True))
    assert path.stat().st_size < size / 5 and compact.words_seen >= again.words_seen
    assert load_training(path).weights["scores.weight"].dtype == torch.float16
    assert train_tagger(TrainRequest([text], path, minutes=0.12, resume=True)).loss < first.loss


def test_paragraphs_that_are_held_out_are_not_trained_on(text: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    held.write_text("Before it. Nobody knew on that day why the old ship had left. After it.", encoding="utf-8")
    with text.open("a", encoding="utf-8") as file:
        file.write("\n'Nobody knew on that day why the old ship had left,' he wrote.\n")
    assert len(read_text([text], [held])) == len(read_text([text])) - 13


@pytest.mark.parametrize("content", ["", "only a few words", "no marks at all " * 500])
def test_text_without_marks_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="wanted printed text"):
        read_text([path])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_other_files_are_refused_in_a_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    if content is None:
        torch.save({"format": "something else"}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="edgespeech punctuation train") as error:
        load_training(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("shape", [TaggerShape(), TaggerShape(8, 16, (1, 3))])
def test_the_graph_is_small_allowed_and_computes_what_torch_does(shape: TaggerShape, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "punctuation.onnx"
    path.write_bytes(export_tagger(Tagger(shape).eval()))  # compares the two itself
    check_graph(path, {}, {})
    assert path.stat().st_size < MAX_BYTES
    tagger = PunctuationTagger(path, import_onnxruntime())
    tags, state = tagger.step("is it you".split(), [1, 2, 3], tagger.initial_state())
    assert len(tags) == 3 and state.words == ("is", "it", "you")
    assert tagger_of(load_training_of(shape, tmp_path)).shape == shape


def load_training_of(shape: TaggerShape, folder: Path):  # type: ignore[no-untyped-def]
    from edgespeech.reference.punctuation.checkpoint import TrainingState, save_training

    save_training(TrainingState(shape, Tagger(shape).state_dict()), folder / "saved.pt")
    return load_training(folder / "saved.pt")
