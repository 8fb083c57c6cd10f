"""Labelled images: classes by name, and training addressed by draw number.

Draw d is the d-th image that training ever sees. It fixes the image (by the epoch's permutation)
and its augmentation (by a seed of its own), whatever process or worker makes it and whatever was
drawn before; B images a step in one process, or B/2 in each of two, are the same draws. So a run
can be resumed to the bit.
"""

import io
import random
import sys
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from functools import lru_cache
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS, LOOPS
from mmengine.dist import get_dist_info, is_main_process
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import Sampler

from ..classes import category_ids
from ..errors import LabError


class _ByName(COCO):
    """An annotation file whose category ids come in the order of the names asked for."""

    def __init__(self, file: str) -> None:
        with redirect_stdout(io.StringIO()):  # pycocotools chatters
            super().__init__(file)
        self.file = file

    def get_cat_ids(self, cat_names: Any = (), sup_names: Any = (), cat_ids: Any = ()) -> list:
        return category_ids(cat_names, self.dataset, self.file)


@DATASETS.register_module()
class NamedSet(CocoDataset):
    """mmdet's COCO-format set, with label k the k-th of ``metainfo["classes"]``.

    mmdet's own takes the file's order, whatever order the names are given in. What the file lacks
    is said once; boxes of classes that are not named raise LabError.
    """

    COCOAPI = _ByName

    def load_data_list(self) -> list[dict]:
        """Every image of the file with its labelled boxes."""
        if not Path(self.ann_file).is_file():
            raise LabError(f"there is no {self.ann_file}: name a COCO-format folder with --data")
        images = super().load_data_list()
        named = zip(self.metainfo["classes"], self.cat_ids, strict=True)
        lacking = [name for name, key in named if key is None]
        if lacking and is_main_process():
            print(f"{self.ann_file} has no category {', '.join(lacking)}", file=sys.stderr)
        return images

    def filter_data(self) -> list[dict]:
        """The images to use; LabError if a training set has none with a box."""
        kept = super().filter_data()
        boxes = [box for image in kept for box in image["instances"] if not box["ignore_flag"]]
        if not boxes and not self.test_mode:
            raise LabError(f"{self.ann_file}: no image has a box to learn from")
        if not boxes and is_main_process():
            print(f"{self.ann_file} has no object: AP cannot be measured on it", file=sys.stderr)
        return kept


@DATASETS.register_module()
class Draws:
    """A detection set, or the config of one, indexed by draw number.

    The ``seed`` decides the permutation of every epoch and the augmentation of every draw.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed
        self.order = lru_cache(maxsize=2)(self._order)
        self.by_number = False  # whether the step looks its images up itself, see resident.py

    @property
    def metainfo(self) -> dict:
        """Classes and palette of the set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Load the annotations."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: int) -> Any:
        return {"draws": draw} if self.by_number else self.dataset[self.begin(draw)]

    def begin(self, draw: int) -> int:
        """The index of a draw's image; what is random from here on is the draw's own."""
        epoch, position = divmod(draw, len(self.dataset))
        own = np.random.SeedSequence([self.seed, draw]).generate_state(2)
        np.random.seed(own[0])  # noqa: NPY002  (mmdet's transforms draw from the global one)
        random.seed(int(own[1]))
        return int(self.order(epoch)[position])

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """Draw numbers without end; process r of w takes every w-th from its r-th on."""

    def __init__(self, dataset: Any, seed: int | None = None, round_up: bool = True) -> None:
        self.rank, self.world = get_dist_info()
        self.size, self.start = len(dataset), 0

    def __iter__(self) -> Iterator[int]:
        return count(self.start * self.world + self.rank, self.world)

    def __len__(self) -> int:
        return self.size // self.world


@LOOPS.register_module()
class DrawLoop(IterBasedTrainLoop):
    """mmengine's loop, made resumable to the bit.

    A resumed run starts at its draw instead of loading all before it, and a method that draws
    random numbers draws those of its step.
    """

    turn: Any = None  # this run's part where several train side by side, see together.py

    def run(self) -> Any:
        """Train from the current step to the last."""
        if self.turn is None:
            self.dataloader.sampler.start = self._iter * self.dataloader.batch_size
            batches = iter(self.dataloader)
        else:
            batches = self.turn.batches(self.dataloader, self._iter)
        self.dataloader_iterator = chain(repeat(None, self._iter), batches)
        return super().run()

    def run_iter(self, data_batch: Any) -> None:
        """One step, with torch's random numbers fixed by seed, step and process."""
        own = np.random.SeedSequence([self.runner.seed, self._iter, self.runner.rank])
        with nullcontext() if self.turn is None else self.turn.step_of(self._iter):
            torch.manual_seed(int(own.generate_state(1)[0]))
            super().run_iter(data_batch)
