"""Pictures, all drawn beforehand, that sliders and menus leaf through: in a notebook, on a page.

A gallery is HTML of its own: the pictures, stored once, and a few lines of script. It needs neither
kernel nor network, so that it plays in JupyterLab, in a notebook that is opened later, and in the
book; where no script may run, all pictures stand one below the other.
"""

import base64
import html
import io
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

from PIL import Image

from ..data.samples import contact_sheet
from ..errors import LabError
from ..files import PACKAGE

GAP = 12  # pixels between the pictures of a sheet
TEMPLATES = PACKAGE / "notebook" / "templates"


class Gallery:
    """Pictures by the values of one or more controls.

    Numbers in ascending order get a slider, all other values a menu. ``pictures`` are PNG bytes by
    a tuple of values, one a control; ``labels`` say what each control chooses, ``starts`` the
    values shown first: several stand side by side, a column each, with the first control in common
    and the others of their own. LabError for a combination without a picture, or a start that is
    none.
    """

    def __init__(
        self,
        pictures: Mapping[Any, bytes],
        labels: Sequence[str],
        starts: Sequence[tuple[Hashable, ...]],
    ) -> None:
        self.pictures, self.labels, self.starts = dict(pictures), list(labels), list(starts)
        self.values = [list(dict.fromkeys(column)) for column in zip(*self.pictures, strict=True)]
        wanted = [*product(*self.values), *self.starts]
        lacking = [key for key in wanted if key not in self.pictures]
        if not self.pictures or lacking or len(self.values) != len(self.labels):
            raise LabError(
                f"pictures by {', '.join(labels)}: there is none for {lacking or self.values}"
            )

    def html(self) -> str:
        """The gallery for a browser."""
        at = [{value: k for k, value in enumerate(column)} for column in self.values]

        def place(key: tuple[Any, ...]) -> list[int]:
            return [at[which][value] for which, value in enumerate(key)]

        spec = {
            "labels": self.labels,
            "values": [[str(value) for value in column] for column in self.values],
            "starts": [place(start) for start in self.starts],
        }
        frames = []
        for key, png in self.pictures.items():
            said = ", ".join(f"{k}: {v}" for k, v in zip(self.labels, key, strict=True))
            frames.append(
                f'<figure data-key="{",".join(map(str, place(key)))}">'
                f'<img alt="{html.escape(said)}" src="data:image/webp;base64,{_webp(png)}">'
                f"<figcaption>{html.escape(said)}</figcaption></figure>"
            )
        css, script = ((TEMPLATES / f"gallery.{kind}").read_text("utf-8") for kind in ("css", "js"))
        # the attribute keeps JupyterLab's shortcuts out: an arrow key turns the picture, no cell
        return (
            f'<div class="gallery" data-lm-suppress-shortcuts="true" '
            f'data-spec="{html.escape(json.dumps(spec))}"><style>{css}</style>'
            f'<div class="frames">{"".join(frames)}</div><script>{script}</script></div>'
        )

    def shown(self) -> list[bytes]:
        """The pictures of the sheet: those shown first, then where the last control leads to."""
        rows = [start[:-1] for start in self.starts]
        others = [k for k in self.pictures if k[:-1] in rows and k not in self.starts]
        return [self.pictures[key] for key in (*self.starts, *others)]

    def sheet(self) -> bytes:
        """One PNG for what shows no HTML."""
        return sheet(self.shown(), len(self.starts))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        png = base64.b64encode(self.sheet()).decode()
        said = f"{len(self.pictures)} pictures by {', '.join(self.labels)}"
        return {"text/html": self.html(), "image/png": png, "text/plain": said}


class Frames(Gallery):
    """Pictures by the values of one control.

    ``pictures`` are PNG bytes by value; ``label`` says what the control chooses, ``start`` what is
    shown first, ``columns`` how many stand side by side on the sheet. LabError without pictures, or
    for a start that is not among them.
    """

    def __init__(
        self, pictures: Mapping[Any, bytes], label: str, start: Any = None, columns: int = 1
    ) -> None:
        if not pictures:
            raise LabError(f"frames for {label!r}: give at least one picture")
        start = next(iter(pictures)) if start is None else start
        if start not in pictures:
            known = ", ".join(map(str, pictures))
            raise LabError(f"frames for {label!r}: there is no {start!r} among {known}")
        super().__init__({(value,): png for value, png in pictures.items()}, [label], [(start,)])
        self.columns = columns

    def sheet(self) -> bytes:
        """All pictures as one PNG, in the order given, row by row."""
        return sheet(list(self.pictures.values()), self.columns)


class Menus(Gallery):
    """A gallery of several controls and one picture at a time; see :class:`Gallery`."""

    def __init__(
        self, pictures: Mapping[Any, bytes], labels: Sequence[str], start: tuple[Hashable, ...]
    ) -> None:
        super().__init__(pictures, labels, [start])


@cache
def _webp(png: bytes) -> str:
    """A picture as a browser reads it, in base64: a third of the PNG's bytes."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "WEBP", quality=85, method=4)
    return base64.b64encode(out.getvalue()).decode()


def sheet(pictures: Sequence[bytes], columns: int = 1) -> bytes:
    """PNGs as one PNG, in the order given, row by row."""
    tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    out = io.BytesIO()
    contact_sheet(tiles, columns, GAP).save(out, "PNG")
    return out.getvalue()
