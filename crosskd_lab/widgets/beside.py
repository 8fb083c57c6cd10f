"""Two of a list of things side by side on the same row; where no widget runs, all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from crosskd_lab.errors import LabError
from crosskd_lab.widgets.frames import bundle, control, sheet


class Beside:
    """Two menus over one list, a picture and a note below each, and one control for both.

    Every picture is drawn beforehand, as in :class:`crosskd_lab.widgets.Frames`.

    Args:
        pictures: ``(common, choice)`` to PNG bytes; every combination.
        notes: Choice to HTML that stands below its picture.
        labels: What the common control chooses, and what the two menus choose.
        start: The two choices shown first.

    Raises:
        LabError: for a combination without a picture, or a choice without a note.
    """

    def __init__(
        self,
        pictures: Mapping[tuple[Any, str], bytes],
        notes: Mapping[str, str],
        labels: tuple[str, str],
        start: Sequence[str],
    ) -> None:
        self.pictures, self.notes = dict(pictures), dict(notes)
        common, choices = (list(dict.fromkeys(column)) for column in zip(*pictures, strict=True))
        lacking = [(c, n) for c in common for n in (*choices, *start) if (c, n) not in pictures]
        if lacking or set(choices) - set(notes):
            raise LabError(f"{labels[1]} side by side: no picture or note for {lacking or choices}")
        self.common = control(common, labels[0], common[0])
        self.menus = [control(choices, labels[1], one) for one in start]
        self.images = [ipywidgets.Image(format="png") for _ in start]
        self.texts = [ipywidgets.HTML() for _ in start]
        columns = []
        for parts in zip(self.menus, self.images, self.texts, strict=True):
            parts[1].layout.max_width = "100%"
            columns.append(ipywidgets.VBox(parts, layout={"width": "50%"}))
        for one in (self.common, *self.menus):
            one.observe(self._turn, "value")
        self._turn()
        self.widget = ipywidgets.VBox([self.common, ipywidgets.HBox(columns)])

    def sheet(self) -> bytes:
        """One PNG: the two chosen on top, below them all others of the same row."""
        now, chosen = self.common.value, [menu.value for menu in self.menus]
        others = [name for c, name in self.pictures if c == now and name not in chosen]
        return sheet([self.pictures[now, name] for name in (*chosen, *others)], len(chosen))

    def _turn(self, change: Any = None) -> None:
        for menu, image, text in zip(self.menus, self.images, self.texts, strict=True):
            image.value = self.pictures[self.common.value, menu.value]
            text.value = self.notes[menu.value]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.widget, self.sheet())
