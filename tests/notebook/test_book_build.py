"""The book of three small notebooks, one of which fails, and the verb that makes it."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import nbformat
import pytest

from crosskd_lab.cli import main
from crosskd_lab.notebook.book import build_book

pytest.importorskip("ipykernel", reason="ipykernel is not installed")

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
)
NAMES = ("00_one", "01_two", "02_three")
WIDGET = "application/vnd.jupyter.widget-view+json"
FIRST = f"""
from IPython.display import display

print(scale * 2)
view = {{"{WIDGET}": {{"model_id": "m"}}}}
display({{**view, "image/png": "{PIXEL}==", "text/plain": "VBox(...)"}}, raw=True)
display({{**view, "text/plain": "0 % of a progress bar"}}, raw=True)
display({{}}, raw=True)  # what a closed progress bar leaves
display({{"text/html": "<table><tr><td>recorded</td><td>paper cut</td></tr></table>"}}, raw=True)
display({{"text/markdown": "a cell's formula, $q_1$"}}, raw=True)
"""


def write(folder, name, title, code):
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\nWhat is $x_{{{name[1]}}}$?"),
        nbformat.v4.new_code_cell('scale = "cpu"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_markdown_cell(
            "Go on to [the next](01_two.ipynb) or [its end](01_two.ipynb#End)."
        ),
        nbformat.v4.new_code_cell(code),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / name)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    write(folder, "00_one.ipynb", "One", FIRST)
    write(folder, "01_two.ipynb", "Two & more", 'raise ValueError("no such\\nthing")')
    write(folder, "02_three.ipynb", "Three", "print(6 * 7)")
    heard = []

    def listen(chapter, number, of):
        index = (folder / "out" / "index.html").read_text(encoding="utf-8")
        heard.append((chapter.cover.page, number, of, index.count("not made yet")))

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of outputs that cannot be shown
        chapters = build_book(folder / "out", "smoke", folder, listener=listen)
    return folder / "out", chapters, heard


def page(book, name):
    return (book[0] / name).read_text(encoding="utf-8")


def test_a_failure_names_cell_and_error_and_stops_no_other(book):
    told = [("00_one.html", 1, 3, 2), ("01_two.html", 2, 3, 1), ("02_three.html", 3, 3, 0)]
    assert book[2] == told, "chapter by chapter, while the contents grow"
    _, (one, two, three), _ = book
    assert one.error is None and three.error is None
    assert two.error == "cell 4: ValueError: no such"
    assert "42" in page(book, "02_three.html")
    assert "no such" in page(book, "01_two.html")


def test_a_bare_assertion_and_a_dead_kernel_stop_no_other(tmp_path):
    write(tmp_path, "00_one.ipynb", "One", "assert 1 == 2")
    write(tmp_path, "01_two.ipynb", "Two", "import os\nos._exit(1)")
    write(tmp_path, "02_three.ipynb", "Three", "print(6 * 7)")
    errors = [chapter.error for chapter in build_book(tmp_path / "out", "smoke", tmp_path)]
    dead = "its kernel died, for lack of memory perhaps"
    assert errors == ["cell 4: AssertionError", dead, None]
    assert dead in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert not list((tmp_path / "out").glob(".*.part.ipynb"))


def test_the_contents_list_titles_questions_and_failures(book):
    index = page(book, "index.html")
    assert re.findall(r'<a href="(\w+\.html)">([^<]+)</a>', index) == [
        ("00_one.html", "One"),
        ("01_two.html", "Two &amp; more"),
        ("02_three.html", "Three"),
    ]
    assert index.count('alt="x_') == 3
    assert index.count("Failed at cell 4: ValueError") == 1
    assert "at scale smoke" in index


def test_pages_lead_to_their_neighbours_and_where_their_own_links_mean(book):
    one = page(book, "00_one.html")
    assert "<title>One</title>" in one
    listed = re.findall(r'<nav[^>]*class="chapters">.*?</nav>', one, re.DOTALL)[0]
    all_pages = ["index.html", *(f"{n}.html" for n in NAMES)]
    assert re.findall(r'href="(\w+\.html)"', listed) == all_pages
    assert '<li class="here"><a href="00_one.html">' in listed
    assert 'href="01_two.html">the next' in one and 'href="01_two.html#End">its end' in one
    links = [
        re.findall(r'<nav[^>]*class="book">(.*?)</nav>', page(book, f"{n}.html"))[0] for n in NAMES
    ]
    targets = [re.findall(r'href="([^"]+)"', link) for link in links]
    assert targets == [
        ["index.html", "01_two.html"],
        ["00_one.html", "index.html", "02_three.html"],
        ["01_two.html", "index.html"],
    ]


def test_the_search_box_knows_every_section(book):
    known = json.loads(re.search(r"const BOOK = (.*?);\n", page(book, "index.html"))[1])
    assert [one["title"] for one in known] == ["One", "Two & more", "Three"]
    assert known[2]["page"] == "02_three.html#Three" and "What is" in known[2]["text"]
    assert 'id="Three"' in page(book, "02_three.html"), "the place that it leads to is there"


def test_what_a_page_shows_of_outputs(book):
    """Of a widget its picture, of a bare one nothing, where a number is from as a badge."""
    one = page(book, "00_one.html")
    assert "smokesmoke" in one, "the scale reaches the notebook"
    assert '<td><span class="badge recorded">recorded</span></td><td>paper cut</td>' in one
    assert PIXEL in one
    assert not re.search(r"<pre>\s*VBox", one)
    assert not re.search(r"<pre>\s*0 % of a progress bar", one)
    assert re.search(r'formula, <img [^>]*alt="q_1"', one), "also one that a cell prints"


def test_pages_fetch_nothing_from_the_network(book):
    for name in ("index", *NAMES):
        text = page(book, f"{name}.html")
        assert not re.search(r'(src|href)="(https?:)?//', text), name
        assert not re.search(r"@import|url\(\s*[\"']?https?:", text), name
        assert text.count("<script") == (name == "index"), "the search box alone has one"


def test_what_is_made_is_made_again_only_where_something_has_changed(book):
    out, notebooks = book[0], book[0].parent
    kept = [f"{n}.{kind}" for n in NAMES for kind in ("html", "ipynb")]
    assert {path.name for path in out.iterdir()} == {"index.html", "made.json", *kept}, "no drafts"
    (failed,) = build_book(out, "smoke", notebooks)
    assert failed.cover.page == "01_two.html", "a failure is tried again, the others stay"
    kept = (notebooks / "02_three.ipynb").read_text()
    (notebooks / "02_three.ipynb").write_text(kept.replace("What is", "And what is"))
    again = build_book(out, "smoke", notebooks)
    (notebooks / "02_three.ipynb").write_text(kept)
    assert [chapter.cover.page for chapter in again] == ["01_two.html", "02_three.html"]
    assert len(build_book(out, "cpu", notebooks)) == 3, "another scale"


def test_one_chapter_is_made_again_and_the_others_stay(book):
    out, _, _ = book
    (out / "00_one.html").unlink()
    (made,) = build_book(out, "cpu", out.parent, only=["02"])
    assert made.cover.page == "02_three.html" and made.error is None
    index = page(book, "index.html")
    assert "<code>crosskd-lab book 00</code>" in index
    assert "Not made yet" in (out / "00_one.html").read_text(), "no link leads nowhere"
    assert index.count("from an earlier build") == 1 and "at scale cpu" in index


def test_the_verb_reports_a_failure_in_one_line_and_by_its_exit_code(
    monkeypatch, tmp_path, capsys, book
):
    _, chapters, _ = book

    def built(out, scale, only, listener):
        assert only == ["00", "01"]
        for number, chapter in enumerate(chapters, 1):
            listener(chapter, number, len(chapters))
        return chapters

    monkeypatch.setattr("crosskd_lab.notebook.book.build_book", built)
    with pytest.raises(SystemExit) as ended:
        main(["book", "00", "01", "--scale", "smoke", "--out", str(tmp_path)])
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert told.err == "crosskd-lab: 01_two.ipynb, cell 4: ValueError: no such\n"
    assert [line.split(":")[0] for line in told.out.splitlines()[:3]] == [
        "[1/3] 00_one.ipynb",
        "[2/3] 01_two.ipynb",
        "[3/3] 02_three.ipynb",
    ]


def test_the_notebook_of_contributing_runs(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import nbformat.*?)```", text, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    exec(code, {})
    (made,) = build_book("out", "smoke", "notebooks", only=["15"])
    assert (made.cover.title, made.error) == ("Where it pays", None)
    cells = nbformat.read(tmp_path / "out" / made.cover.path.name, as_version=4).cells
    (shown,) = cells[-1].outputs
    assert "38.7" in shown["data"]["text/html"], "of the paper's Table 1, at i = 3"


def test_a_formula_that_cannot_be_drawn_stops_no_other(tmp_path):
    write(tmp_path, "00_one.ipynb", "One", "print(1)")
    notebook = nbformat.read(tmp_path / "00_one.ipynb", as_version=4)
    notebook.cells[0].source += "\n\n$\\begin{cases} 1 \\end{cases}$"
    nbformat.write(notebook, tmp_path / "00_one.ipynb")
    write(tmp_path, "01_two.ipynb", "Two", "print(2)")
    chapters = build_book(tmp_path / "out", "smoke", tmp_path)
    assert "00_one.ipynb: " in chapters[0].error and chapters[1].error is None
    assert "Not made yet" in (tmp_path / "out" / "00_one.html").read_text()
    (tmp_path / "out" / "01_two.ipynb").unlink()  # the page alone is not enough to search in
    again = build_book(tmp_path / "out", "smoke", tmp_path)
    assert [chapter.cover.page for chapter in again] == ["00_one.html", "01_two.html"]
