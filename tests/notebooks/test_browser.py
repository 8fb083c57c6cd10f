"""Notebooks in a real browser: all cells of one run, and sliders turn pictures by keyboard."""

import io
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.sign import NotebookNotary
from PIL import Image

from crosskd_lab.notebook.book import NOTEBOOKS
from crosskd_lab.notebook.galleries import Frames, Gallery

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")

ROOT = Path(__file__).resolve().parents[2]
SLIDERS = {  # notebook: the slider's label, and the key that moves it from where it starts
    "01_one_feature_two_heads": ("layer index i", "ArrowLeft"),
    "08_which_layer": ("layer index i", "ArrowRight"),
}
WATCHED = """
import pandas as pd

from crosskd_lab.runs.watch import Watch


class Run:
    status, reason = "running", None

    def state(self):
        return {"status": self.status, "step": 10, "of": 60, "left": None}

    def metrics(self):
        return pd.DataFrame([{"step": step, "kind": "train", "loss": 1 / step} for step in (5, 10)])

    def tail(self, lines=20):
        return "the log"

    def stop(self):
        self.status = "stopped"


Watch(Run(), every=0.2)
"""
RUN_HERE = "01_one_feature_two_heads"  # the others are opened as they were kept after a run
SETTINGS = {
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # cells out of sight exist, too
}


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CROSSKD_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed and CROSSKD_CHROMIUM names none")
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address, token and folder of a JupyterLab of this test's own, on this machine only."""
    folder = tmp_path_factory.mktemp("lab")
    copies, data = folder / "notebooks", folder / "data"
    copies.mkdir()
    data.mkdir()
    cells = [nbformat.v4.new_code_cell(text) for text in (WATCHED, "Watch(Run(), every=0.2)")]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), copies / "watched.ipynb")
    for name, text in SETTINGS.items():
        target = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    homes = {
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": data,
        "JUPYTER_TOKEN": token,
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={copies}"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    log = folder / "lab.log"
    with log.open("w") as out:
        environment = {**os.environ, **{key: str(value) for key, value in homes.items()}}
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, log)
        yield f"http://127.0.0.1:{port}", token, folder
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url, server, log, seconds=60):
    """Return when the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def browser(chromium):
    """One browser for all notebooks."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=options)
        yield started
        started.close()


@pytest.fixture(params=SLIDERS)
def page(request, browser, lab, executed):
    """A notebook, opened; ``page.complaints`` collects errors of the console."""
    _, _, folder = lab
    name, copy = request.param, folder / "notebooks" / f"{request.param}.ipynb"
    if name == RUN_HERE:
        kept, given = str(NOTEBOOKS / copy.name), {"scale": "smoke"}
        papermill.execute_notebook(kept, str(copy), given, prepare_only=True, progress_bar=False)
    else:
        shutil.copy(executed(name), copy)
        notary = NotebookNotary(data_dir=str(folder / "data"))
        notary.sign(nbformat.read(copy, as_version=4))  # trusted, as one's own run is
    opened = open_notebook(browser, lab, name)
    yield opened
    opened.close()


def open_notebook(browser, lab, name):
    address, token, _ = lab
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.name, opened.complaints = name, []
    opened.on("console", lambda m: opened.complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    # A workspace each: one would open its notebook beside those of the tests before.
    opened.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?token={token}")
    return opened


@pytest.mark.timeout(300)
def test_a_slider_turns_its_picture_by_keyboard(page):
    if page.name == RUN_HERE:
        run_all(page)
    label, key = SLIDERS[page.name]
    gallery = page.locator(".gallery", has=page.locator("label", has_text=label)).last
    handle = gallery.locator("input[type=range]").first
    handle.wait_for(timeout=180_000)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
        ".every(p => /\\[\\d+\\]/.test(p.textContent))",
        timeout=180_000,
    )
    picture = gallery.locator(".stage img").first
    handle.scroll_into_view_if_needed()
    before, value = picture.screenshot(), int(handle.input_value())
    handle.focus()
    handle.press(key)
    assert int(handle.input_value()) == value + {"ArrowLeft": -1, "ArrowRight": 1}[key]
    assert picture.screenshot() != before, "the slider moved and its picture stayed"
    handle.press("m")  # JupyterLab would make the cell prose, had the key reached it
    assert page.locator(".jp-CodeCell", has=gallery).count() == 1
    shots = ROOT / "build" / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(shots / f"{page.name[3:]}.png"))
    failed = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert failed.count() == 0, failed.first.inner_text()
    assert page.complaints == []


