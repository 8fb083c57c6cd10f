import pytest

import crosskd_lab.engine.doctor
from crosskd_lab.engine.doctor import Finding


@pytest.fixture
def doctor(run, monkeypatch):
    """``doctor(*found)``: the verb where these things are found; exit code and stdout."""

    def called(*found):
        monkeypatch.setattr(crosskd_lab.engine.doctor, "findings", lambda: iter(found))
        return run("doctor")[:2]

    return called


def test_all_well_exits_with_zero(doctor):
    code, out = doctor(Finding("torch", True, "2.13.0"))
    assert code == 0
    assert out.splitlines()[0].split() == ["OK", "torch", "2.13.0"]


def test_a_fail_says_what_to_do_in_its_line_and_exits_with_one(doctor):
    long = "a detail [with brackets] " + "of many words " * 20
    code, out = doctor(
        Finding("disk", False, long, "free [some] space"), Finding("torch", True, "2.13.0")
    )
    assert code == 1
    first, second, last = out.splitlines()
    assert first.startswith("FAIL disk") and long.strip() in first
    assert first.endswith("-> free [some] space")
    assert second.startswith("OK")
    assert "1 FAIL" in last
