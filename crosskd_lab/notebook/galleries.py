"""Controls that leaf through pictures; where no widget can run, all of them on one sheet."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
from PIL import Image

from ..errors import LabError
from ..runs.watch import bundle

GAP = 12  # pixels between the pictures of a sheet


class Frames:
    """Pictures by the value of a slider (numbers in order) or of a drop-down (anything else).

    A notebook that ends a cell with it shows the widget and, for pages and programs that run no
    widgets, the same pictures side by side as one PNG.

    Args:
        pictures: Value to PNG bytes, at least one.
        label: What the control chooses, in a few words.
        start: The value shown first, by default the first.
        columns: Pictures side by side on the sheet.

    Raises:
        LabError: without pictures, or for a start that is not among them.
    """

    def __init__(
        self,
        pictures: Mapping[Any, bytes],
        label: str,
        start: Any = None,
        columns: int = 1,
    ) -> None:
        if not pictures:
            raise LabError(f"frames for {label!r}: give at least one picture")
        self.pictures, self.columns = dict(pictures), columns
        start = next(iter(self.pictures)) if start is None else start
        if start not in self.pictures:
            known = ", ".join(map(str, self.pictures))
            raise LabError(f"frames for {label!r}: there is no {start!r} among {known}")
        self.image = ipywidgets.Image(value=self.pictures[start], format="png")
        self.image.layout.max_width = "100%"
        self.control = control(list(self.pictures), label, start)
        self.control.observe(self._turn, "value")
        self.widget = ipywidgets.VBox([self.control, self.image])

    def sheet(self) -> bytes:
        """All pictures as one PNG, in the order given, row by row."""
        return sheet(list(self.pictures.values()), self.columns)

    def _turn(self, change: Any) -> None:
        self.image.value = self.pictures[change["new"]]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.widget, self.sheet())


def sheet(pictures: Sequence[bytes], columns: int = 1) -> bytes:
    """PNGs as one PNG, in the order given, row by row."""
    tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    rows = [tiles[k : k + columns] for k in range(0, len(tiles), columns)]
    widths = [sum(tile.width + GAP for tile in row) - GAP for row in rows]
    heights = [max(tile.height for tile in row) for row in rows]
    whole = Image.new("RGB", (max(widths), sum(heights) + GAP * (len(rows) - 1)), "white")
    for k, row in enumerate(rows):
        left, top = 0, sum(heights[:k]) + GAP * k
        for tile in row:
            whole.paste(tile, (left, top))
            left += tile.width + GAP
    out = io.BytesIO()
    whole.save(out, "PNG")
    return out.getvalue()


def control(values: list[Any], label: str, start: Any) -> ipywidgets.Widget:
    """A slider for numbers in ascending order, a drop-down for any other values."""
    style = {"description_width": "initial"}
    if all(type(v) is int for v in values) and values == list(range(values[0], values[-1] + 1)):
        return ipywidgets.IntSlider(
            start, values[0], values[-1], description=label, style=style, layout={"width": "28em"}
        )
    choices = [(str(value), value) for value in values]
    if all(type(v) in (int, float) for v in values) and values == sorted(set(values)):
        return ipywidgets.SelectionSlider(
            options=choices, value=start, description=label, style=style, layout={"width": "28em"}
        )
    return ipywidgets.Dropdown(options=choices, value=start, description=label, style=style)


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


class Beside:
    """The same pictures in two or more columns, each with a choice of its own.

    Args:
        pictures: As for :class:`Menus`, one row a value of the first control; all columns share
            that control's value.
        labels: What each control chooses.
        starts: The values shown first, a tuple a column.

    Raises:
        LabError: as :class:`Menus`.
    """

    def __init__(
        self,
        pictures: Mapping[Any, bytes],
        labels: Sequence[str],
        starts: Sequence[tuple[Hashable, ...]],
    ) -> None:
        self.columns = [Menus(pictures, labels, start) for start in starts]
        first, *others = self.columns
        for column in others:
            ipywidgets.link((first.controls[0], "value"), (column.controls[0], "value"))
        for column in self.columns:
            column.widget.layout.width = f"{100 / len(starts):.0f}%"
        self.widget = ipywidgets.HBox([column.widget for column in self.columns])

    def sheet(self) -> bytes:
        """One PNG: the chosen on top, below them all others of the same row."""
        chosen = [column.choice for column in self.columns]
        pictures = self.columns[0].pictures
        others = [key for key in pictures if key[0] == chosen[0][0] and key not in chosen]
        return sheet([pictures[key] for key in (*chosen, *others)], len(chosen))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bundle(self.widget, self.sheet())
