"""One measured step of a recipe, kept with the machine that it was measured on."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LabError
from ..files import PROJECT, write_whole

STEPS = PROJECT / "data" / "cache" / "steps"
"""Where measurements are kept."""
COCO_IMAGES = 117_266
"""Of COCO's 118,287 training images, those with a box: the paper's epoch."""


@dataclass(frozen=True)
class Work:
    """What a recipe asks for, whatever it runs on.

    Attributes:
        batch: Images a GPU.
        rate: Learning rate that the config names.
        base_batch: Images a step that the rate is for; None where it does not follow the batch.
        images: In an epoch; None where steps are counted.
        epochs: Of the whole run; None where steps are counted.
        steps: Of the whole run where the recipe counts them, whatever the batch.
    """

    batch: int
    rate: float
    base_batch: int | None = None
    images: int | None = None
    epochs: int | None = None
    steps: int | None = None

    def length(self, gpus: int) -> int:
        """Steps of the whole run: the last of an epoch may be a smaller batch."""
        if self.steps:
            return self.steps
        return int(self.epochs or 0) * math.ceil(int(self.images or 0) / (self.batch * gpus))

    def rate_at(self, gpus: int) -> float:
        """The learning rate at that batch, by the linear rule of auto_scale_lr."""
        if not self.base_batch:
            return self.rate
        return self.rate * self.batch * gpus / self.base_batch


@dataclass(frozen=True)
class Measurement:
    """A step on one device: forward, backward and optimiser, on images that are there already.

    Attributes:
        recipe: Its name.
        work: What the recipe asks for.
        step: Seconds, the median.
        backward: Seconds of it that the backward takes; None where unknown.
        gradient: Bytes of the gradients.
        memory: Bytes, NaN where unknown. With ``memory_is`` "peak": the most that torch had
            allocated on a GPU. "kept": weights, gradients, the optimiser's state and what the
            forward keeps for the backward, counted on a CPU; less than a GPU's peak.
        device: The GPU's or CPU's name, or "elsewhere" for a step whose time was given.
        gpu: Whether it is a GPU.
        size: Height and width of the images in pixels.
        threads: Of a CPU.
        steps: How many were measured.
        torch: Its version.
        date: When, UTC.
        settings: What was changed in the recipe.
    """

    recipe: str
    work: Work
    step: float
    backward: float | None
    gradient: int
    memory: float
    memory_is: str
    device: str
    gpu: bool
    size: tuple[int, int]
    threads: int
    steps: int
    torch: str
    date: str
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | Path | None = None) -> Path:
        """Keep it: one file a recipe, its changes, and device; an older one is replaced."""
        folder = STEPS if folder is None else Path(folder)
        changed = json.dumps(self.settings, sort_keys=True, default=str)
        mark = f"-{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if self.settings else ""
        path = folder / f"{_slug(self.recipe)}{mark}.{_slug(self.device)}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=2, default=str) + "\n")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Measurement:
        """A measurement that was written before, here or elsewhere.

        Raises:
            LabError: if there is none, or the file holds something else.
        """
        try:
            said = json.loads(Path(path).read_text("utf-8"))
            work = Work(**said.pop("work"))
            return cls(**{**said, "work": work, "size": tuple(said["size"])})
        except OSError as error:
            raise LabError(f"there is no measurement {path}: 'crosskd-lab plan' makes one") from (
                error
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LabError(
                f"{path} is no measured step ({error}): delete it and measure again"
            ) from error


def newest(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    folder: str | Path | None = None,
) -> Measurement | None:
    """The last measurement of a recipe, None where there is none.

    Args:
        recipe: Its name.
        settings: What was changed in it.
        device: Of this device only; without it, of any GPU.
        folder: Where to look instead of ``data/cache/steps``.
    """
    folder = STEPS if folder is None else Path(folder)
    kept = [Measurement.read(path) for path in sorted(folder.glob("*.json"))]
    wanted = json.loads(json.dumps(dict(settings or {}), default=str))
    fit = [m for m in kept if m.recipe == recipe and m.settings == wanted]
    fit = [m for m in fit if (m.gpu if device is None else m.device == device)]
    return max(fit, key=lambda m: m.date, default=None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.removesuffix(".py").lower()).strip("-")
