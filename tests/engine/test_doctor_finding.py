import warnings

import pytest

from crosskd_lab.engine.doctor import Check, Finding
from crosskd_lab.errors import LabError


def _raise(error):
    raise error


def test_a_look_that_returns_is_ok_and_needs_no_remedy():
    assert Check("disk", lambda: "82 GB free", "free some").finding() == Finding(
        "disk", True, "82 GB free", ""
    )


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (LabError("1 GB free"), "1 GB free"),
        (
            ImportError("libGL.so.1: cannot open\nmore lines"),
            "ImportError: libGL.so.1: cannot open",
        ),
        (RuntimeError(), "RuntimeError: "),
    ],
)
def test_a_look_that_raises_is_a_fail_in_one_line(error, detail):
    finding = Check("disk", lambda: _raise(error), "free some").finding()
    assert finding == Finding("disk", False, detail, "free some")


def test_warnings_of_stock_wheels_are_not_the_users_concern():
    def look() -> str:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return "fine"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Check("torch", look, "").finding().ok
