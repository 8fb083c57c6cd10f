"""Milliseconds of a training step: the student alone, KD, CrossKD, CrossKD+PKD, and the ratios.

    python benchmarks/step.py [--steps 20] [--batch 16] [--size 160]

Times forward, backward and optimiser on batches made in memory, on the CPU and, where there is
one, on the GPU. Run it while nothing else runs. The bar: CrossKD <= 200 ms on two cores.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData

from crosskd_lab.configs import RANDOM, read_config
from crosskd_lab.distiller import Distiller
from crosskd_lab.scenes import draw_scene, generator
from crosskd_lab.training import prepare_engine

EXPERIMENTS = ("none", "kd", "crosskd", "crosskd_pkd")


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
    """The pocket experiment's model with an untrained teacher: weights do not change the cost."""
    experiment: Config = read_config(f"pocket/{name}")
    student = read_config(experiment.student).model
    teacher = {"config": experiment.teacher.config, "checkpoint": RANDOM}
    model = Distiller(student, teacher, list(experiment.methods))
    model.init_weights()
    if device == "cpu":
        model.to(memory_format=torch.channels_last)
    return model.to(device).train()


def step_times(model: Distiller, batch: dict, steps: int, device: str) -> list[float]:
    """Milliseconds of each step after three to warm up."""
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9))
    taken = []
    for _ in range(steps + 3):
        began = time.perf_counter()
        model.train_step(batch, optimiser)
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(1000 * (time.perf_counter() - began))
    return taken[3:]


def main() -> None:
    """Print one table a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=160)
    given = parser.parse_args()
    prepare_engine()
    logging.disable(logging.INFO)  # what every initialised weight says of itself
    batch = batch_of(given.batch, given.size)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
        print(f"{device}{threads}: batch {given.batch}, {given.size} px, {given.steps} steps")
        alone = None
        for name in EXPERIMENTS:
            times = step_times(model_for(name, device), batch, given.steps, device)
            median = statistics.median(times)
            alone = alone or median
            low, high = min(times), max(times)
            print(
                f"  {name:<12} {median:7.1f} ms (min {low:.1f}, max {high:.1f})"
                f"  x {median / alone:.2f} of the student alone"
            )


if __name__ == "__main__":
    main()
