"""One process or many: the part of torchrun that training sees."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from types import TracebackType

import torch
from torch import distributed

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let the process keep what large tensors leave behind, on Linux.

    Otherwise every step gives it back to the system and asks for it anew, page by page: a third of its time on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


class Workers:
    """Joins the process group that torchrun describes in the environment; alone without it."""

    def __init__(self) -> None:
        """Read the environment and choose the device."""
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        gpu = torch.cuda.is_available()
        if gpu:
            # Ten bits of a sample leave noise in the quiet bins of a spectrum; all else is float16 anyway.
            torch.backends.cudnn.allow_tf32 = False
        else:
            keep_freed_memory()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")

    def __enter__(self) -> Workers:
        """Join."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            # Its functions take the group of the moment as their default. An optimiser imports it; if only after the
            # group is there, its threads outlive `__exit__`, and one that drops a tensor while Python ends aborts.
            importlib.import_module("torch.distributed.nn.functional")
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        if self.world > 1:
            distributed.destroy_process_group()

    def largest(self, value: float) -> float:
        """The largest value that a worker has; all workers must ask together."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        return float(shared)

    def any(self, wish: bool) -> bool:
        """Whether any worker wishes it; all workers must ask together."""
        return self.largest(float(wish)) > 0.0

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.barrier()

    def __str__(self) -> str:
        """For the report."""
        return f"{self.world} worker{'s' if self.world > 1 else ''} on {self.device.type}"
