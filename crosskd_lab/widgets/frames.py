"""A control that leafs through pictures; where no widget can run, all of them on one sheet.

Every picture is drawn before the widget appears, so that moving the control only swaps bytes: a
few milliseconds on any machine, where drawing anew would take a second.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
from PIL import Image

from crosskd_lab.errors import LabError

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


def bundle(widget: ipywidgets.Widget, static: bytes) -> dict[str, Any]:
    """What a notebook shows of a widget, with a PNG for pages that run none."""
    view = widget._repr_mimebundle_() or {}
    view["image/png"] = base64.b64encode(static).decode()
    return view


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
