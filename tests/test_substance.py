"""Which code decides a run: found by its imports, hashed without its words."""

from __future__ import annotations

import ast

import pytest

from crosskd_lab import substance
from crosskd_lab.substance import changed, code_of, hash_of


def of(text: str) -> str:
    return hash_of(ast.parse(text))


def test_words_and_layout_change_nothing():
    plain = of("def f(a):\n    return a + 1\n")
    assert (
        of('"""Module."""\ndef f(a):\n    """Doc."""\n    # why\n    return (a +\n      1)')
        == plain
    )
    assert of("def f(a):\n    return a + 2\n") != plain
    assert of("def f(a=1):\n    return a + 1\n") != plain


def test_a_run_reaches_what_it_uses_and_nothing_else():
    code = code_of({"crosskd_lab.methods.pkd", "crosskd_lab.heads.fcos"})
    assert set(code) >= {
        "losses.py",
        "heads/base.py",
        "heads/fcos.py",
        "methods/base.py",
        "methods/pkd.py",
        "distiller.py",
        "schedule.py",
        "taps.py",
        "training/initial.py",
        "training/draws.py",
        "evaluate.py",
    }
    assert not [n for n in code if n.endswith(("gfl.py", "crosskd.py", "pair.py", "__init__.py"))]


def test_the_configs_that_a_run_names_count_as_code():
    code = code_of([], ["pocket/kd", "pocket/atss_r18_w32", "gfl_r18_w32", "everywhere"])
    parts = ("atss", "gfl", "base", "w16", "w32")
    wanted = {f"configs/pocket/parts/{part}.py" for part in parts}
    wanted |= {f"configs/pocket/{name}.py" for name in ("kd", "gfl_r18_w16", "gfl_r18_w32")}
    wanted |= {"configs/pocket/atss_r18_w32.py"}
    assert {name for name in code if name.startswith("configs/")} == wanted
    assert changed(code) == []
    stale = {**code, "configs/pocket/kd.py": "0", "configs/pocket/gone.py": "1"}
    assert changed(stale) == ["configs/pocket/gone.py", "configs/pocket/kd.py"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of four modules in the place of ours."""
    root = tmp_path / "crosskd_lab"
    (root / "heads").mkdir(parents=True)
    (root / "distiller.py").write_text("from .heads import A\nfrom .record import write\n")
    (root / "record.py").write_text("write = 1\n")
    (root / "heads" / "__init__.py").write_text("from .a import A\nfrom .b import B\n")
    (root / "heads" / "a.py").write_text("A = 1\n")
    (root / "heads" / "b.py").write_text("B = 1\n")
    monkeypatch.setattr(substance, "PACKAGE", root)
    monkeypatch.setattr(substance, "ENTRIES", ("distiller.py",))
    return root


def test_a_changed_module_is_named(package):
    code = code_of([])
    assert set(code) == {"distiller.py", "heads/a.py"}
    (package / "heads" / "b.py").write_text("B = 2\n")
    (package / "heads" / "a.py").write_text("A = 1  # as ever\n")
    assert changed(code) == []
    (package / "heads" / "a.py").write_text("A = 2\n")
    assert changed(code) == ["heads/a.py"]
    (package / "distiller.py").unlink()
    assert changed(code) == ["distiller.py", "heads/a.py"]
