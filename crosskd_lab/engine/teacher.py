"""Shipping a small teacher with what it is worth on scenes nobody has seen, and checking it."""

import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config
from tqdm.auto import tqdm

from ..configs import TEACHERS, config_text, detector_of, read_config
from ..data.scene_sets import write_scenes
from ..errors import LabError
from ..files import sha256, write_whole
from ..stack.checkpoints import read_weights, save_weights
from .evaluate import evaluate, find_saved
from .record import CONFIG, RECORD, read_record

IMAGES, FIRST_SEED = 250, 1000
CONFIDENCE = 0.99
LARGEST = 8 * 2**20  # bytes


@dataclass(frozen=True)
class Verdict:
    """A shipped teacher's AP on one fresh set, and the interval that its record promises."""

    ap: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the AP is in the interval."""
        return self.low <= self.ap <= self.high


def ship(
    run: str | Path, name: str, sets: int = 20, images: int = IMAGES, folder: str | Path = TEACHERS
) -> dict[str, Any]:
    """Put a finished run's detector into ``data/teachers`` in half precision, with its record.

    The record is the run's own, and beside it the file's sha256 and, as ``held_out``, which is
    returned, its AP on ``sets`` (at least 2) sets of so many ``images``: held-out scenes of other
    seeds than any training, measured on the file as shipped. LabError for a run that is not done, a
    name that is taken, or a file above 8 MB.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise LabError(f"{name!r} is no teacher's name: give letters, digits, _ and -")
    folder = Path(folder)
    record, target = read_record(run), folder / f"{name}.safetensors"
    if record["status"] != "done":
        raise LabError(f"{run} is {record['status']}, not done: finish it with --resume first")
    if target.exists():
        raise LabError(f"{target} is there already: choose another --name or remove it")
    found = find_saved(run)
    cfg = detector_of(read_config(found.config))
    if "data" not in cfg:
        raise LabError(f"{run} was trained on mmdet's own schedule: only pocket runs are shipped")
    data = {"root": record["data"]["path"], "size": cfg.data.size, "classes": [*cfg.data.classes]}
    # what it is built, fed and trained with, without its machine's folders
    cfg = Config(
        dict(default_scope="mmdet", data=data, model=cfg.model, schedule=cfg.get("schedule", {}))
    )
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / target.name
        save_weights(read_weights(found.checkpoint), file)
        content = file.read_bytes()
        if len(content) > LARGEST:
            raise LabError(f"{name} takes {len(content) / 2**20:.1f} MB, more than 8: ship less")
        shipped = {"sha256": sha256(file), "bytes": len(content), "precision": "float16"}
        seeds = range(FIRST_SEED, FIRST_SEED + sets)
        rows = [fresh_ap(cfg, file, seed, images) for seed in tqdm(seeds, desc="held-out sets")]
    held_out = {"images": images, "seeds": list(seeds), **summary([row["AP"] for row in rows])}
    write_whole(folder / name / CONFIG, config_text(cfg))
    entries = {**record, "shipped": shipped, "held_out": held_out}
    write_whole(folder / name / RECORD, json.dumps(entries, indent=2) + "\n")
    write_whole(target, content)
    return held_out


def check(
    name: str, seed: int, folder: str | Path = TEACHERS, images: int | None = None
) -> Verdict:
    """Measure a shipped teacher on a set of scenes drawn now, against what its record promises.

    Any ``seed`` that the record does not list is a fresh set. Of n times fewer ``images`` than the
    record's sets have the interval is sqrt(n) times as wide, as for a mean over images; AP is
    nearly that down to some 60 of these scenes, below which it drifts upwards. LabError if there is
    no such teacher, or its file is not the one that was measured.
    """
    folder = Path(folder)
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.safetensors"))) or "none"
        raise LabError(f"there is no shipped teacher {name!r}: {folder} has {known}")
    record = read_record(folder / name)
    if sha256(file) != record["shipped"]["sha256"]:
        raise LabError(f"{file} is not the file of its record: restore it, or ship it again")
    promised = record["held_out"]
    cfg = read_config(folder / name / CONFIG)
    images = images or promised["images"]
    measured = fresh_ap(cfg, file, seed, images)
    wider = math.sqrt(promised["images"] / images)
    reach = wider * (promised["interval"][1] - promised["mean"])
    return Verdict(measured["AP"], promised["mean"] - reach, promised["mean"] + reach)


def fresh_ap(cfg: Config, checkpoint: Path, seed: int, images: int = IMAGES) -> dict[str, float]:
    """AP on held-out scenes that are drawn for this once, of the size that the config names."""
    with TemporaryDirectory() as scratch:
        data = write_scenes(Path(scratch) / "set", cfg.data.size, train=0, val=images, seed=seed)
        return evaluate(cfg, checkpoint, data)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """What AP (points) on a sample of at least 2 sets says of the next one.

    Returns:
        The values, their mean, their sd (n - 1), and the prediction interval
        ``mean ± t(0.995, n - 1) * sd * sqrt(1 + 1/n)`` for the AP of one more set.
    """
    if len(values) < 2:
        raise LabError(f"an interval needs 2 or more sets, got {len(values)}: measure on more")
    from scipy import stats

    count, mean, sd = len(values), statistics.fmean(values), statistics.stdev(values)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sd * math.sqrt(1 + 1 / count)
    interval = [float(mean - reach), float(mean + reach)]
    whole = {"AP": list(values), "mean": mean, "sd": sd}
    return {**whole, "confidence": CONFIDENCE, "interval": interval}
