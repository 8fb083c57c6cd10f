"""What notebook 00 shows: the check-up, the map of the lab, a look at a data set."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from IPython.display import Image, Markdown
from pandas.io.formats.style import Styler
from PIL import Image as Picture

from ..data.samples import draw_samples
from ..engine.doctor import Finding, examine
from .book import NOTEBOOKS, covers


def check_up(findings: list[Finding] | None = None) -> Styler:
    """The doctor's findings as a table: OK or FAIL, what was found, what to do.

    Args:
        findings: By default those of this machine, which takes some seconds.
    """
    rows = [
        {
            "": "OK" if finding.ok else "FAIL",
            "checked": finding.name,
            "found": finding.detail,
            "what to do": "" if finding.ok else finding.remedy,
        }
        for finding in (examine() if findings is None else findings)
    ]
    left = {"text-align": "left", "white-space": "normal", "vertical-align": "top"}
    heads = [{"selector": "th", "props": [("text-align", "left")]}]
    return (
        pd.DataFrame(rows).style.hide(axis="index").set_properties(**left).set_table_styles(heads)
    )


def lab_map(notebooks: str | Path = NOTEBOOKS) -> Markdown:
    """A line a notebook: its title as a link, and what it asks."""
    lines = [f"- [{c.title}]({c.path.name}): {c.paragraph}" for c in covers(notebooks)]
    return Markdown("\n".join(lines))


def samples(root: str | Path, split: str = "val", count: int = 6, seed: int = 0) -> Image:
    """Some images of a set with their boxes and class names, as one picture."""
    out = io.BytesIO()
    Picture.fromarray(draw_samples(root, split, count, seed)).save(out, "PNG")
    return Image(out.getvalue(), format="png")
