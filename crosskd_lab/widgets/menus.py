"""Several controls over one picture; where no widget can run, the pictures along the last one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from crosskd_lab.errors import LabError
from crosskd_lab.widgets.frames import bundle, control, sheet


class Menus:
    """Pictures, all drawn beforehand, by the values of several sliders or drop-downs.

    Args:
        pictures: A tuple of values, one a control, to PNG bytes; every combination of values.
        labels: What each control chooses.
        start: The values shown first.

    Raises:
        LabError: for a combination without a picture, or a start that is none.
    """

    def __init__(
        self,
        pictures: Mapping[Any, bytes],
        labels: Sequence[str],
        start: tuple[Hashable, ...],
    ) -> None:
        self.pictures = dict(pictures)
        values = [list(dict.fromkeys(column)) for column in zip(*self.pictures, strict=True)]
        lacking = [key for key in (*product(*values), start) if key not in self.pictures]
        if lacking or len(values) != len(labels):
            raise LabError(
                f"menus for {', '.join(labels)}: there is no picture for {lacking or values}"
            )
        self.image = ipywidgets.Image(value=self.pictures[start], format="png")
        self.image.layout.max_width = "100%"
        self.controls = [control(*part) for part in zip(values, labels, start, strict=True)]
        for one in self.controls:
            one.observe(self._turn, "value")
        self.widget = ipywidgets.VBox([ipywidgets.HBox(self.controls), self.image])

    @property
    def choice(self) -> tuple[Any, ...]:
        """The values of the controls as they stand."""
        return tuple(one.value for one in self.controls)

    def sheet(self) -> bytes:
        """One PNG of the picture chosen and those that the last control leads to from it."""
        *fixed, _ = self.choice
        return sheet([png for key, png in self.pictures.items() if [*key[:-1]] == fixed])

    def _turn(self, change: Any) -> None:
        self.image.value = self.pictures[self.choice]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.widget, self.sheet())
