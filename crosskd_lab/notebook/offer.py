"""Commands to choose from, each shown, and started at a button; its run is then watched."""

import contextlib
import html
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ipywidgets  # type: ignore[import-untyped]

from ..errors import LabError
from ..runs.processes import Run
from ..runs.watch import Watch


class Command(NamedTuple):
    """What to type, and what starts the same from here."""

    words: str
    start: Callable[[], Run | None]


class Offer:
    """A menu of commands, the chosen one as text, and a button that starts it.

    Nothing starts without a click. What is started goes on when the notebook is closed.
    ``commands`` are by name, ``label`` says what the menu chooses; LabError without a command.
    """

    def __init__(
        self,
        commands: Mapping[str, Command],
        label: str = "row",
        button: str = "reproduce this row",
    ) -> None:
        if not commands:
            raise LabError("there is nothing to start: give at least one command")
        self.commands = dict(commands)
        wide = {"description_width": "initial"}
        self.menu = ipywidgets.Dropdown(
            options=list(commands), description=label, style=wide, layout={"width": "36em"}
        )
        self.text = ipywidgets.HTML()
        self.button = ipywidgets.Button(description=button, icon="play", layout={"width": "16em"})
        self.said = ipywidgets.HTML()
        self.place = ipywidgets.VBox()
        self.menu.observe(self._turn, "value")
        self.button.on_click(self._start)
        self._turn()
        controls = ipywidgets.HBox([self.menu, self.button])
        self.widget = ipywidgets.VBox([controls, self.text, self.said, self.place])

    def _turn(self, change: Any = None) -> None:
        self.text.value = f"<pre>{html.escape(self.commands[self.menu.value].words)}</pre>"

    def _start(self, _: Any) -> None:
        name, told = self.menu.value, io.StringIO()
        try:
            with contextlib.redirect_stdout(told):
                run = self.commands[name].start()
        except LabError as error:
            self.said.value = f"<b>not started</b>: {html.escape(str(error))}"
            return
        self.said.value = f"<b>{html.escape(name)}</b> is under way"
        if run is not None:
            self.place.children = (*self.place.children, Watch(run).start().widget)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        view = dict(self.widget._repr_mimebundle_() or {})
        lines = [f"- {name}: `{command.words}`" for name, command in self.commands.items()]
        return {**view, "text/markdown": "\n".join(lines)}