@pytest.mark.timeout(300)
def test_a_watched_run_is_stopped_by_its_button_and_a_dead_kernel_shows(browser, lab):
    page = open_notebook(browser, lab, "watched")
    run_all(page)
    first, second = (page.locator(".jp-CodeCell").nth(k).locator(".jp-OutputArea") for k in (0, 1))
    button = first.get_by_role("button", name="stop this run")
    first.get_by_text("running, step 10 of 60").wait_for(timeout=180_000)
    second.get_by_text("running, step 10 of 60").wait_for(timeout=60_000)
    assert button.is_enabled()
    button.click()
    first.get_by_text("stopped, step 10 of 60").wait_for(timeout=60_000)
    assert button.is_disabled()
    stale = second.get_by_text("nobody looks any more")
    assert stale.is_hidden()
    page.locator(".lm-MenuBar-itemLabel", has_text="Kernel").first.click()
    page.locator('.lm-Menu-item[data-command="kernelmenu:restart"]').click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    stale.wait_for(timeout=60_000)  # until it is visible
    assert page.complaints == []
    page.close()


def run_all(page):
    """Run all cells from the menu, once the kernel is there."""
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    # Before that, JupyterLab would ask which to start, or run nothing.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()


def png(colour):
    out = io.BytesIO()
    Image.new("RGB", (600, 200), colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_gallery_plays_on_a_page_without_kernel_and_network(browser, tmp_path, width):
    pictures = {(i, m): png((40 * i, 120 * (m == "b"), 0)) for i in range(4) for m in "ab"}
    gallery = Gallery(pictures, ("layer i", "method"), [(1, "a"), (1, "b")])
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body>{gallery.html()}</body>")
    page, complaints = browser.new_page(viewport={"width": width, "height": 800}), []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    left, right = page.locator(".stage img").all()
    sources = lambda: (left.get_attribute("src"), right.get_attribute("src"))  # noqa: E731
    one, other = sources()
    assert one != other and left.get_attribute("alt") == "layer i: 1, method: a"
    assert page.locator("figure").first.is_hidden()
    slider = page.locator("input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    assert [image.get_attribute("alt") for image in (left, right)] == [
        "layer i: 2, method: a",
        "layer i: 2, method: b",
    ], "the first control is common"
    assert one not in sources() and page.locator("output").inner_text() == "2"
    page.locator("select").first.select_option("b")
    assert len(set(sources())) == 1, "each column has a menu of its own"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.close()


@pytest.mark.parametrize(
    ("width", "room"), [(1600, True), (1280, True), (1024, True), (390, False)]
)
def test_the_list_of_chapters_stands_left_of_the_text_where_there_is_room(
    browser, tmp_path, width, room
):
    style = (ROOT / "crosskd_lab" / "notebook" / "templates" / "book.css").read_text()
    chapters = '<nav class="chapters"><ol><li><a href="#">What held and what did not</a></ol></nav>'
    text = f"<!DOCTYPE html><style>{style}</style><body>{chapters}<main>{'word ' * 500}</main>"
    (tmp_path / "page.html").write_text(text)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("nav.chapters").is_visible() == room
    main = page.locator("main").bounding_box()
    assert main["x"] + main["width"] <= width and main["width"] >= min(700, 0.9 * width)
    if room:
        beside = page.locator("nav.chapters").bounding_box()
        assert beside["x"] >= 0 and beside["x"] + beside["width"] < main["x"]
    page.close()


def test_without_script_all_pictures_stand_in_a_row(browser, tmp_path):
    gallery = Frames({i: png((60 * i, 0, 0)) for i in range(3)}, "layer i")
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body>{gallery.html()}</body>")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert [one.is_visible() for one in page.locator("figure img").all()] == [True] * 3
    assert page.get_by_text("layer i: 2").is_visible()
    context.close()
