"""Formulas as pictures, so that a page shows them where no network brings MathJax."""

from __future__ import annotations

import base64
import html
import io
import re
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from crosskd_lab.errors import LabError

# Code, fenced or inline, comes first: dollars in it are no formulas.
_PIECES = re.compile(r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
_SIZE = 12.0  # points; all lengths are given to the page relative to its own letters


def draw_formulas(markdown: str) -> str:
    """Replace ``$...$`` and ``$$...$$`` by pictures whose alternative text is the formula.

    Raises:
        LabError: naming a formula that matplotlib's mathtext does not know.
    """

    def drawn(match: re.Match[str]) -> str:
        code, display, inline = match.groups()
        if code is not None:
            return code
        formula = " ".join((display or inline).split())
        picture = formula_image(formula)
        return f'<span class="display-formula">{picture}</span>' if display else picture

    return _PIECES.sub(drawn, markdown)


@cache
def formula_image(formula: str) -> str:
    """One formula as an ``<img>`` that sits on the line of its text.

    Raises:
        LabError: if matplotlib's mathtext cannot set it.
    """
    font = FontProperties(size=_SIZE, math_fontfamily="cm")
    try:
        parsed = MathTextParser("path").parse(f"${formula}$", dpi=72, prop=font)
    except ValueError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LabError(f"the formula ${formula}$ cannot be drawn: {reason}") from error
    width, height, depth = parsed[:3]
    figure = Figure(figsize=(width / 72, height / 72))
    figure.text(0, depth / height, f"${formula}$", fontproperties=font)
    out = io.BytesIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    data = base64.b64encode(out.getvalue()).decode()
    style = (
        f"width:{width / _SIZE:.3f}em;height:{height / _SIZE:.3f}em;"
        f"vertical-align:{-depth / _SIZE:.3f}em"
    )
    source = f"data:image/svg+xml;base64,{data}"
    alternative = html.escape(formula, quote=True)
    return f'<img class="formula" alt="{alternative}" style="{style}" src="{source}">'
