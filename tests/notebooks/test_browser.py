"""Notebook 01 in a real browser: all cells run, and the slider turns the picture by keyboard."""

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

from crosskd_lab.book import NOTEBOOKS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_one_feature_two_heads.ipynb"
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
    copy = folder / "notebooks" / NAME
    copy.parent.mkdir()
    papermill.execute_notebook(
        str(NOTEBOOKS / NAME), str(copy), {"scale": "smoke"}, prepare_only=True, progress_bar=False
    )
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
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={copy.parent}"),
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


@pytest.fixture
def page(chromium, lab):
    """The notebook, opened; ``page.complaints`` collects errors of the console."""
    address, token = lab
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        opened = browser.new_page(viewport={"width": 1400, "height": 1000})
        opened.complaints = []
        opened.on(
            "console", lambda m: opened.complaints.append(m.text) if m.type == "error" else None
        )
        opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.goto(f"{address}/lab/tree/{NAME}?token={token}")
        yield opened
        browser.close()


@pytest.mark.timeout(240)
def test_the_slider_turns_the_picture_by_keyboard(page):
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    # Before the kernel is there, JupyterLab would ask which to start, or run nothing.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    handle = page.locator(".noUi-handle")
    handle.wait_for(timeout=120_000)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
        ".every(p => /\\[\\d+\\]/.test(p.textContent))",
        timeout=60_000,
    )
    picture = page.locator(".widget-image, img.widget-image").first
    before = picture.get_attribute("src")
    handle.focus()
    handle.press("ArrowLeft")
    page.wait_for_function(
        "old => document.querySelector('.widget-image').src !== old", arg=before, timeout=5_000
    )
    assert handle.get_attribute("aria-valuenow") in ("2", "2.0")
    handle.scroll_into_view_if_needed()
    shots = ROOT / "build" / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(shots / "one_feature_two_heads.png"))
    failed = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert failed.count() == 0, failed.first.inner_text()
    assert page.complaints == []
