"""What every method adds to a step of the student alone: milliseconds and megabytes, in one run.

    python benchmarks/methods.py [--steps 20] [--batch 16] [--size 160] [--out FILE.csv]

The row "teacher" is a method without losses: the teacher's forward and the taps, which every
method below pays for. Memory on a GPU is the peak that torch allocated; on a CPU it is what the
forward keeps for the backward, counted once a storage. Rounds go through all methods in turn, so
that a machine that slows down slows all of them. Run it while nothing else runs.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch import Tensor

from crosskd_lab.configs import RANDOM, read_config
from crosskd_lab.data.scenes import draw_scene, generator
from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.files import write_whole
from crosskd_lab.methods import METHODS
from crosskd_lab.methods.base import Method
from crosskd_lab.taps import Taps

WARMUP = 3


class Nothing(Method):
    """No losses: what is left is the teacher's forward."""

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        return {}


def batch_of(count: int, size: int) -> dict:
    """A raw batch of scenes as mmdet's pipeline would hand it over."""
    scenes = [draw_scene(generator(0, "train", i), size) for i in range(count)]
    shape = {"img_shape": (size, size), "ori_shape": (size, size), "scale_factor": (1.0, 1.0)}
    samples = []
    for scene in scenes:
        sample = DetDataSample(metainfo=dict(shape))
        boxes = torch.as_tensor(scene.boxes, dtype=torch.float32)
        boxes[:, 2:] += boxes[:, :2]  # from width and height to the far corner
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.as_tensor(scene.labels))
        samples.append(sample)
    images = [torch.from_numpy(scene.image[..., ::-1].copy()).permute(2, 0, 1) for scene in scenes]
    return {"inputs": images, "data_samples": samples}


def model_for(name: str, device: str) -> Distiller:
    """The pocket experiment's model with an untrained teacher: weights do not change the cost.

    "teacher" is the pair without any distillation loss.
    """
    experiment = read_config(f"pocket/{'crosskd' if name == 'teacher' else name}")
    student = read_config(experiment.student).model
    teacher = {"config": experiment.teacher.config, "checkpoint": RANDOM}
    methods = [Nothing()] if name == "teacher" else list(experiment.methods)
    model = Distiller(student, teacher, methods)
    model.init_weights()
    if device == "cpu":
        model.to(memory_format=torch.channels_last)
    return model.to(device).train()


def kept_bytes(model: Distiller, batch: dict) -> int:
    """Bytes that a forward keeps for its backward, each storage once, weights left out."""
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = model(**model.data_preprocessor(batch, True), mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()  # or the taps would keep this graph, and all models' graphs fill the memory
    model.zero_grad(set_to_none=True)
    return sum(kept.values())


def measure(model: Distiller, batch: dict, device: str) -> tuple[float, float]:
    """Milliseconds of one step, and its peak in megabytes on a GPU (0 on a CPU)."""
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    began = time.perf_counter()
    model.train_step(batch, optimiser)
    if device == "cuda":
        torch.cuda.synchronize()
    taken = 1000 * (time.perf_counter() - began)
    if device == "cuda":
        return taken, (torch.cuda.max_memory_allocated() - before) / 2**20
    return taken, 0.0


def compare(device: str, given: Any) -> pd.DataFrame:
    """A row a method: medians over the steps, and what is on top of the student alone."""
    batch = batch_of(given.batch, given.size)
    models = {name: model_for(name, device) for name in ("none", "teacher")}
    models |= {name: model_for(name, device) for name in METHODS}
    kept = {n: kept_bytes(m, batch) / 2**20 for n, m in models.items()}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for _ in range(WARMUP + given.steps):
        for name, model in models.items():
            seen[name].append(measure(model, batch, device))
    rows = []
    for name, steps in seen.items():
        taken, memory = zip(*steps[WARMUP:], strict=True)
        peak = statistics.median(memory) if device == "cuda" else kept[name]
        rows.append((name, device, statistics.median(taken), min(taken), peak))
    frame = pd.DataFrame(rows, columns=["method", "device", "ms", "least_ms", "mb"])
    alone, teacher = frame.iloc[0], frame.iloc[1]
    frame["extra_ms"], frame["extra_mb"] = frame["ms"] - alone["ms"], frame["mb"] - alone["mb"]
    frame["own_ms"], frame["own_mb"] = frame["ms"] - teacher["ms"], frame["mb"] - teacher["mb"]
    return frame.round(2)


def main() -> None:
    """Print one table a device, and write all of them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--out", type=Path, help="CSV, as data/recorded/method_costs.csv is")
    given = parser.parse_args()
    prepare_engine()
    logging.disable(logging.INFO)  # what every initialised weight says of itself
    frames = []
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        frames.append(compare(device, given))
        print(f"{device}: batch {given.batch}, {given.size} px, median of {given.steps} steps")
        print(frames[-1].drop(columns="device").to_string(index=False), flush=True)
    if given.out:
        write_whole(given.out, pd.concat(frames).to_csv(index=False))


if __name__ == "__main__":
    main()
