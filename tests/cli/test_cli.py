"""The command line as a user meets it: quick help, lazy verbs, mistakes in one line."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from crosskd_lab import __version__, cli
from crosskd_lab.errors import LabError


def run(capsys, *args):
    """Exit code, stdout and stderr of ``crosskd-lab`` called with ``args`` in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


@pytest.fixture
def add_verb(monkeypatch):
    """A function that adds a verb called ``name`` whose module holds ``members``."""

    def add(name: str, **members: object) -> None:
        module = ModuleType(f"crosskd_lab.cli.{name}")
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.VERBS, name, "A verb of this test.")

    return add


def test_help_lists_every_verb_without_importing_torch():
    code = (
        "import sys\nfrom crosskd_lab.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as ended: assert not ended.code\n"
        "assert not {'torch', 'mmdet', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in cli.VERBS)


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_explains_itself(verb, capsys):
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert f"crosskd-lab {verb}" in out


def test_the_readme_lists_these_verbs_and_no_others():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `crosskd-lab (\w+)`", readme, re.M)) == set(cli.VERBS)


def test_unknown_verb_is_wrong_usage(capsys):
    code, _, err = run(capsys, "distil")
    assert code == 2
    assert "distil" in err


def test_lab_error_is_one_line_and_exit_1(add_verb, capsys):
    def fails() -> None:
        raise LabError("no annotations in x.json: name another file")

    add_verb("fails", fails=fails)
    line = "crosskd-lab: no annotations in x.json: name another file\n"
    assert run(capsys, "fails") == (1, "", line)


def test_a_bug_keeps_its_traceback(add_verb):
    def breaks() -> None:
        raise ZeroDivisionError

    add_verb("breaks", breaks=breaks)
    with pytest.raises(ZeroDivisionError):
        cli.main(["breaks"])


def test_a_full_disk_is_one_line(add_verb, capsys):
    def fill():
        raise OSError(errno.ENOSPC, "No space left on device", "a.bin")

    add_verb("fill", fill=fill)
    code, out, error = run(capsys, "fill")
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert error.startswith(
        "crosskd-lab: [Errno 28] No space left on device: 'a.bin': name another"
    )


def test_a_terminal_without_our_letters_gets_the_nearest_ones():
    said = "AP 36.2 – ±0.3 × 2 → Œuvre é 雪"
    code = (
        "import sys, types\nfrom crosskd_lab import cli\nverb = types.ModuleType('say')\n"
        f"verb.say = lambda: print({said!r})\ncli.VERBS = {{'say': 'Say.'}}\n"
        "sys.modules['crosskd_lab.cli.say'] = verb\ncli.main(['say'])"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout == "AP 36.2 - +-0.3 x 2 -> \\u0152uvre e \\u96ea\n", done.stderr


def test_ctrl_c_is_exit_130(add_verb, capsys):
    def stops() -> None:
        raise KeyboardInterrupt

    add_verb("stops", stops=stops)
    assert run(capsys, "stops")[0] == 130


def test_an_app_becomes_a_family(add_verb, capsys):
    import typer

    app = typer.Typer()
    app.command("one")(lambda: print("first"))
    app.command("two")(lambda: print("second"))
    add_verb("family", family=app)
    assert run(capsys, "family", "two") == (0, "second\n", "")


def test_the_verb_of_contributing_works(add_verb, capsys):
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n((?:(?!```).)*def depth.*?)```", text, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20
    made = {}
    exec(code, made)
    add_verb("depth", depth=made["depth"])
    assert run(capsys, "depth", "pocket/gfl_r18_w16")[:2] == (0, "4\n")
    assert run(capsys, "depth", "nowhere")[0] == 1
