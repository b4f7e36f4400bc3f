"""One process or many: the part of torchrun that training sees."""

from __future__ import annotations

import os
from types import TracebackType

import torch
from torch import distributed


class Workers:
    """Joins the process group that torchrun describes in the environment; alone without it."""

    def __init__(self) -> None:
        """Read the environment and choose the device."""
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")

    def __enter__(self) -> Workers:
        """Join."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
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
