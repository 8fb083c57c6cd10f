"""The first page names every notebook: what is made, what failed, what is still to come."""

from __future__ import annotations

import re
from pathlib import Path

from crosskd_lab.notebook.book import Chapter, Cover, contents

BOOK = [
    Cover(Path("00_one.ipynb"), "One & only", "What is $x$?"),
    Cover(Path("01_two.ipynb"), "Two", "Why?"),
    Cover(Path("02_three.ipynb"), "Three", "How?"),
]


def entries(page):
    return re.findall(r"<li.*?</li>", page, re.S)


def test_nothing_is_made_yet(tmp_path):
    page = contents(BOOK, [], "cpu", tmp_path)
    assert "at scale cpu" in page and page.count('href="') == 3, "to the pages that stand in"
    commands = re.findall(r"<code>(.*?)</code>", page)
    assert commands == [f"crosskd-lab book 0{n}" for n in range(3)] and len(entries(page)) == 3


def test_pages_made_failed_and_of_an_earlier_build(tmp_path):
    (tmp_path / "01_two.html").touch()
    made = [Chapter(BOOK[0]), Chapter(BOOK[2], error="cell 4: ValueError: a < b")]
    one, two, three = entries(contents(BOOK, made, "smoke", tmp_path))
    assert '<a href="00_one.html">One &amp; only</a>' in one and 'alt="x"' in one
    assert "Failed" not in one and "earlier" not in one
    assert '<a href="01_two.html">' in two and "from an earlier build" in two
    assert '<p class="failed">Failed at cell 4: ValueError: a &lt; b</p>' in three
