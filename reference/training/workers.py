"""One training process, or many under torchrun: their process group, their device, and which of them logs."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import sys
from types import TracebackType

import torch
from torch import distributed

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc's allocator on Linux keep the memory of freed tensors.

    Otherwise every step returns it to the system and requests it again, page by page: a third of its time on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def worker_rank() -> int:
    """Return the rank of this process under torchrun; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def in_first_worker(_: logging.LogRecord) -> bool:
    """Filter log records so that every message of a run appears once, from the worker of rank 0."""
    return worker_rank() == 0


class Workers:
    """Joins the process group that torchrun describes in the environment; without torchrun it is a single process."""

    def __init__(self) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = worker_rank()
        gpu = torch.cuda.is_available()
        if gpu:
            # Ten bits of a sample leave noise in the quiet bins of a spectrum; the rest runs in float16 anyway.
            torch.backends.cudnn.allow_tf32 = False
        else:
            keep_freed_memory()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """Whether this worker evaluates, saves and logs."""
        return self.rank == 0

    def __enter__(self) -> Workers:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            # The default arguments of this module's functions are the current group. An optimiser imports it; if that
            # happens only once the group exists, its threads outlive `__exit__`, and one that frees a tensor while
            # Python exits aborts.
            importlib.import_module("torch.distributed.nn.functional")
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world > 1:
            distributed.destroy_process_group()

    def max(self, value: float) -> float:
        """Return the maximum over the workers; all workers must call it together."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        return float(shared)

    def any(self, value: bool) -> bool:
        """Return whether the value is true on any worker; all workers must call it together."""
        return self.max(float(value)) > 0.0

    def wait(self) -> None:
        """Wait until all workers have called this."""
        if self.world > 1:
            distributed.barrier()

    def __str__(self) -> str:
        return f"{self.world} worker{'s' if self.world > 1 else ''} on {self.device.type}"
