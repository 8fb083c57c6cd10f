"""A run looked at while it trains: refreshed by a thread of the kernel, owned by none."""

from __future__ import annotations

import base64
import html
import io
import shutil
import subprocess
import threading
import time
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from ..errors import LabError
from ..report.figures import watch_figure
from .processes import OVER, Run

# Every look draws it anew and hidden. A page whose kernel is gone is looked at no more: there it
# comes out after a while, by the page's own means.
STALE = (
    "<style>@keyframes crosskd-stale {{to {{visibility: visible}}}}</style>"
    '<span style="visibility: hidden; animation: crosskd-stale 0s {seconds:g}s forwards">'
    " &mdash; nobody looks any more: run this cell again to see how it stands</span>"
)


class Watch:
    """Status, curves, GPUs, the end of the log and a button that stops, until the run is over.

    Closing the notebook ends the looking (``every`` so many seconds) and nothing else; the line
    above the curves then says so.
    """

    def __init__(self, run: Run, every: float = 2.0) -> None:
        self.run, self.every = run, every
        self.line = ipywidgets.HTML()
        self.image = ipywidgets.Image(format="png")
        self.image.layout.max_width = "100%"
        self.log = ipywidgets.HTML()
        self.button = ipywidgets.Button(description="stop this run", icon="stop")
        self.button.on_click(self._stop)
        self._asked = False
        self.widget = ipywidgets.VBox([self.line, self.image, self.log, self.button])
        self._thread: threading.Thread | None = None
        self.look()

    def look(self) -> str:
        """Look once; the run's status."""
        state = self.run.state()
        over = state["status"] in OVER
        said = self._say(state)
        self.line.value = f"<b>{html.escape(said)}</b>"
        if not over:
            self.line.value += STALE.format(seconds=4 * self.every + 4)
        if gpus := gpu_use():
            self.line.value += f"<br>{html.escape(gpus)}"
        # the line alone says how it stands: it can tell when nobody looks any more
        self.image.value = self._draw(state["of"], said if over else "")
        self.log.value = f"<pre>{html.escape(self.run.tail(8))}</pre>"
        self.button.disabled = over or self._asked
        return str(state["status"])

    def _say(self, state: dict[str, Any]) -> str:
        return f"{describe(state, self.run.reason)} (seen at {time.strftime('%H:%M:%S')})"

    def _draw(self, steps: int, said: str) -> bytes:
        out = io.BytesIO()
        watch_figure(self.run.metrics(), steps, said).savefig(out, format="png")
        return out.getvalue()

    def start(self) -> Watch:
        """Look again and again in the background until the run is over."""
        if self._thread is None or not self._thread.is_alive():  # or it was over, and was resumed
            self._thread = threading.Thread(target=self._go_on, daemon=True)
            self._thread.start()
        return self

    def _go_on(self) -> None:
        pause = threading.Event()
        while self.look() not in OVER:
            pause.wait(self.every)

    def _stop(self, _: Any) -> None:
        """Ask the run to end, in the background: it may take a while to answer."""
        self.button.disabled = self._asked = True

        def end() -> None:
            try:
                self.run.stop()
                self.look()
            except LabError as error:
                self.button.disabled = self._asked = False
                self.log.value = f"<b>not stopped</b>: {html.escape(str(error))}"

        threading.Thread(target=end).start()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        state = self.run.state()
        still = self._draw(state["of"], self._say(state))  # for pages that run no widget
        self.start()
        view = self.widget._repr_mimebundle_() or {}
        return {**view, "image/png": base64.b64encode(still).decode()}


def describe(state: dict[str, Any], reason: str | None = None) -> str:
    """One line: "running, step 40 of 240, 3 min left", or "failed, step 7 of 240: ..." of a reason.

    A resumed run still has the reason of its stop, which is not told while it runs.
    """
    words = [
        str(state["status"]),
        f"step {state['step']}" + f" of {state['of']}" * bool(state["of"]),
    ]
    if state.get("left") is not None:
        minutes = state["left"] / 60
        words.append(f"{minutes:.0f} min left" if minutes >= 1 else f"{state['left']:.0f} s left")
    return ", ".join(words) + (f": {reason}" if reason and state["status"] in OVER else "")


def gpu_use() -> str:
    """Memory and use of this machine's GPUs in one line; empty where there is none."""
    if not shutil.which("nvidia-smi"):
        return ""
    asked = "--query-gpu=index,utilization.gpu,memory.used,memory.total"
    said = subprocess.run(
        ["nvidia-smi", asked, "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [] if said.returncode else [line.split(", ") for line in said.stdout.splitlines()]
    return "   ".join(f"GPU {i}: {use} %, {used} of {of} MB" for i, use, used, of in rows)
