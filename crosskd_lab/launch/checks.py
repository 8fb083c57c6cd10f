"""What is refused before anything starts: each check one line that names the remedy."""

from __future__ import annotations

import math
import random
import re
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import LabError
from ..fetch.weights import load_checkpoint

COPIES = 4  # two checkpoints kept, one being written, one spare
PER_WEIGHT = 12  # bytes: the weight and two moments of the optimiser, in float32


def check_gpus(wanted: int, available: int) -> None:
    """Raise LabError where fewer GPUs are there than asked for."""
    if wanted > available:
        there = f"{available} GPU{'s' if available != 1 else ''}"
        instead = f"--gpus {available}" if available else "--gpus 0 --processes 2, on the CPU"
        raise LabError(
            f"{wanted} GPUs were asked for and this machine has {there}: say {instead}, or "
            "--slurm PARTITION to ask a cluster"
        )


def check_port(port: int) -> None:
    """Raise LabError where there is no such port, or another process listens on it."""
    if not 0 < port < 2**16:
        raise LabError(f"--port {port}: ports are 1 to 65535; leave --port out, or choose one")
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            raise LabError(
                f"port {port} is taken by another process: leave --port out, or choose another"
            ) from error


def free_port() -> int:
    """A port that nobody listens on here, below those that the system hands out by itself."""
    ports = list(range(20000, 30000))
    random.SystemRandom().shuffle(ports)
    for port in ports:
        with suppress(LabError):
            check_port(port)
            return port
    raise LabError("no port from 20000 to 30000 is free: choose another with --port")


def minutes(time: str) -> int:
    """A time in SLURM's words, such as ``90``, ``12:00:00`` or ``2-12``, in minutes.

    Raises:
        LabError: for anything else.
    """
    part = "([0-9]{1,5})"
    found = re.fullmatch(f"(?:{part}-)?{part}(?::{part})?(?::{part})?", time.strip())
    if not found:
        raise LabError(f"--time {time}: say minutes, hours:minutes:seconds, or days-hours")
    days, *rest = found.groups()
    counted = [int(number) for number in rest if number]
    if days is None and len(counted) < 3:
        counted = [0, *counted]
    hours, most, seconds = (*counted, 0, 0)[:3]
    return max(1, math.ceil((24 * int(days or 0) + hours) * 60 + most + seconds / 60))


def check_space(folder: Path, weights: int) -> None:
    """Raise LabError where the disk cannot hold the run's checkpoints.

    Args:
        folder: The run's folder; it need not exist.
        weights: Number of weights that train.
    """
    needed = COPIES * PER_WEIGHT * weights + 64 * 2**20
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if (free := shutil.disk_usage(there).free) < needed:
        raise LabError(
            f"{there} has {free / 2**30:.2f} GB free and the run needs about "
            f"{needed / 2**30:.2f} GB for its checkpoints: free some, or choose another --out"
        )


def check_data(cfg: Config) -> None:
    """Raise LabError where a data set that the config names is not there."""
    for split in ("train_dataloader", "val_dataloader"):
        dataset: Any = (cfg.get(split) or {}).get("dataset", {})
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        root, file = dataset.get("data_root") or "", dataset.get("ann_file")
        if file and not (path := Path(root) / file).is_file():
            raise LabError(
                f"the data set is missing: there is no {path}; 'crosskd-lab data coco' downloads "
                "COCO, --data names a folder of your own"
            )


def addresses(cfg: Config) -> list[str]:
    """Checkpoints that the first step needs and that are named by an address or a zoo's name."""

    def named(node: Any) -> Iterator[str]:
        if isinstance(node, Mapping):
            yield str(node.get("checkpoint"))
        if isinstance(node, (Mapping, list, tuple)):
            for part in node.values() if isinstance(node, Mapping) else node:
                yield from named(part)

    student = cfg.model.get("student", cfg.model)
    return sorted({name for name in (*named(student), str(cfg.get("load_from"))) if "://" in name})


def check_weights(names: Iterable[str]) -> None:
    """Read checkpoints, which fetches those that are not here: other machines may be offline.

    Raises:
        LabError: naming the address, and where its file may be put by hand.
    """
    for name in names:
        try:
            load_checkpoint(name, "cpu")
        except LabError as error:
            raise LabError(f"the run begins with {name}; {error}") from error


def scales(cfg: Config, processes: int, gpus: int) -> bool:
    """Whether the rate follows the batch: among several processes, or on any GPU.

    A run of one CPU process is as its config says; so is one whose config names no base batch.
    """
    base = cfg.get("auto_scale_lr", {}).get("base_batch_size")
    return bool(base) and (processes > 1 or gpus > 0)


def rate(cfg: Config, processes: int, gpus: int = 0) -> tuple[int, float]:
    """Images a step and the learning rate at that batch, by the linear rule of auto_scale_lr.

    Args:
        cfg: A completed config.
        processes: In all, over all machines.
        gpus: A machine.

    Returns:
        The batch, and the rate that mmengine will use.
    """
    batch = int(cfg.train_dataloader.batch_size) * processes
    given = float(cfg.optim_wrapper.optimizer.lr)
    if not scales(cfg, processes, gpus):
        return batch, given
    return batch, given * batch / int(cfg.auto_scale_lr.base_batch_size)
