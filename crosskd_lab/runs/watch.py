"""A run looked at while it trains: refreshed by a thread of the kernel, owned by none."""

from __future__ import annotations

import base64
import html
import io
import shutil
import subprocess
import threading
from typing import Any, Protocol

import ipywidgets  # type: ignore[import-untyped]
import pandas as pd

from ..report.evidence_figures import watch_figure

OVER = ("done", "failed", "stopped", "interrupted")


class Watched(Protocol):
    """What is asked of a run; :class:`crosskd_lab.runs.processes.Run` is one."""

    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    def state(self) -> dict[str, Any]: ...
    def metrics(self) -> pd.DataFrame: ...
    def tail(self, lines: int = 20) -> str: ...


class Watch:
    """Status, curves, GPUs and the end of the log, until the run is over.

    Closing the notebook ends the looking and nothing else.

    Args:
        run: See :class:`Watched`.
        every: Seconds between two looks.
    """

    def __init__(self, run: Watched, every: float = 2.0) -> None:
        self.run, self.every = run, every
        self.line = ipywidgets.HTML()
        self.image = ipywidgets.Image(format="png")
        self.image.layout.max_width = "100%"
        self.log = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.line, self.image, self.log])
        self._thread: threading.Thread | None = None
        self.look()

    def look(self) -> str:
        """Look once; the run's status."""
        state = self.run.state()
        self.line.value = f"<b>{html.escape(describe(state, self.run.reason))}</b>"
        if gpus := gpu_use():
            self.line.value += f"<br>{html.escape(gpus)}"
        out = io.BytesIO()
        watch_figure(self.run.metrics(), state["of"]).savefig(out, format="png")
        self.image.value = out.getvalue()
        self.log.value = f"<pre>{html.escape(self.run.tail(8))}</pre>"
        return str(state["status"])

    def start(self) -> Watch:
        """Look again and again in the background until the run is over."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, daemon=True)
            self._thread.start()
        return self

    def _go_on(self) -> None:
        pause = threading.Event()
        while self.look() not in OVER:
            pause.wait(self.every)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        self.start()
        return bundle(self.widget, self.image.value)


def bundle(widget: ipywidgets.Widget, static: bytes) -> dict[str, Any]:
    """What a notebook shows of a widget, with a PNG for pages that run none."""
    view = widget._repr_mimebundle_() or {}
    view["image/png"] = base64.b64encode(static).decode()
    return view


def describe(state: dict[str, Any], reason: str | None = None) -> str:
    """One line: "running, step 40 of 240, 3 min left"."""
    words = [
        str(state["status"]),
        f"step {state['step']}" + f" of {state['of']}" * bool(state["of"]),
    ]
    if state.get("left") is not None:
        minutes = state["left"] / 60
        words.append(f"{minutes:.0f} min left" if minutes >= 1 else f"{state['left']:.0f} s left")
    return ", ".join(words) + (f": {reason}" if reason else "")


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
    rows = [line.split(", ") for line in said.stdout.splitlines()]
    return "   ".join(f"GPU {i}: {use} %, {used} of {of} MB" for i, use, used, of in rows)
