"""Settings that `tune-device` stores, and their use by `live`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.tune_device import settings as device_settings
from edgespeech.demo.tune_device.settings import (
    DeviceSettings,
    bundle_id,
    forget_settings,
    recall,
    remember,
    settings_file,
)
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("click.get_app_dir", lambda name: str(tmp_path / "config" / name))
    return tmp_path / "config"


@pytest.fixture
def wav(tmp_path: Path, noise: Callable[[int], NDArray[np.float32]]) -> Path:
    soundfile.write(tmp_path / "noise.wav", noise(16000), 16000)
    return tmp_path / "noise.wav"


def settings(used: Bundle, **changes: Any) -> DeviceSettings:
    plain: dict[str, Any] = {
        "bundle": None, "bundle_sha256": bundle_id(used), "provider": "cpu", "threads": 2, "chunk_ms": 160.0,
        "beam_width": 8, "rtf": 0.01, "latency_ms": 500.0, "wer": 0.5, "made": "now",
    }  # fmt: skip
    return DeviceSettings(**{**plain, **changes})


def test_settings_are_returned_for_their_bundle_only(config: Path, tiny_bundle: Bundle, cells_bundle: Bundle) -> None:
    assert recall(tiny_bundle) is None
    assert remember(tiny_bundle, settings(tiny_bundle)) == settings_file() == config / "edgespeech" / "devices.json"
    assert recall(tiny_bundle) == settings(tiny_bundle)
    assert recall(cells_bundle) is None
    remember(cells_bundle, settings(cells_bundle))
    assert forget_settings(tiny_bundle) and not forget_settings(tiny_bundle)
    assert recall(tiny_bundle) is None and recall(cells_bundle) is not None


def test_settings_of_another_machine_with_the_same_home_are_not_used(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(tiny_bundle, settings(tiny_bundle))
    monkeypatch.setattr(device_settings, "identify_device", lambda host: "another board 4")
    assert recall(tiny_bundle) is None


def test_a_damaged_file_counts_as_missing(tiny_bundle: Bundle) -> None:
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text("{ not json")
    assert recall(tiny_bundle) is None
    remember(tiny_bundle, settings(tiny_bundle))
    assert recall(tiny_bundle) is not None


def test_a_folder_that_cannot_be_created_is_one_line(config: Path, tiny_bundle: Bundle) -> None:
    config.write_text("a file")
    with pytest.raises(UsageError, match="set XDG_CONFIG_HOME to a folder of yours"):
        remember(tiny_bundle, settings(tiny_bundle))


def live(edgespeech: Command, wav: Path, *arguments: object) -> Any:
    outcome = edgespeech("live", "--replay", wav, "--speed", 0, *arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def test_live_uses_the_settings_and_logs_them(edgespeech: Command, wav: Path, tiny_bundle: Bundle) -> None:
    assert "tune-device" not in live(edgespeech, wav, "--bundle", tiny_bundle.folder).err
    remember(tiny_bundle, settings(tiny_bundle))
    outcome = live(edgespeech, wav, "--bundle", tiny_bundle.folder)
    assert "using tune-device's settings for this device: cpu, 2 threads, chunk 160 ms, beam 8\n" in outcome.err
    plain = live(edgespeech, wav, "--bundle", tiny_bundle.folder, "--threads", 1, "--chunk-ms", 80)
    assert "beam 8; --chunk-ms, --threads as given\n" in plain.err


def test_settings_that_cannot_be_used_are_logged_and_ignored(
    edgespeech: Command, wav: Path, tiny_bundle: Bundle, cells_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(tiny_bundle, settings(tiny_bundle, provider="cuda"))
    gone = live(edgespeech, wav, "--bundle", tiny_bundle.folder)
    assert "are not used: the installed onnxruntime lacks provider cuda" in gone.err
    remember(tiny_bundle, settings(cells_bundle, bundle=str(cells_bundle.folder), chunk_ms=80.0))
    other = live(edgespeech, wav, "--bundle", tiny_bundle.folder)
    assert f"they are for {cells_bundle.folder}, and --bundle was given" in other.err
    monkeypatch.setattr("edgespeech.runtime.bundle.reading.DEFAULT_BUNDLE", tiny_bundle.folder)
    swapped = live(edgespeech, wav)
    assert f"device: bundle {cells_bundle.folder}, cpu" in swapped.err
    remember(tiny_bundle, settings(tiny_bundle, bundle=str(cells_bundle.folder)))
    assert "has changed; run `edgespeech tune-device` again" in live(edgespeech, wav).err
    remember(tiny_bundle, settings(tiny_bundle, bundle="/nonexistent"))
    assert "bundle /nonexistent does not exist" in live(edgespeech, wav).err
