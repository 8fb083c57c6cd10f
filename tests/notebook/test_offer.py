"""A command is shown before it is started; what refuses to start says why."""

from __future__ import annotations

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.offer import Command, Offer


class Done:
    """A run that is over."""

    status, reason = "done", None

    def state(self):
        return {"status": "done", "step": 4, "of": 4, "left": None}

    def metrics(self):
        return pd.DataFrame(columns=["step", "kind"])

    def tail(self, lines=20):
        return "made again"


def refuse():
    raise LabError("no <GPU> here")


@pytest.fixture
def offer():
    started = []

    def start():
        started.append("kd")
        print("words of the start")
        return Done()

    offer = Offer({"kd": Command("do kd", start), "paper": Command("do paper", refuse)})
    return offer, started


def test_nothing_starts_without_a_click(offer, capsys):
    offer, started = offer
    assert "do kd" in offer.text.value and not started
    offer.button.click()
    assert started == ["kd"] and "under way" in offer.said.value
    (watch,) = offer.place.children
    assert "done, step 4 of 4" in watch.children[0].value
    assert capsys.readouterr().out == ""


def test_a_refusal_is_told(offer):
    offer, _ = offer
    offer.menu.value = "paper"
    assert "do paper" in offer.text.value
    offer.button.click()
    assert "not started" in offer.said.value and "no &lt;GPU&gt; here" in offer.said.value
    assert not offer.place.children


def test_without_widgets_all_commands_are_listed(offer):
    offer, _ = offer
    text = offer._repr_mimebundle_()["text/markdown"]
    assert text == "- kd: `do kd`\n- paper: `do paper`"


def test_no_command_is_an_error():
    with pytest.raises(LabError, match="nothing to start"):
        Offer({})
