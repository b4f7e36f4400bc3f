"""`edgespeech adapt --text`: a bundle with the words of a text, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.errors import MissingDependencyError
from edgespeech.reference.language_model.build import build_language_model
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.runtime.bundle import LANGUAGE_MODEL, Bundle, load_bundle, write_bundle
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from tests.reference.language_model.test_own_text import GENERAL, ORDERS

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Path:
    """Write the bundle ``base`` with a language model, and texts."""
    folder = tmp_path_factory.mktemp("own-text")
    try:
        find_tool("build_binary")
        find_tool("lmplz")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    general = folder / "general.txt"
    general.write_text("\n".join(GENERAL) + "\n")
    lm = folder / "lm.bin"
    build_language_model(BuildRequest(texts=(general,), output=lm, prune="0", held_out_fraction=0.0))
    write_bundle(
        folder / "base", {**tiny_bundle.paths, LANGUAGE_MODEL: lm},
        lambda entries: msgspec.structs.replace(tiny_bundle.manifest, files=entries, provenance={"name": "tiny"}),
    )  # fmt: skip
    (folder / "mine.txt").write_text("\n".join([*ORDERS, "Drink 2 now"]) + "\n")
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=9)) for _ in range(2000)]
    (folder / "chance.txt").write_text("\n".join(" ".join(words[at : at + 4]) for at in range(0, 2000, 4)) + "\n")
    return folder


def test_the_command_writes_a_bundle_that_knows_the_words(edgespeech: Command, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    outcome = edgespeech("adapt", "--text", folder / "mine.txt", "--bundle", folder / "base", "-o", output)
    assert outcome.code == 0, outcome.err
    assert "the text takes about" in outcome.err and "GB of memory" in outcome.err
    shown = outcome.out
    assert "new words" in shown and "latte" in shown and "lines dropped: unspoken" in shown
    assert "held-out part of the text" in shown and "weight of the text" in shown
    assert shown.rstrip().endswith(str(output))
    before, after = load_bundle(folder / "base"), load_bundle(output)
    assert after.language_model_path is not None and "latte" in LanguageModel(after.language_model_path)
    facts = after.manifest.provenance["own_text"]
    assert facts["words"] == sum(len(line.split()) for line in ORDERS)
    assert facts["perplexity"] < facts["perplexity_before"]
    assert after.manifest.provenance["name"] == "tiny" and after.manifest.decoder == before.manifest.decoder
    unchanged = set(before.manifest.files) - {LANGUAGE_MODEL}
    assert all(after.manifest.files[name] == before.manifest.files[name] for name in unchanged)
    assert edgespeech("verify", output).code == 0


def test_word_errors_are_counted_before_and_after(edgespeech: Command, folder: Path, tmp_path: Path) -> None:
    given = ("--text", folder / "mine.txt", "--bundle", folder / "base", "--dev", SAMPLE_CLIPS, "--markdown")
    outcome = edgespeech("adapt", *given, "--text-weight", "0.5", "-o", tmp_path / "new")
    assert outcome.code == 0, outcome.err
    name = f"{SAMPLE_CLIPS.parent.name}/{SAMPLE_CLIPS.name}"
    rows = {cells[1].strip(): cells[2:] for line in outcome.out.splitlines() if len(cells := line.split("|")) > 2}
    assert rows["weight of the text"][0].strip() == "0.5" and rows[name][0].strip() == "73"


def test_a_bundle_takes_a_text_in_its_own_place(edgespeech: Command, folder: Path, tmp_path: Path) -> None:
    given = ("adapt", "--text", folder / "mine.txt")
    assert edgespeech(*given, "--bundle", folder / "base", "-o", tmp_path / "new").code == 0
    (tmp_path / "more.txt").write_text("\n".join(f"{line} with sprinkles" for line in ORDERS))
    more = ("adapt", "--text", tmp_path / "more.txt", "--bundle", tmp_path / "new", "-o", tmp_path / "new")
    assert edgespeech(*more).code == 2
    assert edgespeech(*more, "--overwrite").code == 0
    model = load_bundle(tmp_path / "new").language_model_path
    assert model is not None and "sprinkles" in LanguageModel(model) and "latte" in LanguageModel(model)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--text", "chance.txt"], 1, "nothing is written; give more text"),
        (["--text", "general.bin"], 2, "general.bin cannot be read"),
        (["--text", "lm.bin"], 2, "lm.bin is not UTF-8 text"),
        (["--text", "base"], 2, "base"),
        (["--text", "mine.txt", "--text-weight", "1"], 2, "the weight of the text is 1"),
        (["--text", "mine.txt", "--minutes", "1"], 2, "--minutes is for a voice; give --speech MANIFEST too"),
        (["--text-weight", "0.5"], 2, "nothing to adapt to; give --speech MANIFEST, --text FILE, or both"),
        ([], 2, "nothing to adapt to"),
    ],
)
def test_what_does_not_help_is_refused_in_one_line(
    edgespeech: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], code: int,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("KENLM_BIN", str(find_tool("lmplz").parent.absolute()))
    monkeypatch.chdir(folder)
    outcome = edgespeech("adapt", *given, "--bundle", "base", "-o", tmp_path / "new")
    assert (outcome.code, outcome.out) == (code, "")
    last = [line for line in outcome.err.splitlines() if line.strip()][-1]
    assert words in last and "Traceback" not in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_bundle_without_a_language_model_is_refused(
    edgespeech: Command, folder: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    outcome = edgespeech("adapt", "--text", folder / "mine.txt", "--bundle", tiny_bundle.folder, "-o", tmp_path / "new")
    assert outcome.code == 2 and "has no language model; build one with 'edgespeech lm build'" in outcome.err


def test_unknown_words_are_listed_by_the_command(edgespeech: Command, folder: Path, tmp_path: Path) -> None:
    given = ("lm", "words", folder / "mine.txt", "--bundle", folder / "base")
    shown = edgespeech(*given, "--boost", "6")
    assert shown.code == 0 and "latte:6\n" in shown.out and "cat" not in shown.out
    written = edgespeech(*given, "-o", tmp_path / "words.txt")
    assert written.out == f"{tmp_path / 'words.txt'}: 10 hot words\n"
    assert "latte:8\n" in (tmp_path / "words.txt").read_text()
