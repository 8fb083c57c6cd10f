"""Fig. 3 over a whole set: histograms of discrepancy, memory flat in the number of images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..errors import LabError
from ..files import write_whole
from .conflict import Conflict

SIZES = ("small", "medium", "large", "background")


class Tally:
    """Counts of locations by level, object size, class and discrepancy.

    Bin 0 holds discrepancy 0, bin k the interval ((k - 1) / B, k / B]: at the edges k / B the
    counts of "discrepancy > threshold" are exact.

    Args:
        strides: Pixels between neighbouring locations, per level.
        classes: Names of the K classes.
        areas: Sides, in pixels of the original image, of the squares that part small, medium and
            large boxes.
        bins: B.
    """

    def __init__(
        self,
        strides: Sequence[int],
        classes: Sequence[str],
        areas: Sequence[float] = (32, 96),
        bins: int = 100,
    ) -> None:
        self.strides, self.classes = tuple(strides), tuple(classes)
        self.areas, self.bins = tuple(areas), bins
        self.images = 0
        shape = (len(self.strides), len(SIZES), len(self.classes))
        self.counts: NDArray[np.int64] = np.zeros((*shape, bins + 1), np.int64)
        self.positives: NDArray[np.int64] = np.zeros(shape, np.int64)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The edges 0, 1 / B, ..., 1 at which conflict is counted."""
        return np.arange(self.bins + 1) / self.bins

    def add(self, conflict: Conflict) -> None:
        """Count one batch.

        A conflict is filed under the size of the object at its location (or background) and under
        the class in which the two sides differ most; a positive under its object's class.
        """
        discrepancy, disputed = conflict.discrepancy
        counted, positive = conflict.counted, conflict.positive
        edges = torch.as_tensor(self.thresholds, device=discrepancy.device)
        bin_of = torch.bucketize(discrepancy.double(), edges).clamp(max=self.bins)
        level = conflict.level.expand_as(conflict.label)
        squares = torch.tensor([side**2 for side in self.areas], device=level.device)
        size = torch.bucketize(conflict.area, squares, right=True)
        size = torch.where(positive, size, SIZES.index("background"))
        self.counts += _count(self.counts.shape, counted, level, size, disputed, bin_of)
        self.positives += _count(self.positives.shape, positive, level, size, conflict.label)
        self.images += len(conflict.label)

    def frame(self) -> pd.DataFrame:
        """The conflict ratio overall and by level, object size and class, at every threshold.

        Returns:
            Columns ``by`` (all, level, size, class), ``group``, ``threshold``, ``conflicts``
            (locations with discrepancy > threshold), ``positives`` and ``ratio`` of the two, NaN
            without positives. The group "background" has no positives of its own: it is held
            against all, so that it is the share of Fig. 3's ratio which background causes.
        """
        levels = [f"stride {stride}" for stride in self.strides]
        tables = [("all", ("all",), (0, 1, 2)), ("level", levels, (1, 2))]
        tables += [("size", SIZES, (0, 2)), ("class", self.classes, (0, 1))]
        frames = []
        for by, groups, others in tables:
            counts = self.counts.sum(others).reshape(len(groups), -1)
            positives = self.positives.sum(others).reshape(-1)
            if by == "size":
                positives[-1] = self.positives.sum()
            above = counts[:, ::-1].cumsum(1)[:, ::-1] - counts
            frames += [
                self._rows(by, group, *row)
                for group, *row in zip(groups, above, positives, strict=True)
            ]
        return pd.concat(frames, ignore_index=True)

    def curve(self, level: int | None = None, label: int | None = None) -> NDArray[np.float64]:
        """The conflict ratio at every threshold, of one level, one class, both, or overall.

        Args:
            level: Index of a pyramid level.
            label: Index of a class: conflicts *about* it over positives *of* it.

        Returns:
            ``(B + 1,)``; NaN without positives.
        """
        levels = slice(level, None if level is None else level + 1)
        labels = slice(label, None if label is None else label + 1)
        counts = self.counts[levels, :, labels].sum((0, 1, 2))
        positives = self.positives[levels, :, labels].sum()
        above = counts[::-1].cumsum()[::-1] - counts
        return above / positives if positives else np.full(len(above), np.nan)

    def _rows(self, by: str, group: str, above: NDArray, positives: int) -> pd.DataFrame:
        ratio = above / positives if positives else np.full(len(above), np.nan)
        return pd.DataFrame(
            {
                "by": by,
                "group": group,
                "threshold": self.thresholds,
                "conflicts": above,
                "positives": positives,
                "ratio": ratio,
            }
        )

    def save(self, path: str | Path, identity: str) -> None:
        """Write the counts, whole or not at all, with what they are counts of."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            counts=self.counts,
            positives=self.positives,
            images=self.images,
            identity=np.array(identity),
        )
        write_whole(path, buffer.getvalue())

    def load(self, path: str | Path, identity: str) -> None:
        """Take up saved counts.

        Raises:
            LabError: if the file cannot be read or counts something else.
        """
        remedy = "remove it, or name another folder"
        try:
            with np.load(path, allow_pickle=False) as saved:
                found = {name: saved[name] for name in saved.files}
            same = str(found["identity"]) == identity and found["counts"].shape == self.counts.shape
        except Exception as error:
            raise LabError(f"{path} cannot be read ({error}): {remedy}") from error
        if not same:
            raise LabError(f"{path} counts another pair, set or target: {remedy}")
        self.counts, self.positives = found["counts"], found["positives"]
        self.images = int(found["images"])


def _count(shape: tuple[int, ...], mask: torch.Tensor, *indices: torch.Tensor) -> NDArray[np.int64]:
    """How often each combination of indices occurs where ``mask`` is True."""
    chosen = [index[mask].cpu().numpy() for index in indices]
    flat = np.ravel_multi_index(chosen, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
