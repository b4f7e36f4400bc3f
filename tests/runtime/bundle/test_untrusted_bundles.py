"""Untrusted bundles: descriptions and folders that ask for too much, and graphs whose states grow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import BundleError, LanguageModelError
from edgespeech.runtime import bundle as bundles
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import ACOUSTIC, LANGUAGE_MODEL, MANIFEST, Bundle, describe_file, load_bundle
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.bundle.test_reading import Description, rewrite

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Copy the tiny bundle, so that a test may change it."""
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(folder)
    assert len(str(caught.value).splitlines()) == 1


TOO_MUCH: list[tuple[str, Callable[[Description], object]]] = [
    ("more than 100000 labels", lambda d: d.update(labels=["", *map(str, range(bundles.MAX_LABELS))])),
    ("at most 16777216", lambda d: d["graph"]["states"][0].update(shape=[10**5, 10**5, 10**5])),
    ("more than 8 dimensions", lambda d: d["graph"]["states"][0].update(shape=[1] * 9)),
    ("<= 9007199254740992", lambda d: d["audio"].update(delay_frames=10**18)),
    ("not a valid bundle description", lambda d: d["audio"].update(delay_frames=10**400)),
    ("<= 8192", lambda d: d["decoder"].update(beam_width=10**9)),
    ("or 64 files", lambda d: d["files"].update({f"{n}": d["files"][ACOUSTIC] for n in range(64)})),
    ("not a plain name", lambda d: d["files"].update({"../../etc/hostname": d["files"][ACOUSTIC]})),
    ("not a plain name", lambda d: d["files"].update({"/etc/hostname": d["files"][ACOUSTIC]})),
]


@pytest.mark.parametrize(("words", "change"), TOO_MUCH)
def test_a_description_that_asks_for_too_much_is_refused(
    folder: Path, words: str, change: Callable[[Description], object]
) -> None:
    rewrite(folder, change)
    refused(folder, words)


def test_a_state_that_does_not_begin_with_a_number_is_refused(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"initial": 0.0', '"initial": 1e999', 1))
    refused(folder, "is not a valid bundle description")


def test_a_description_of_any_length_is_not_read_whole(folder: Path) -> None:
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no space
    refused(folder, "has more than 16777216 bytes")


@pytest.mark.parametrize("name", [ACOUSTIC, MANIFEST])
@pytest.mark.parametrize("target", ["/etc/hostname", "../../elsewhere", "a/../../b", "over/there", "round"])
def test_a_link_out_of_the_bundle_is_refused_before_it_is_followed(folder: Path, name: str, target: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(target)
    (folder / "over").symlink_to("/etc")
    (folder / "round").symlink_to("round")
    refused(folder, "is a link out of its bundle, to")


def test_a_link_inside_of_the_bundle_is_followed(folder: Path) -> None:
    (folder / "..1").mkdir()
    (folder / ACOUSTIC).rename(folder / "..1" / ACOUSTIC)
    (folder / "..data").symlink_to("..1")  # as Kubernetes mounts files
    (folder / ACOUSTIC).symlink_to(f"..data/{ACOUSTIC}")
    assert load_bundle(folder).manifest.name == "tiny"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_pipe_instead_of_a_file_is_refused(folder: Path) -> None:
    (folder / ACOUSTIC).unlink()
    os.mkfifo(folder / ACOUSTIC)
    refused(folder, "is missing")


def test_a_language_model_of_another_label_set_is_refused_before_the_graph_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(GOLDEN / "tiny.bin", folder / LANGUAGE_MODEL)
    entry = describe_file(folder / LANGUAGE_MODEL)
    letters = str.maketrans("abcdefghijklmnopqrstuvwxyz", "".join(map(chr, range(0x3B1, 0x3B1 + 26))))

    def greek(description: Description) -> None:
        description["labels"] = [label.translate(letters) for label in description["labels"]]
        description["files"][LANGUAGE_MODEL] = {"bytes": entry.bytes, "sha256": entry.sha256}

    rewrite(folder, greek)
    monkeypatch.setattr("edgespeech.runtime.acoustic_model._open", lambda *_: pytest.fail("the graph was loaded"))
    with pytest.raises(LanguageModelError, match="the labels"):
        Recognizer(load_bundle(folder))


def test_a_state_that_grows_while_it_runs_ends_the_stream(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AcousticModel(tiny_bundle)
    session = model._session

    class Growing:
        def run(self, names: list[str], inputs: dict[str, Any]) -> list[Any]:
            first, second, *others = session.run(names, inputs)
            return [first, np.concatenate([second, second], axis=-1), *others]

    monkeypatch.setattr(model, "_session", Growing())
    with pytest.raises(BundleError, match="changes the size of its state"):
        model.step(np.zeros((1, model.audio.chunk_samples), np.float32), model.initial_state())
