"""The table of contents: what each notebook asks, and which pages there are."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from nbconvert.filters import markdown2html

from crosskd_lab.book.chapters import Chapter, Cover
from crosskd_lab.book.maths import draw_formulas
from crosskd_lab.files import PACKAGE

STYLE = PACKAGE / "book" / "templates" / "book.css"
TITLE = "CrossKD Lab"


def contents(book: Sequence[Cover], made: Sequence[Chapter], scale: str, out: Path) -> str:
    """The first page.

    Args:
        book: All notebooks.
        made: Those that this build has executed so far.
        scale: At which.
        out: Where pages of an earlier build may lie.
    """
    done = {chapter.cover.path: chapter for chapter in made}
    entries = []
    for cover in book:
        if chapter := done.get(cover.path):
            failed = chapter.error and f"Failed at {html.escape(chapter.error)}"
            entries.append(_entry(cover, failed or "", "failed"))
        elif (out / cover.page).is_file():
            entries.append(_entry(cover, "from an earlier build", "earlier"))
        else:
            number = cover.path.stem.split("_")[0]
            entries.append(
                f'<li class="to-come">{html.escape(cover.title)}'
                f"<p>not made yet: <code>crosskd-lab book {html.escape(number)}</code></p></li>"
            )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE.read_text()}</style></head>\n<body><h1>{TITLE}</h1>\n"
        f"<p>The notebooks, executed in this order at scale {html.escape(scale)}.</p>\n"
        f'<ol class="contents" start="0">\n{chr(10).join(entries)}\n</ol></body></html>\n'
    )


def _entry(cover: Cover, remark: str, kind: str) -> str:
    asked = markdown2html(draw_formulas(cover.paragraph))
    remark = f'<p class="{kind}">{remark}</p>' if remark else ""
    return f'<li><a href="{cover.page}">{html.escape(cover.title)}</a>{asked}{remark}</li>'
