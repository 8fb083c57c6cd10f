"""Which code decides a run, and whether it is still the code that made it. No torch.

What decides are the modules of ``DECIDING`` rooms that a run's classes reach by their imports:
losses, heads, methods, the distiller, schedule, draws, initial weights and evaluation, but neither
records nor pictures, and of heads and methods only those that the run uses. What reads configs,
checks pairs and starts processes is left out: whatever it decides stands in the completed config
and in the teacher's checksum, which a record holds besides. Each module is hashed as Python reads
it, without docstrings, comments and layout, so that a better word makes no result stale. The config
files that an experiment names, directly or through others, count as code.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from .provenance import PACKAGE, PROJECT

CONFIGS = PROJECT / "configs"
LONGEST_NAME = 100

DECIDING = (
    "shapes",
    "losses",
    "heads",
    "cross_head",
    "taps",
    "methods",
    "distiller",
    "schedule",
    "training/initial",
    "training/draws",
    "training/metric",
    "evaluate",
)
ENTRIES = (
    *("distiller.py", "schedule.py", "evaluate.py"),
    *("training/initial.py", "training/draws.py", "training/metric.py"),
)


def code_of(modules: Iterable[str], texts: Iterable[str] = ()) -> dict[str, str]:
    """Hashes of all code that decides a run.

    Args:
        modules: Dotted names of the modules that hold the run's methods and adapters.
        texts: Among which are the names of the run's configs below ``configs/``.

    Returns:
        Path below ``crosskd_lab`` (or ``configs/...``) to 8 hex digits, sorted by path.
    """
    todo = [PACKAGE / entry for entry in ENTRIES]
    todo += [PACKAGE / Path(*name.split(".")[1:]).with_suffix(".py") for name in modules]
    found: dict[str, str] = {}
    while todo:
        path = todo.pop()
        name = path.relative_to(PACKAGE).as_posix()
        if name in found:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        found[name] = hash_of(tree)
        todo += [other for other in imported(path, tree) if _decides(other)]
    return dict(sorted((found | _configs_of(texts)).items()))


def current(names: Iterable[str]) -> dict[str, str | None]:
    """The hash that each of these files has now, None for one that is gone."""
    return {name: _now(name) for name in names}


def changed(code: Mapping[str, str], now: Mapping[str, str | None] | None = None) -> list[str]:
    """The files that are no longer those of a record's ``code``, sorted; empty if none is.

    Args:
        code: As :func:`code_of` gave it when the run was recorded.
        now: As :func:`current` gives it, where many records are to be judged at once.
    """
    now = current(code) if now is None else now
    return sorted(name for name, before in code.items() if now.get(name) != before)


def hash_of(tree: ast.Module) -> str:
    """8 hex digits of a module's statements, docstrings left out."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body
            if ast.get_docstring(node, clean=False) is not None:
                node.body = body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:8]


def imported(path: Path, tree: ast.Module) -> list[Path]:
    """Files of the package that a module imports from; a package's names lead to their files."""
    files: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1] if node.level else PACKAGE.parent
            target = base.joinpath(*(node.module or "").split("."))
            files += [f for alias in node.names if (f := _file(target, alias.name))]
    return files


def _file(target: Path, name: str) -> Path | None:
    """Where ``from target import name`` finds the name; None outside the package."""
    if not target.is_relative_to(PACKAGE):
        return None
    module = target.with_name(f"{target.name}.py")
    if module.is_file():
        return module
    if (own := target / f"{name}.py").is_file():
        return own
    listing = target / "__init__.py"
    if not listing.is_file():
        return None
    for node in ast.parse(listing.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level and name in {a.name for a in node.names}:
            return _file(target.joinpath(*(node.module or "").split(".")), name)
    return None  # a registry of the package, which decides nothing by itself


def _configs_of(texts: Iterable[str]) -> dict[str, str]:
    """Hashes of the config files that texts name, and of those that these name in their turn."""
    todo = [CONFIGS / f"{text}.py" for text in texts if len(text) < LONGEST_NAME]
    found: dict[str, str] = {}
    while todo:
        path = todo.pop()
        name = path.relative_to(CONFIGS.parent).as_posix() if path.is_file() else None
        if name is None or name in found:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        found[name] = hash_of(tree)  # which leaves no docstring in it
        words = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        for word in words:
            if isinstance(word, str) and "::" not in word and len(word) < LONGEST_NAME:
                todo.append(path.parent / word if word.endswith(".py") else CONFIGS / f"{word}.py")
    return found


def _decides(path: Path) -> bool:
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return name in DECIDING or name.split("/")[0] in DECIDING


def _now(name: str) -> str | None:
    path = (PACKAGE.parent if name.startswith("configs/") else PACKAGE) / name
    return hash_of(ast.parse(path.read_text("utf-8"))) if path.is_file() else None
