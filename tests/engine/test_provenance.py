"""What a record says of code, packages and machine."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from crosskd_lab import files
from crosskd_lab.engine import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder in a git repository of its own, with everything committed."""
    folder = tmp_path / "project" / "package"
    folder.mkdir(parents=True)
    (folder / "engine").mkdir()
    (folder / provenance.OWN).write_text("one = 1\n")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    return folder


def test_this_very_checkout_is_known():
    """A fake package would not notice that this file has moved in the real one."""
    asked = ["git", "-C", str(files.PACKAGE), "rev-parse", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("this copy is not a git checkout: there is no commit to know")
    assert provenance.code_version()["commit"] == head.stdout.strip()


def test_clean_and_dirty_code(package):
    clean = provenance.code_version()
    assert len(clean["commit"]) == 40
    assert (clean["dirty"], clean["reason"]) == (False, None)
    (package / "new_method.py").write_text("")
    assert provenance.code_version() == {**clean, "dirty": True}


def test_only_the_package_counts_as_code(package):
    (package.parent / "notebook.ipynb").write_text("executed")
    assert provenance.code_version()["dirty"] is False


def test_a_copy_inside_somebody_elses_repository_is_not_under_git(package, monkeypatch):
    installed = package / "site-packages"
    (installed / "engine").mkdir(parents=True)
    (installed / provenance.OWN).write_text("")
    monkeypatch.setattr(provenance, "PACKAGE", installed)
    version = provenance.code_version()
    assert (version["commit"], version["dirty"]) == (None, None)
    assert "not under git" in version["reason"]


def test_versions_are_those_of_the_installed_packages(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    versions = provenance.package_versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["numpy"] == metadata.version("numpy")
    assert versions["no-such-package"] is None


def test_machine_is_described_without_its_name():
    found = provenance.machine()
    assert found["cpu"] and found["cores"] >= 1 and found["platform"]
    assert found["memory_gib"] is None or found["memory_gib"] > 0
    assert set(found) == {"cpu", "cores", "memory_gib", "platform"}


def test_paths_inside_the_project_become_relative():
    inside = files.PROJECT / "data" / "scenes"
    assert files.portable_path(inside) == "data/scenes"
    assert files.portable_path(str(inside)) == "data/scenes"
    outside = Path("/somewhere/else").absolute()
    assert files.portable_path(outside) == str(outside)
    assert files.portable_path("--seed") == "--seed"
    assert files.portable_path("data/scenes") == "data/scenes"


def test_a_measurement_says_where_it_came_from_without_paths_of_this_machine(monkeypatch):
    inside = str(files.PROJECT / "data" / "scenes")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/crosskd-lab", "conflict", "--data", inside])
    found = provenance.origin()
    assert found["command"] == ["crosskd-lab", "conflict", "--data", "data/scenes"]
    assert found["git"] == provenance.code_version()
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["date"].endswith("Z")
    assert found["machine"] == provenance.machine()
