"""The house rules, checked on the code itself: who imports whom, how long, how documented."""

import ast
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "crosskd_lab"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Left never imports right: a room may import itself and the rooms named before it. "__init__" is
# the package's own, which holds the version and installs the stack. Up to "paper" stands the
# door: the method as a library, for whoever wants it in a project of their own.
# fmt: off
DOOR = [
    "errors", "files", "stack", "__init__", "shapes", "losses", "heads", "configs",
    "classes", "pair", "cross_head", "taps", "methods", "distiller", "maps", "conflict",
    "gradients", "paper",
]
LAB = ["data", "engine", "report", "runs", "notebook", "cli"]
ROOMS = [*DOOR, *LAB]
# fmt: on
TORCHLESS = ["data", "engine.record", "engine.provenance", "report", "runs.recipes"]

LONGEST_FILE, LONGEST_FUNCTION = 450, 60  # lines; code lines
MEDIAN_FUNCTION, P90_FUNCTION = 12, 35  # code lines
DOCUMENTED = 0.95  # of the public classes, functions and methods
LARGEST_TRACKED = 8 * 2**20  # bytes


def room_of(module):
    """The room, ``heads`` for ``crosskd_lab/heads/gfl.py``, that a module belongs to."""
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(module):
    """The rooms that a module imports anywhere, inside its functions too."""
    here = ("crosskd_lab", *module.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "crosskd_lab":
                first = rest.split(".")[0]
                yield first if is_room(first) else "__init__"


def is_room(name):
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() if name else False


def test_every_module_is_in_a_room():
    lost = sorted({room_of(module) for module in MODULES} - set(ROOMS))
    assert not lost, (
        f"crosskd_lab/{lost} have no place in the order of imports: add each to ROOMS in "
        "tests/test_architecture.py, after all that it imports and before all that import it"
    )


def test_left_never_imports_right():
    place = {room: index for index, room in enumerate(ROOMS)}
    wrong = {
        f"{module.relative_to(ROOT)} imports {room}"
        for module in MODULES
        for room in imported_rooms(module)
        if place.get(room, 0) > place.get(room_of(module), len(ROOMS))
    }
    assert not wrong, "\n".join(["the order of ROOMS is broken:", *sorted(wrong)])


def test_the_picture_of_the_house_is_its_imports():
    """README.md draws each folder, and the door's single files as the room "root"."""
    drawn = {
        room: set(imports.split())
        for room, imports in re.findall(
            r"^(?:door)? *[┌┤│└]? *(\w+) .*◄ (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE
        )
    }
    real = {}
    for module in MODULES:
        room, *imports = (
            name if (PACKAGE / name).is_dir() else "root"
            for name in (room_of(module), *imported_rooms(module))
        )
        real.setdefault(room, set()).update(set(imports) - {room})
    assert drawn == real


def names_in(file):
    """What a file defines at its top and one class down: ``f``, ``C``, ``C.f``, constants."""
    found = set()
    waiting = [("", n) for n in ast.parse(file.read_text()).body]
    for prefix, node in waiting:
        if isinstance(node, ast.Assign):
            found |= {prefix + target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                waiting += [(f"{node.name}.", inner) for inner in node.body]
    return found


def test_a_config_line_becomes_a_loss_in_the_files_that_contributing_lists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\d\. (.*)$", text, re.MULTILINE)
    assert 0 < len(steps) <= 6
    for step in steps:
        named = re.findall(r"`([^`]+)`", step)
        file = ROOT / named.pop(0)
        assert file.is_file() and named, step
        for name in named:
            if name.endswith(".py"):
                file = ROOT / name
            else:
                assert name in names_in(file), f"{file.relative_to(ROOT)} has no {name}"


def test_imports_are_read_as_python_reads_them(tmp_path, monkeypatch):
    (tmp_path / "heads").mkdir()
    (tmp_path / "losses.py").touch()
    module = tmp_path / "heads" / "gfl.py"
    module.write_text(
        "import crosskd_lab.heads\nfrom .. import losses, __version__\nfrom .base import Head\n"
        "def late():\n    from crosskd_lab.losses import kl\nimport torch\n"
    )
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    assert sorted(imported_rooms(module)) == ["__init__", "heads", "heads", "losses", "losses"]


def test_reading_and_drawing_need_no_torch():
    """Every module of these rooms, in one interpreter."""
    prefixes = tuple(f"crosskd_lab.{room}" for room in TORCHLESS)
    names = [name for name in map(dotted, MODULES) if (name + ".").startswith(prefixes)]
    assert len(names) > 10
    code = f"import importlib, sys\nfor name in {names}:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, f'{name} imports torch'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


POCKET = """
from crosskd_lab.configs import read_config
from crosskd_lab.distiller import Distiller
teacher = dict(config="pocket/gfl_r18_w32", checkpoint="random")
Distiller(read_config("pocket/gfl_r18_w16").model, teacher, ["CrossKD"]).init_weights()
"""


def test_the_door_loads_no_other_room():
    """All of the method's modules, in an interpreter of their own; they build a pocket pair."""
    names = [dotted(module) for module in MODULES if room_of(module) in set(DOOR) - {"stack"}]
    code = f"import importlib, sys\nfor name in {names}:\n    importlib.import_module(name)\n"
    code += (
        f"{POCKET}print(*{{m.split('.')[1] for m in sys.modules if m.startswith('crosskd_lab.')}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & set(LAB), done.stdout


def dotted(module):
    """``crosskd_lab.heads.gfl`` for its file."""
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function, source):
    """Lines from ``def`` to the end without docstring, comments and blank lines.

    The options of a verb are its help text, and do not count.
    """
    first = function.body[0]
    lines = set(range(function.lineno, (function.end_lineno or 0) + 1))
    if any("Annotated" in line for line in source[function.lineno : first.lineno]):
        lines = set(range(first.lineno, (function.end_lineno or 0) + 1))
    if ast.get_docstring(function) is not None:
        lines -= set(range(first.lineno, (first.end_lineno or 0) + 1))
    return sum(bool(re.match(r"\s*[^\s#]", source[line - 1])) for line in lines)


def test_code_lines_are_counted_without_docstring_comment_and_blank():
    source = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    # why\n\n    return a\n'
    (function,) = functions(ast.parse(source))
    assert code_lines(function, source.splitlines()) == 4


def test_files_and_functions_are_short():
    long_files, long_functions, lengths = [], [], []
    for module in MODULES:
        source, name = module.read_text().splitlines(), module.relative_to(ROOT)
        if len(source) > LONGEST_FILE:
            long_files.append(f"{name}: {len(source)} lines")
        for function in functions(ast.parse("\n".join(source))):
            lengths.append(length := code_lines(function, source))
            if length > LONGEST_FUNCTION:
                long_functions.append(f"{name}:{function.lineno} {function.name}: {length}")
    assert not long_files, f"longer than {LONGEST_FILE} lines: {long_files}"
    assert not long_functions, f"more than {LONGEST_FUNCTION} code lines: {long_functions}"
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_FUNCTION


def public(body, prefix):
    """Name and 'has a docstring' of each public class, function and method in ``body``."""
    for node in body:
        is_class = isinstance(node, ast.ClassDef)
        if not (is_class or isinstance(node, ast.FunctionDef)) or node.name.startswith("_"):
            continue
        yield f"{prefix}{node.name}", ast.get_docstring(node) is not None
        if is_class:
            yield from public(node.body, f"{prefix}{node.name}.")


def test_what_is_public_is_documented():
    found = [
        item
        for module in MODULES
        for item in public(ast.parse(module.read_text()).body, f"{module.relative_to(ROOT)}: ")
    ]
    bare = [name for name, documented in found if not documented]
    share = 1 - len(bare) / len(found)
    assert share >= DOCUMENTED, f"{share:.0%} documented; not: " + "\n".join(bare)


def test_modules_say_what_they_hold():
    silent = [
        str(module.relative_to(ROOT))
        for module in MODULES
        if module.read_text().strip() and ast.get_docstring(ast.parse(module.read_text())) is None
    ]
    assert not silent, f"without a docstring: {silent}"


def test_every_module_has_its_test_file():
    """``data/coco.py`` has a ``test_coco*.py``; ``cli`` shares, and tests the error."""
    missing = []
    for module in MODULES:
        path = module.relative_to(PACKAGE)
        if path.name in ("__init__.py", "errors.py") or path.parts[0] == "cli":
            continue
        if not any((ROOT / "tests").rglob(f"test_{path.stem}*.py")):
            missing.append(f"tests/{path.parent}/test_{path.name}")
    assert not missing, "write " + ", ".join(missing)


@pytest.fixture(scope="module")
def tracked():
    """The files that git tracks and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this copy is not a git checkout: nothing says which files belong to it")
    return [path for name in listed.stdout.split("\0")[:-1] if (path := ROOT / name).is_file()]


# In brackets so that the patterns do not find themselves.
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(root|home|Users|work)/[\w.]")
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("open('/ho" + "me/ada/x.json')", True),
        ("see /Us" + "ers/ada/x", True),
        ("https://example.org/home/x", False),
        ("./work/x", False),
    ],
)
def test_a_machine_path_is_known_when_seen(line, found):
    assert bool(MACHINE_PATH.search(line)) == found


def test_tracked_text_is_finished_and_belongs_to_no_machine(tracked):
    offenders = []
    for path in tracked:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or a checkpoint
        offenders += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(lines, 1)
            if MACHINE_PATH.search(line) or UNFINISHED.search(line)
        ]
    assert not offenders, "\n".join(["absolute paths or unfinished marks:", *offenders])


def test_no_tracked_file_is_large(tracked):
    large = [path.name for path in tracked if path.stat().st_size > LARGEST_TRACKED]
    assert not large, f"over 8 MB: {large}"


def test_notebooks_are_kept_without_outputs(tracked):
    run = [
        path.name
        for path in tracked
        if path.suffix == ".ipynb"
        and any(
            cell.get("outputs") or cell.get("execution_count")
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        )
    ]
    assert not run, f"clear the outputs of {run}"
