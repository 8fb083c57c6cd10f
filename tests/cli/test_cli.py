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


def test_version(run):
    assert run("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_explains_itself(verb, run):
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"crosskd-lab {verb}" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("sweep", "of a seed share batches and the teacher's look at them. The same command again"),
        (
            "data scenes",
            "each. Stopped or damaged sets are made whole by the same command; foreign",
        ),
    ],
)
def test_help_has_the_whole_docstring_as_wide_as_the_terminal(run, monkeypatch, words, line):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(*words.split(), "--help")
    assert line in [text.strip() for text in out.splitlines()]


def test_the_readme_lists_these_verbs_and_no_others():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `crosskd-lab (\w+)`", readme, re.M)) == set(cli.VERBS)


def test_unknown_verb_is_wrong_usage(run):
    code, _, err = run("distil")
    assert code == 2
    assert "distil" in err


def test_lab_error_is_one_line_and_exit_1(add_verb, run):
    def fails() -> None:
        raise LabError("no annotations in x.json: name another file")

    add_verb("fails", fails=fails)
    line = "crosskd-lab: no annotations in x.json: name another file\n"
    assert run("fails") == (1, "", line)


def test_a_bug_keeps_its_traceback(add_verb):
    def breaks() -> None:
        raise ZeroDivisionError

    add_verb("breaks", breaks=breaks)
    with pytest.raises(ZeroDivisionError):
        cli.main(["breaks"])


def test_a_full_disk_is_one_line(add_verb, run):
    def fill():
        raise OSError(errno.ENOSPC, "No space left on device", "a.bin")

    add_verb("fill", fill=fill)
    code, out, error = run("fill")
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert error.startswith(
        "crosskd-lab: [Errno 28] No space left on device: 'a.bin': name another"
    )


def test_a_terminal_without_our_letters_gets_question_marks():
    said = "AP 36.2 – ±0.3 × 2 → Œuvre é 雪"
    code = (
        "import sys, types\nfrom crosskd_lab import cli\nverb = types.ModuleType('say')\n"
        f"verb.say = lambda: print({said!r})\ncli.VERBS = {{'say': 'Say.'}}\n"
        "sys.modules['crosskd_lab.cli.say'] = verb\ncli.main(['say'])"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout == "AP 36.2 ? ?0.3 ? 2 ? ?uvre ? ?\n", done.stderr


def test_ctrl_c_is_exit_130(add_verb, run):
    def stops() -> None:
        raise KeyboardInterrupt

    add_verb("stops", stops=stops)
    assert run("stops")[0] == 130


def test_the_verb_of_contributing_works(add_verb, run):
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n((?:(?!```).)*def depth.*?)```", text, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20
    made = {}
    exec(code, made)
    add_verb("depth", depth=made["depth"])
    assert run("depth", "pocket/gfl_r18_w16")[:2] == (0, "4\n")
    assert run("depth", "nowhere")[0] == 1
