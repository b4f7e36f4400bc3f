"""Which workers process the items: those of this machine or of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgespeech.demo.jobs.processes import run_in_processes
from edgespeech.demo.jobs.task import Outcome, Task
from edgespeech.errors import UsageError

ENGINES = ("local", "ray")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Engine:
    """Workers that process items.

    Attributes:
        jobs: Number of workers; None for one, and on a Ray cluster for one on each core.
        engine: One of `ENGINES`.
        address: Address of the Ray cluster; None for one that is started on this machine.

    Raises:
        UsageError: An address without Ray.
    """

    jobs: int | None = None
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None and self.engine != "ray":
            raise UsageError(f"--address {self.address} is that of a Ray cluster; give --engine ray too")

    def run(self, task: Task[Item], items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield the outcome of each item as soon as it is known.

        Raises:
            EdgespeechError: The task cannot be opened, or the cluster not be reached.
        """
        if not items:
            return iter(())
        if self.engine == "ray":
            from edgespeech.demo.jobs.ray_data import run_on_ray

            return run_on_ray(task, items, self.jobs, self.address)
        return run_in_processes(task, items, self.jobs or 1)
