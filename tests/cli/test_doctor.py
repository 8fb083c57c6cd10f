import pytest

import crosskd_lab.engine.doctor
from crosskd_lab.cli import main
from crosskd_lab.engine.doctor import Finding


def _run(capsys, *found):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(crosskd_lab.engine.doctor, "findings", lambda: iter(found))
        main(["doctor"])
    return ended.value.code or 0, capsys.readouterr().out


def test_all_well_exits_with_zero(capsys):
    code, out = _run(capsys, Finding("torch", True, "2.13.0"))
    assert code == 0
    assert out.splitlines()[0].split() == ["OK", "torch", "2.13.0"]


def test_a_fail_says_what_to_do_in_its_line_and_exits_with_one(capsys):
    long = "a detail [with brackets] " + "of many words " * 20
    code, out = _run(
        capsys, Finding("disk", False, long, "free [some] space"), Finding("torch", True, "2.13.0")
    )
    assert code == 1
    first, second, last = out.splitlines()
    assert first.startswith("FAIL disk") and long.strip() in first
    assert first.endswith("-> free [some] space")
    assert second.startswith("OK")
    assert "1 FAIL" in last
