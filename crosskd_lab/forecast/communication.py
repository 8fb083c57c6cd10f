"""What agreeing on the gradients costs a step: a ring all-reduce, partly hidden by the backward.

The ring is that of Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
workstations" (2009): every process sends and receives 2 (n - 1) / n of the gradients. Buckets and
their overlap with the backward are those of PyTorch's DistributedDataParallel (Li et al., VLDB
2020). What is left out, and when it matters, is in docs/plan.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import LabError

FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes of DistributedDataParallel's first bucket, and of each that follows."""


@dataclass(frozen=True)
class Link:
    """What is assumed of the machines.

    Attributes:
        bandwidth: Between GPUs of one machine, bytes a second each way.
        between: Between machines, bytes a second each way. A ring is as fast as its slowest link.
        latency: Seconds that a bucket takes beside its bytes.
        overlap: Share of the communication that the backward hides, 0 to 1.
        machine: GPUs a machine.

    Raises:
        LabError: for a bandwidth that is not positive, or a share outside 0 to 1.
    """

    bandwidth: float = 20e9
    between: float = 5e9
    latency: float = 1e-4
    overlap: float = 0.5
    machine: int = 8

    def __post_init__(self) -> None:
        if not (self.bandwidth > 0 and self.between > 0 and self.latency >= 0):
            raise LabError("--bandwidth and --between must be positive, --latency at least 0")
        if not 0 <= self.overlap <= 1:
            raise LabError(f"--overlap is a share from 0 to 1, got {self.overlap:g}")
        if self.machine < 1:
            raise LabError("--machine must be at least 1: it counts the GPUs of one machine")

    def slowest(self, gpus: int) -> float:
        """Bytes a second of the slowest link that a ring of this many GPUs has."""
        return self.bandwidth if gpus <= self.machine else min(self.bandwidth, self.between)


def bucket_count(gradient: float) -> int:
    """Into how many buckets DistributedDataParallel cuts so many bytes of gradients."""
    return 1 + max(0, math.ceil((gradient - FIRST_BUCKET) / BUCKET))


def ring_seconds(
    gradient: float, gpus: int, bandwidth: float, buckets: int, latency: float
) -> float:
    """Seconds of one ring all-reduce of all gradients; 0 for one GPU.

    Args:
        gradient: Bytes of the gradients.
        gpus: n, the processes in the ring.
        bandwidth: Of its slowest link, bytes a second each way.
        buckets: Into how many pieces the gradients are cut.
        latency: Seconds a bucket takes beside its bytes.
    """
    if gpus < 2:
        return 0.0
    return 2 * (gpus - 1) / gpus * gradient / bandwidth + buckets * latency


def exposed_seconds(communication: float, overlap: float, backward: float | None = None) -> float:
    """The part of the communication that a step waits for.

    Args:
        communication: Seconds of it.
        overlap: Share that the backward hides.
        backward: Seconds of the backward, which cannot hide more than itself; None where unknown.
    """
    hidden = overlap * communication
    return communication - (hidden if backward is None else min(hidden, backward))
