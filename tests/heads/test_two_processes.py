"""Two processes with half the batch each are one process with all of it, where that can be.

A term is equal to 1e-5 if its normaliser is averaged over processes or does not depend on the
objects, which holds for every term of ATSS and FCOS, and for GFL's with S(r) = 1. It cannot be

- where the authors' code divides by a sum that is local to the process: GFL's regression by the
  teacher's scores, RetinaNet's terms by its own number of positives (as stock mmdet does);
- with ``align="statistics"`` or PKD, whose mean and deviation are those of the process's images.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods import CrossKD
from crosskd_lab.pair import Pair

WORKER = Path(__file__).with_name("two_processes.py")
LOCAL_RETINANET = {"loss_cls", "loss_bbox", "loss_crosskd_cls", "loss_crosskd_reg"}
CASES = [  # family, arguments of CrossKD, terms that cannot be equal
    ("atss", {"align": "none"}, set()),
    ("fcos", {"align": "none"}, set()),
    ("gfl", {"align": "none", "region": "everywhere"}, set()),
    ("gfl", {"align": "none"}, {"loss_crosskd_reg"}),
    ("retinanet", {"align": "none"}, LOCAL_RETINANET),
]


def test_two_halves_are_one_whole(detector, batch, tmp_path):
    images, samples = batch
    jobs = [
        dict(
            student=detector(family, seed=1),
            teacher=detector(family, seed=2),
            images=images,
            samples=samples,
            methods=[CrossKD(**arguments)],
        )
        for family, arguments, _ in CASES
    ]
    torch.save(jobs, tmp_path / "jobs.pt")
    in_halves(tmp_path / "jobs.pt", tmp_path / "out.pt")
    halves = torch.load(tmp_path / "out.pt")
    for job, half, (family, _, differ) in zip(jobs, halves, CASES, strict=True):
        compare(job, half, family, differ)


def in_halves(jobs: Path, out: Path) -> None:
    """Run the jobs in two processes."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", WORKER, jobs, out],
            env={**os.environ, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=200)
        assert worker.returncode == 0, errors[-2000:]


def compare(job: dict[str, Any], half: dict[str, Any], family: str, differ: set[str]) -> None:
    """Check that one process's losses and gradients are those of two, but for ``differ``."""
    distiller = Distiller(pair=Pair(job["student"], job["teacher"]), methods=job["methods"])
    total, losses = distiller.parse_losses(distiller.loss(job["images"], job["samples"]))
    total.backward()
    assert losses.keys() == half["losses"].keys()
    unequal = {
        name
        for name, value in losses.items()
        if not torch.isclose(value, half["losses"][name], rtol=1e-5, atol=1e-6)
    }
    assert unequal - {"loss"} == differ, family  # "loss" is their sum
    if differ:
        return
    whole = {n: p.grad for n, p in distiller.named_parameters() if p.grad is not None}
    unused = half["grads"].keys() - whole.keys()
    assert not any(half["grads"][name].any() for name in unused)
    ours, theirs = (torch.cat([g[n].flatten() for n in whole]) for g in (whole, half["grads"]))
    # float32 sums in another order, carried back through thirty layers
    assert (ours - theirs).norm() <= 3e-5 * ours.norm(), family
