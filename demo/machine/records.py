"""A machine and its conditions during a measurement, as records for reports."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the records in reports on a machine and in benchmarks."""


class Sensor(Record, frozen=True):
    """Temperature in degrees Celsius at the beginning and the end of the measurement, both under load."""

    name: str
    before: float
    after: float


class Jetson(Record, frozen=True):
    """Facts about a Jetson: board, Jetson Linux (L4T) release, its JetPack version, power mode of nvpmodel."""

    model: str
    l4t: str | None
    jetpack: str | None
    power_mode: str | None


class Device(Record, frozen=True):
    """Description of a machine; facts that it does not report are None.

    Attributes:
        cores: Number of cores that this process may use.
        cores_of_machine: Number of all cores.
        memory_mb: Size of the memory, or the limit of a container, in megabytes (1e6 bytes).
        instructions: Those that integer bundles depend on, such as VNNI or dot product; reports from before have none.
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
    instructions: tuple[str, ...] | None = None


class Conditions(Record, frozen=True):
    """Conditions during a measurement.

    Attributes:
        noisy: Whether to measure again on an idle machine; ``notes`` give the reasons.
        others_cpu: Cores that other programs kept busy, on average.
        stolen: Fraction of the CPU time that a hypervisor gave to others.
        mhz_before: Highest core frequency at the beginning, under load.
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
