"""Where a dense head predicts: its levels, strides, priors and their order in flat tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .tensors import Levels

if TYPE_CHECKING:
    from typing_extensions import Self


SIZES_KEPT = 32


def of_sizes(build: Callable[[Any, Levels], Tensor]) -> Callable[[Any, Levels], Tensor]:
    """Keep what follows from the maps' sizes alone: made anew, it would wait for the GPU."""

    @wraps(build)
    def kept(self: Any, levels: Levels) -> Tensor:
        sizes = [m.shape[-2:] for m in levels]
        key = (build.__name__, id(self._priors), self.levels, levels[0].device, *sizes)
        if key not in self._kept:
            if len(self._kept) >= SIZES_KEPT:
                self._kept.clear()
            self._kept[key] = build(self, levels)
        return self._kept[key]

    return kept


class Locations:
    """The levels of a dense head, all of them or some.

    Args:
        head: A dense head of mmdet.
    """

    def __init__(self, head: nn.Module) -> None:
        self.head: Any = head
        self.levels: tuple[int, ...] | None = None
        self._kept: dict[Any, Tensor] = {}

    def only(self, levels: Sequence[int]) -> Self:
        """This adapter reading some of the head's levels, by their indices, and no others."""
        view = copy.copy(self)
        view.levels = tuple(levels)
        return view

    def _numbered(self, maps: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Each map with the index of its level in the head."""
        maps = tuple(maps)  # of a branch that is left out there are none
        every = self.levels is None or not maps
        return zip(range(len(maps)) if every else self.levels or (), maps, strict=True)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between neighbouring locations, per level."""
        steps = [int(s[0] if isinstance(s, tuple) else s) for s in self._priors.strides]
        return tuple(steps if self.levels is None else (steps[level] for level in self.levels))

    @property
    def anchors(self) -> int:
        """A, the number of priors at a location."""
        return int(self._priors.num_base_priors[0])

    @property
    def _priors(self) -> Any:
        return self.head.prior_generator

    @of_sizes
    def priors(self, levels: Levels) -> Tensor:
        """Anchors ``(P, 4)`` xyxy, or points ``(P, 2)``, in input pixels, for maps of this size."""
        return torch.cat(
            [
                self._priors.single_level_grid_priors(m.shape[-2:], level, device=m.device)
                for level, m in self._numbered(levels)
            ]
        )

    @of_sizes
    def cells(self, levels: Levels) -> Tensor:
        """Left and top edge ``(P, 2)``, in input pixels, of the cell that every prior stands in."""
        found = []
        for (height, width), stride in zip(
            (m.shape[-2:] for m in levels), self.strides, strict=True
        ):
            at = (torch.arange(n, device=levels[0].device) * stride for n in (height, width))
            y, x = torch.meshgrid(*at, indexing="ij")
            found.append(torch.stack([x, y], -1).view(-1, 1, 2).expand(-1, self.anchors, -1))
        return torch.cat([cell.reshape(-1, 2) for cell in found])

    @of_sizes
    def centres(self, levels: Levels) -> Tensor:
        """Centre ``(P, 2)`` of every prior, x and y in input pixels."""
        priors = self.priors(levels)
        return priors if priors.size(-1) == 2 else (priors[:, :2] + priors[:, 2:]) / 2

    def boxes_around(self, edges: Tensor, levels: Levels, in_strides: bool) -> Tensor:
        """Boxes from distances to the left, top, right and bottom edge, ``(N, P, 4)`` xyxy pixels.

        Args:
            edges: ``(N, P, 4)``, in strides of their levels or in pixels.
            levels: Maps that give the levels' sizes.
            in_strides: The unit of ``edges``.
        """
        centre = self.centres(levels)
        if in_strides:
            edges = edges * self.stride_of_priors(levels)[:, None]
        return torch.cat([centre - edges[..., :2], centre + edges[..., 2:]], -1)

    @of_sizes
    def stride_of_priors(self, levels: Levels) -> Tensor:
        """The stride in pixels at every prior, ``(P,)``."""
        steps = torch.tensor(self.strides, dtype=torch.float32, device=levels[0].device)
        return steps.repeat_interleave(torch.tensor(self.counts(levels), device=steps.device))

    def counts(self, levels: Levels) -> list[int]:
        """Number of priors of each level, for one image."""
        return [m.shape[-2] * m.shape[-1] * self.anchors for m in levels]

    def flat(self, levels: Levels, last: int) -> Tensor:
        """``(N, A * last, H_l, W_l)`` per level to ``(N, P, last)``, mmdet's order of priors.

        Half precision ends here: distances and decoding are in float32.
        """
        if levels[0].dtype in (torch.float16, torch.bfloat16):
            levels = tuple(m.float() for m in levels)
        return torch.cat(
            [m.permute(0, 2, 3, 1).reshape(m.size(0), -1, last) for m in levels], dim=1
        )


def by_image(levels: Sequence[Tensor], images: int) -> Tensor:
    """``(N, P, ...)`` from one ``(N * P_l, ...)`` a level, as point heads of mmdet give targets."""
    return torch.cat([level.view(images, -1, *level.shape[1:]) for level in levels], 1)
