"""Formulas become pictures that sit on their line; code stays code."""

from __future__ import annotations

import base64
import re

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.book import draw_formulas, formula_image


def lengths(image):
    """Width, height and lowering of a picture, in the page's em."""
    found = re.search(r"width:([\d.]+)em;height:([\d.]+)em;vertical-align:(-?[\d.]+)em", image)
    return tuple(map(float, found.groups()))


def test_formulas_are_replaced_and_the_words_between_stay():
    page = draw_formulas("If $x = 1$ then\n\n$$y = x^2$$\n\nholds.")
    assert page.count("<img") == 2
    assert 'alt="x = 1"' in page and 'alt="y = x^2"' in page
    assert "$" not in page
    assert page.startswith("If <img") and page.endswith("\n\nholds.")


def test_code_with_dollars_stays_code():
    text = "`echo $HOME $PATH` and\n\n```sh\nprice=$5; other=$6\n```\n\nend"
    assert draw_formulas(text) == text


def test_the_picture_is_an_svg_as_large_as_the_formula():
    data = re.search(r'base64,([^"]+)"', formula_image("x")).group(1)
    assert base64.b64decode(data).lstrip().startswith(b"<?xml")
    letter, hanging, fraction = map(lengths, map(formula_image, ("x", "y", r"\dfrac{x}{y}")))
    assert fraction[1] > 1.5 * letter[1], "a fraction is higher than a letter"
    assert lengths(formula_image("xxxx"))[0] > 3 * letter[0], "four letters are wider than one"
    assert hanging[2] < letter[2], "y reaches below the line that x stands on"


def test_a_formula_that_cannot_be_drawn_is_named():
    with pytest.raises(LabError, match=r"the formula \$\\nonsense\{x\}\$ cannot be drawn"):
        draw_formulas(r"so $\nonsense{x}$ it is")


def test_quotes_do_not_break_out_of_the_page():
    assert 'alt="a &lt; b"' in formula_image("a < b")
