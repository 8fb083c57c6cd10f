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

        def place(key: tuple[Any, ...]) -> list[int]:
            return [column.index(value) for column, value in zip(self.values, key, strict=True)]

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

    def sheet(self) -> bytes:
        """One PNG for what shows no HTML: where the last control leads to from the starts.

        Several starts stand in its first row, a column each.
        """
        first = self.starts if len(self.starts) > 1 else []
        rows = [start[:-1] for start in self.starts]
        others = [k for k in self.pictures if k[:-1] in rows and k not in first]
        pictures = [self.pictures[key] for key in (*first, *others)]
        tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
        out = io.BytesIO()
        contact_sheet(tiles, len(self.starts), GAP).save(out, "PNG")
        return out.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        png = base64.b64encode(self.sheet()).decode()
        said = f"{len(self.pictures)} pictures by {', '.join(self.labels)}"
        return {"text/html": self.html(), "image/png": png, "text/plain": said}


class Frames(Gallery):
    """Pictures by the values of one control.

    ``pictures`` are PNG bytes by value; ``label`` says what the control chooses, ``start`` what is
    shown first.
    """

    def __init__(self, pictures: Mapping[Any, bytes], label: str, start: Any = None) -> None:
        start = next(iter(pictures), None) if start is None else start
        super().__init__({(value,): png for value, png in pictures.items()}, [label], [(start,)])


@cache
def _webp(png: bytes) -> str:
    """A picture as a browser reads it, in base64: a third of the PNG's bytes."""
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "WEBP", quality=85, method=4)
    return base64.b64encode(out.getvalue()).decode()
