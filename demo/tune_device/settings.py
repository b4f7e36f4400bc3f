"""Stores the settings that `tune-device` found, for this user, kind of machine and bundle."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from edgespeech.demo.machine.device import identify_device
from edgespeech.demo.machine.host import Host, no_tools
from edgespeech.errors import BundleError, UsageError
from edgespeech.runtime.acoustic_model import available_providers
from edgespeech.runtime.bundle import MANIFEST, Bundle, describe_file, load_bundle
from edgespeech.runtime.files import replacing
from edgespeech.runtime.options import RecognizerRequest
from edgespeech.runtime.storage.temporaries import exclusive

log = logging.getLogger(__name__)

FILE_NAME = "devices.json"


class DeviceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The best settings for a bundle on a device.

    Attributes:
        bundle: Folder of another form or precision to use instead; None for the bundle itself.
        bundle_sha256: `bundle_id` of the bundle to use.
        rtf: Measured real-time factor.
        latency_ms: Chunk, look-ahead and the 98th percentile of the processing time.
        wer: Word error rate as a fraction.
        made: Date and time of the measurement.
    """

    bundle: str | None
    bundle_sha256: str
    provider: str
    threads: int
    chunk_ms: float
    beam_width: int
    rtf: float
    latency_ms: float
    wer: float
    made: str

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = "" if self.bundle is None else f"bundle {self.bundle}, "
        return f"{where}{self.provider}, {threads}, chunk {self.chunk_ms:g} ms, beam {self.beam_width}"


def settings_file() -> Path:
    """Return the file of the settings, below ``XDG_CONFIG_HOME`` or the system's equivalent."""
    return Path(click.get_app_dir("edgespeech")) / FILE_NAME


def bundle_id(bundle: Bundle) -> str:
    """Return the SHA-256 of a bundle's manifest, which holds the hashes of its files."""
    return describe_file(bundle.folder / MANIFEST).sha256


def remember(bundle: Bundle, settings: DeviceSettings) -> Path:
    """Store settings for a bundle on this machine.

    Returns:
        The file.

    Raises:
        UsageError: The file cannot be written.
    """
    make_settings_folder()
    path = settings_file()
    with exclusive(path.parent):
        _write(path, {**_read(path), _key(bundle): settings})
    return path


def make_settings_folder() -> None:
    """Create the folder of the settings if it does not exist.

    Raises:
        UsageError: It cannot be created.
    """
    path = settings_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; set XDG_CONFIG_HOME to a folder of yours") from None


def recall(bundle: Bundle) -> DeviceSettings | None:
    """Return the stored settings for a bundle on this machine; None if there are none."""
    return _read(settings_file()).get(_key(bundle))


def forget_settings(bundle: Bundle) -> bool:
    """Delete the stored settings for a bundle; return False if there were none.

    Raises:
        UsageError: The file cannot be written.
    """
    path = settings_file()
    if recall(bundle) is None:
        return False
    with exclusive(path.parent):
        _write(path, {key: settings for key, settings in _read(path).items() if key != _key(bundle)})
    return True


def with_device_settings(request: RecognizerRequest) -> RecognizerRequest:
    """Replace options that were not given on the command line by stored settings.

    Raises:
        BundleError: The bundle is damaged.
    """
    settings = recall(load_bundle(request.bundle))
    if settings is None:
        return request
    reason = _unusable(settings, "bundle" in request.given)
    if reason:
        log.warning("the settings of tune-device are not used: %s", reason)
        return request
    found: dict[str, Any] = {
        "provider": settings.provider,
        "threads": settings.threads,
        "chunk_ms": settings.chunk_ms,
        "beam_width": settings.beam_width,
    }
    kept = sorted(f"--{name.replace('_', '-')}" for name in found.keys() & request.given)
    except_for = f"; {', '.join(kept)} as given" if kept else ""
    log.info("using tune-device's settings for this device: %s%s", settings, except_for)
    bundle = request.bundle if settings.bundle is None else Path(settings.bundle)
    used = {name: value for name, value in found.items() if name not in request.given}
    return replace(request, bundle=bundle, options=replace(request.options, **used))


def _unusable(settings: DeviceSettings, bundle_given: bool) -> str:
    """Return the reason why settings cannot be used; empty if they can."""
    if settings.provider not in available_providers():
        return f"the installed onnxruntime lacks provider {settings.provider}; run `edgespeech tune-device`"
    if settings.bundle is None:
        return ""
    if bundle_given:
        return f"they are for {settings.bundle}, and --bundle was given"
    try:
        same = bundle_id(load_bundle(settings.bundle)) == settings.bundle_sha256
    except BundleError as error:
        return str(error)
    return "" if same else f"{settings.bundle} has changed; run `edgespeech tune-device` again"


def _key(bundle: Bundle) -> str:
    return f"{bundle_id(bundle)} {identify_device(Host(run=no_tools))}"


def _read(path: Path) -> dict[str, DeviceSettings]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, DeviceSettings])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}  # the settings can be measured again


def _write(path: Path, known: dict[str, DeviceSettings]) -> None:
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")
