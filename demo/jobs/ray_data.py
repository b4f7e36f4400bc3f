"""Items processed by the workers of a Ray cluster, through Ray Data, which starts, feeds and restarts them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

from edgespeech.demo.jobs.task import Outcome, Task, attempt
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.dependencies import require

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # for an item whose worker ended
MAX_BLOCKS = 10_000

Item = TypeVar("Item")


class _Begun:
    """The actor that counts how often each item was begun and did not end: Ray itself tries for ever."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def begin(self, index: int) -> int:
        """Return how often this item has been begun, this time included."""
        self._counts[index] += 1
        return self._counts[index]

    def end(self, index: int) -> None:
        del self._counts[index]


class _Worker:
    """The actor of Ray Data; rows are indices, so that items and results may be of any kind."""

    def __init__(self, task: Task[Any], items: Sequence[Any], begun: Any) -> None:
        logging.getLogger("edgespeech").addHandler(logging.NullHandler())
        self._ray: Any = import_module("ray")
        self._items, self._begun = items, begun
        self._work: Callable[[Any], str] | None = None
        self._error = ""
        try:
            self._work = task.open()
        except EdgespeechError as error:  # raised here, it would come with the trace of Ray's own calls
            self._error = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        index = int(row["index"])
        if self._work is None:
            return {"index": index, "result": "", "error": self._error, "opened": False}
        if self._ray.get(self._begun.begin.remote(index)) > MAX_ATTEMPTS:
            outcome = Outcome(index, error=f"its worker ended, {MAX_ATTEMPTS} times")
        else:
            outcome = attempt(self._work, index, self._items[index])
        self._begun.end.remote(index)
        return {"index": index, "result": outcome.result, "error": outcome.error or "", "opened": True}


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
        EdgespeechError: The task cannot be opened.
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
    workers = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
    blocks = min(len(items), MAX_BLOCKS)
    rows = data.from_items([{"index": index} for index in range(len(items))], override_num_blocks=blocks)
    done = rows.map(
        _Worker,
        fn_constructor_args=(task, list(items), ray.remote(num_cpus=0)(_Begun).remote()),
        compute=data.ActorPoolStrategy(size=min(workers, len(items))),
    )
    for row in done.iter_rows():
        if not row["opened"]:
            raise EdgespeechError(row["error"])
        yield Outcome(row["index"], row["result"], row["error"] or None)
