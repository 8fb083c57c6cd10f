"""Whatever stands in it, an error is one line that a terminal can show."""

import pytest

from crosskd_lab.errors import LabError, one_line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a.pth is damaged: fetch it again", "a.pth is damaged: fetch it again"),
        ("one\ntwo\r\n\tthree\u2028four", "one two three four"),
        ("\x1b[2Jred\x07\x00", r"\x1b[2Jred\x07\x00"),
        ("Käse 猫 \udcff \u202egnp.exe", r"Käse 猫 \udcff \u202egnp.exe"),
    ],
)
def test_it_is_one_printable_line(said, shown):
    assert str(LabError(said)) == shown


def test_a_long_one_keeps_the_thing_and_the_remedy():
    line = str(LabError(f"thing {'9' * 10**6}: remedy"))
    assert len(line) < 4010 and len(one_line("x" * 9000, 400)) < 410
    assert line.startswith("thing 9") and line.endswith("9: remedy")


def test_a_notebook_shows_the_line_alone():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell()
    shell.user_ns["LabError"] = LabError
    with capture_output() as shown:
        shell.run_cell("def f():\n    raise LabError('x is missing: say y')\nf()")
    assert shown.stdout.strip() == "crosskd-lab: x is missing: say y"
