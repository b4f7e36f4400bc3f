"""Items processed by the workers of a Ray cluster, through Ray Data, which starts, feeds and restarts them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

from edgespeech.demo.jobs.task import Outcome, Task, attempt
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

log = logging.getLogger(__name__)

MAX_RETRIES = 3  # of a block whose worker ended
MAX_BLOCKS = 10_000

Item = TypeVar("Item")


class _Worker:
    """The actor of Ray Data; rows are indices, so that items and results may be of any kind."""

    def __init__(self, task: Task[Any], items: Sequence[Any]) -> None:
        logging.getLogger("edgespeech").addHandler(logging.NullHandler())
        self._work, self._items = task.open(), items

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        index = int(row["index"])
        outcome = attempt(self._work, index, self._items[index])
        return {"index": index, "result": outcome.result, "error": outcome.error or ""}


def run_on_ray(task: Task[Item], items: Sequence[Item], jobs: int | None, address: str | None) -> Iterator[Outcome]:
    """Yield the outcome of each item as soon as it is known, in any order.

    Args:
        task: Opened once by each worker. The package, and the files that the task reads, must be there too.
        items: The items, each of which is pickled.
        jobs: Number of workers; None for one on each core of the cluster.
        address: Address of the cluster, such as ``ray://host:10001`` or ``auto``; None for one on this machine.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: No cluster answers at the address.
    """
    require("ray pyarrow", "ray")
    ray: Any = import_module("ray")

    began = not ray.is_initialized()
    if began:
        _connect(ray, address)
    try:
        yield from _run(ray, task, items, jobs)
    finally:
        if began:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    here = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ImportError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"no Ray cluster at {address or 'this machine'} ({reason}); correct --address") from None


def _run(ray: Any, task: Task[Item], items: Sequence[Item], jobs: int | None) -> Iterator[Outcome]:
    data: Any = import_module("ray.data")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    for name in ("ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context.max_errored_blocks = -1  # an item that ends its worker each time is lost, and no other one
    workers = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
    blocks = min(len(items), MAX_BLOCKS)
    rows = data.from_items([{"index": index} for index in range(len(items))], override_num_blocks=blocks)
    done = rows.map(
        _Worker,
        fn_constructor_args=(task, list(items)),
        compute=data.ActorPoolStrategy(size=min(workers, len(items))),
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": MAX_RETRIES},
    )
    missing = set(range(len(items)))
    for row in done.iter_rows():
        missing.discard(row["index"])
        yield Outcome(row["index"], row["result"], row["error"] or None)
    for index in sorted(missing):
        yield Outcome(index, error=f"its worker ended, {MAX_RETRIES + 1} times")
