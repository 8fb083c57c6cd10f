"""Two processes with half the batch each are one process with all of it.

Losses and gradients are equal to 1e-5 for CrossKD as it is, plain mimicking and PKD: counts, sums
and statistics that they divide by are those of all processes. Of the detection losses, mmdet's own
averages the count of positives over processes for all heads here but RetinaNet, whose
``loss_cls`` and ``loss_bbox`` are divided by the process's own; so there only what is distilled can
be compared. Weights and images are in float64, which leaves the arithmetic to be seen.
"""

import runpy
from pathlib import Path

import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

by_image = runpy.run_path(str(Path(__file__).with_name("two_processes.py")))["by_image"]
STOCK_IS_LOCAL = {"retinanet"}
CASES = [  # student, teacher, methods
    ("gfl", "gfl", [CrossKD()]),
    ("gfl", "gfl", [CrossKD(align="none", region="everywhere"), PredictionMimicking(), PKD()]),
    ("retinanet", "retinanet", [CrossKD(), PredictionMimicking()]),
    ("fcos", "fcos", [CrossKD(), PredictionMimicking()]),
    ("atss", "atss", [CrossKD(), PredictionMimicking()]),
    ("gfl", "retinanet", [CrossKD(align="conv"), PredictionMimicking()]),
    ("tood", "tood", [CrossKD(), PredictionMimicking()]),
    ("yolox", "yolox", [CrossKD(), PredictionMimicking()]),
]


def test_two_halves_are_one_whole(detector, batch, in_halves):
    images, samples = batch
    jobs = [
        dict(
            student=detector(student, seed=1).double(),
            teacher=detector(teacher, seed=2).double(),
            images=images.double(),
            samples=samples,
            methods=methods,
            distilled_only=student in STOCK_IS_LOCAL,
        )
        for student, teacher, methods in CASES
    ]
    for job, half, (student, teacher, _) in zip(jobs, in_halves(jobs), CASES, strict=True):
        compare(job, half, f"{student} from {teacher}")


def compare(job, half, case):
    """Check that one process's losses and gradients are those of two."""
    pair = Pair(by_image(job["student"]), job["teacher"])
    torch.manual_seed(0)  # of what the methods learn
    distiller = Distiller(pair=pair, methods=job["methods"]).double()
    losses = distiller.loss(job["images"], job["samples"])
    if job["distilled_only"]:
        losses = {name: value for name, value in losses.items() if "kd" in name}
    total, losses = distiller.parse_losses(losses)
    total.backward()
    assert losses.keys() == half["losses"].keys() and len(losses) > 2
    for name, value in losses.items():
        torch.testing.assert_close(half["losses"][name], value, rtol=1e-5, atol=0, msg=name)
    whole = {n: p.grad for n, p in distiller.named_parameters() if p.grad is not None}
    unused = half["grads"].keys() - whole.keys()
    assert not any(half["grads"][name].any() for name in unused)
    ours, theirs = (torch.cat([g[n].flatten() for n in whole]) for g in (whole, half["grads"]))
    assert (ours - theirs).norm() <= 1e-5 * ours.norm(), case
