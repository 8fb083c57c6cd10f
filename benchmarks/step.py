"""What a training step costs: the stock student alone, CrossKD's reference form, its fast form.

    python benchmarks/step.py --scale pocket|coco [--head gfl] [--batch N] [--precision fp32|bf16]
                              [--device cuda] [--steps 8] [--beside module:factory]
                              [--rows student,reference,eager,fast,fixed]

Times forward, backward and SGD on one batch made in memory, random weights on both sides (nothing
is downloaded). The stock student and the reference run under autocast in bf16; ``eager`` is the
fast form with nothing compiled, ``fixed`` the fast form with shapes that never change, on a GPU one
CUDA graph a step. ``--beside`` times another implementation in the same run:
``factory(batch, size, precision, device)`` returns a function of no arguments that does one step.
Run it while nothing else runs. Ratios are to the first row. With ``--json`` the table is kept.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from crosskd_lab.configs import RANDOM, read_config
from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.fast import quicken
from crosskd_lab.engine.resident import FixedStep, ResidentSet
from crosskd_lab.engine.targets import pad_objects
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.methods.crosskd import CrossKD

Step = Callable[[], Any]

PAPER = {
    "gfl": ("mmdet::gfl/gfl_r50_fpn_1x_coco.py", "mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py"),
    "atss": ("mmdet::atss/atss_r50_fpn_1x_coco.py", "mmdet::atss/atss_r101_fpn_1x_coco.py"),
    "retinanet": (
        "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
        "mmdet::retinanet/retinanet_r101_fpn_1x_coco.py",
    ),
    "fcos": (
        "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
        "mmdet::fcos/fcos_r101-caffe_fpn_gn-head-1x_coco.py",
    ),
}
ROWS = {
    "student": "student alone",
    "reference": "reference CrossKD",
    "eager": "fast, eager",
    "fast": "fast CrossKD",
    "fixed": "fixed shapes",
}
SIZES = {"pocket": (160, 160), "coco": (800, 1344)}
OBJECTS = {"pocket": 4, "coco": 7}  # an image; COCO's mean
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def models(scale: str, head: str) -> tuple[Any, Any]:
    """The ``model`` dicts of student and teacher, starting from nothing."""
    if scale == "pocket":
        pair = (
            read_config(f"pocket/{head}_r18_w16").model,
            read_config(f"pocket/{head}_r18_w32").model,
        )
    else:
        pair = tuple(read_config(name).model for name in PAPER[head])
        if head == "fcos":  # no R101 of this flavour in mmdet: the student's, deeper
            pair = pair[0], read_config(PAPER[head][0]).model
            pair[1].backbone.depth = 101
    for model in pair:
        model.backbone.init_cfg = None
    return pair[0], pair[1]


def batch_of(count: int, size: tuple[int, int], objects: int, device: str) -> tuple[Any, list[Any]]:
    """Images of noise ``(N, 3, H, W)`` and samples with random boxes, as after preprocessing."""
    random = torch.Generator().manual_seed(0)
    edge = torch.tensor(size[::-1], dtype=torch.float32)
    samples = []
    for index in range(count):
        many = max(1, objects + (-2, 0, 2)[index % 3])
        corner = torch.rand(many, 2, generator=random) * edge * 0.7
        extent = (0.05 + 0.25 * torch.rand(many, 2, generator=random)) * edge
        sample = DetDataSample(
            metainfo=dict(img_shape=size, pad_shape=size, batch_input_shape=size, ori_shape=size)
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1),
            labels=torch.randint(3, (many,), generator=random),
        )
        samples.append(sample.to(device))
    return torch.randn(count, 3, *size, generator=random).to(device), samples


def stepper(
    kind: str, given: argparse.Namespace, batch: tuple[Any, list[Any]], device: str
) -> Step:
    """One training step of the stock student, the reference or the fast form."""
    student, teacher = models(given.scale, given.head)
    methods = [] if kind == ROWS["student"] else [CrossKD()]
    torch.manual_seed(0)
    model = Distiller(student, dict(config=teacher, checkpoint=RANDOM), methods)
    model.init_weights()
    if device == "cpu":
        model.to(memory_format=torch.channels_last)
    model = model.to(device).train()
    fast = kind in (ROWS["fast"], ROWS["eager"], ROWS["fixed"])
    if fast:
        quicken(model, given.precision, compiled=kind != ROWS["eager"])
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=1e-4)
    mixed = given.precision == "bf16" and not fast
    context = torch.autocast(device, torch.bfloat16) if mixed else nullcontext()

    if kind == ROWS["fixed"]:
        images, samples = batch
        objects = pad_objects([sample.gt_instances for sample in samples])
        data = ResidentSet(images, objects.boxes, objects.labels, samples[0])
        fixed = FixedStep(model, data, len(images), None)

        def fixed_step() -> Any:
            fixed.fill(images, objects.boxes, objects.labels)
            losses = fixed.forward_and_backward()
            optimiser.step()
            return losses["loss"]

        return fixed_step

    def step() -> Any:
        with context:
            total, _ = model.parse_losses(model.loss(*batch))
        total.backward()
        optimiser.step()
        optimiser.zero_grad()
        return total

    return step


def measure(step: Step, steps: int, device: str) -> dict[str, Any]:
    """Milliseconds of each step after three to warm up; on a GPU also memory and launches."""
    cuda = device != "cpu"

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    began = time.perf_counter()
    step()
    wait()
    first = time.perf_counter() - began
    print(f"  first step {first:.1f} s", file=sys.stderr, flush=True)
    for _ in range(2):
        step()
    wait()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(steps):
        began = time.perf_counter()
        loss = step()
        wait()
        taken.append(1000 * (time.perf_counter() - began))
    found = {
        "ms": statistics.median(taken),
        "min": min(taken),
        "max": max(taken),
        "first_s": first,
        "loss": float(loss.detach()) if isinstance(loss, torch.Tensor) else None,
    }
    return found | (counts(step) if cuda else {})


def counts(step: Step) -> dict[str, Any]:
    """Peak memory in GiB, kernels launched, waits of the host, and a profile of one step."""
    memory = torch.cuda.max_memory_allocated() / 2**30
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        step()
    averages = profile.key_averages()
    seen = {event.key: event.count for event in averages}
    launches = sum(n for name, n in seen.items() if "LaunchKernel" in name)
    items = seen.get("aten::_local_scalar_dense", 0), seen.get("aten::nonzero", 0)
    waits = sum(seen.get(name, 0) for name in WAITS)  # one is the profiler's own
    found = {"peak_gib": memory, "launches": launches, "waits": waits, "items": sum(items)}
    return found | {"profile": averages.table("self_cuda_time_total", row_limit=45)}


def line(name: str, found: dict[str, Any], alone: float) -> str:
    """One row of the table."""
    text = f"{name:<20} {found['ms']:8.1f} ms ({found['min']:.1f}-{found['max']:.1f})"
    text += f"  x {found['ms'] / alone:.2f}"
    if "peak_gib" in found:
        text += f"  {found['peak_gib']:6.2f} GiB  {found['launches']:6d} launches"
        text += f"  {found['waits']:4d} waits  {found['items']:4d} items"
    return text + f"  first step {found['first_s']:.1f} s"


def main() -> None:
    """Print one table, write one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SIZES, default="pocket")
    parser.add_argument("--head", choices=PAPER, default="gfl")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument(
        "--rows", default="student,reference,fast,fixed", help="which, in this order"
    )
    parser.add_argument("--beside", default=None, help="module:factory")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--profile", type=Path, default=None, help="a file for GPU's profiles")
    given = parser.parse_args()
    prepare_engine()
    logging.disable(logging.INFO)  # what every initialised weight says of itself
    device, size = given.device, SIZES[given.scale]
    batch = batch_of(given.batch, size, OBJECTS[given.scale], device)
    where = (
        torch.cuda.get_device_name()
        if device != "cpu"
        else (f"CPU, {torch.get_num_threads()} threads")
    )
    title = f"{given.head}, {given.scale}, batch {given.batch}, {given.precision}"
    print(f"{title}, torch {torch.__version__}, {where}", flush=True)
    makers: dict[str, Callable[[], Step]] = {
        kind: lambda kind=kind: stepper(kind, given, batch, device)  # type: ignore[misc]
        for kind in (ROWS[row] for row in given.rows.split(","))
    }
    if given.beside:
        module, _, factory = given.beside.partition(":")
        beside = getattr(importlib.import_module(module), factory)
        makers[given.beside] = lambda: beside(batch, size, given.precision, device)
    rows: dict[str, dict[str, Any]] = {}
    profiles = ""
    for name, make in makers.items():
        rows[name] = measure(make(), given.steps, device)
        profiles += f"{name}\n{rows[name].pop('profile', '')}\n"
        print(line(name, rows[name], next(iter(rows.values()))["ms"]), flush=True)
        gc.collect()
        if device != "cpu":
            torch.cuda.empty_cache()
    if given.profile:
        given.profile.write_text(profiles)
    if given.json:
        told = {"of": title, "on": where, "torch": torch.__version__, "steps": given.steps}
        given.json.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
