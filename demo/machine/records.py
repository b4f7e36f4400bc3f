"""What a machine is and how it behaved during a measurement, as records that go into reports."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of a report."""


class Sensor(Record, frozen=True):
    """A temperature in degrees Celsius at the beginning and the end of the measurement, both under load."""

    name: str
    before: float
    after: float


class Jetson(Record, frozen=True):
    """A Jetson: board, Jetson Linux (L4T) release, the JetPack it belongs to, power mode of nvpmodel."""

    model: str
    l4t: str | None
    jetpack: str | None
    power_mode: str | None


class Device(Record, frozen=True):
    """The machine; None where it does not tell.

    Attributes:
        cpu: Model.
        cores: Processors that this process may use.
        cores_of_machine: All of them.
        governor: Of the frequency.
        memory_mb: Of the machine, or what a container is limited to.
    """

    cpu: str
    architecture: str
    cores: int
    cores_of_machine: int
    mhz_min: float | None
    mhz_max: float | None
    governor: str | None
    memory_mb: float | None
    os: str
    kernel: str
    board: str | None
    virtual: str | None
    gpus: tuple[str, ...]
    jetson: Jetson | None


class Conditions(Record, frozen=True):
    """How it went while measuring.

    Attributes:
        noisy: Whether the figures should be taken again on a calmer machine; ``notes`` say why.
        others_cpu: Cores that other programs kept busy, on average.
        stolen: Share of the time that a hypervisor gave to others.
        mhz_before: Highest core frequency at the beginning, under load.
        throttled: Whether the machine says that it slowed down.
        power_source: ``mains`` or ``battery``.
    """

    noisy: bool
    notes: tuple[str, ...]
    others_cpu: float | None
    stolen: float | None
    mhz_before: float | None
    mhz_after: float | None
    temperatures: tuple[Sensor, ...]
    throttled: bool | None
    power_source: str | None
