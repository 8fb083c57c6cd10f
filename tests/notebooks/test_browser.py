"""Notebooks in a real browser: all cells run, and a slider turns its picture by keyboard."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import papermill
import pytest

from crosskd_lab.notebook.book import NOTEBOOKS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")

ROOT = Path(__file__).resolve().parents[2]
SLIDERS = {  # notebook: the slider's label, and the key that moves it from where it starts
    "01_one_feature_two_heads": ("layer index i", "ArrowLeft"),
    "04_target_conflict": ("threshold", "ArrowRight"),
    "08_which_layer": ("layer index i", "ArrowRight"),
}
SETTINGS = {
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # cells out of sight exist, too
}


@pytest.fixture(scope="module")
def chromium() -> str:
    """The system's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CROSSKD_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed and CROSSKD_CHROMIUM names none")
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address and token of a JupyterLab of this test's own, on this machine only."""
    folder = tmp_path_factory.mktemp("lab")
    copies = folder / "notebooks"
    copies.mkdir()
    for name in SLIDERS:
        kept, copy = (str(place / f"{name}.ipynb") for place in (NOTEBOOKS, copies))
        given = {"scale": "smoke"}
        if name == "08_which_layer":
            given["out"] = str(folder / "runs")
        papermill.execute_notebook(kept, copy, given, prepare_only=True, progress_bar=False)
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
        yield f"http://127.0.0.1:{port}", token
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
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
def page(request, browser, lab):
    """A notebook, opened; ``page.complaints`` collects errors of the console."""
    address, token = lab
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.name, opened.complaints = request.param, []
    opened.on("console", lambda m: opened.complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    # A workspace each: one would open its notebook beside those of the tests before.
    where = f"lab/workspaces/{request.param}/tree/{request.param}.ipynb"
    opened.goto(f"{address}/{where}?token={token}")
    yield opened
    opened.close()


@pytest.mark.timeout(300)
def test_a_slider_turns_its_picture_by_keyboard(page):
    run_all(page)
    label, key = SLIDERS[page.name]
    slider = page.locator(".widget-hslider", has_text=label)
    handle = slider.locator(".noUi-handle")
    handle.wait_for(timeout=180_000)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
        ".every(p => /\\[\\d+\\]/.test(p.textContent))",
        timeout=180_000,
    )
    picture = page.locator(".widget-vbox", has=slider).last.locator("img.widget-image").first
    handle.scroll_into_view_if_needed()
    before, place, value = picture.screenshot(), source(picture), handle_value(handle)
    handle.focus()
    handle.press(key)
    end = time.monotonic() + 5
    while source(picture) == place and time.monotonic() < end:
        time.sleep(0.02)
    assert handle_value(handle) == value + {"ArrowLeft": -1, "ArrowRight": 1}[key]
    assert picture.screenshot() != before, "the slider moved and its picture stayed"
    shots = ROOT / "build" / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(shots / f"{page.name[3:]}.png"))
    failed = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert failed.count() == 0, failed.first.inner_text()
    assert page.complaints == []


def run_all(page) -> None:
    """Run all cells from the menu, once the kernel is there."""
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    # Before that, JupyterLab would ask which to start, or run nothing.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()


def source(picture) -> str:
    """Where the page has the bytes of a picture: elsewhere for each that it is given."""
    return picture.get_attribute("src")


def handle_value(handle) -> float:
    """What a slider's handle tells a screen reader."""
    return float(handle.get_attribute("aria-valuenow"))
