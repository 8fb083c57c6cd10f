"""Settings on a config, ``--set KEY=VALUE``: each is applied or refused, none is ignored."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..errors import LabError
from .schedule import DECIDED

MADE_FROM = ("student", "settings", "teacher", "methods", "tap", "model", "data", "schedule")
"""Entries from which the others are made; a setting of any other is applied after that."""
MAY_BE_NEW = ("tap", "vis_backends", "fast", "precision", "tensorboard")
"""Entries that a config need not have."""
RESOLVED = ("teacher", "teacher.config", "teacher.checkpoint", "data.root")
"""Names that stand for what they are read to, so that a completed config says them otherwise."""
GROWING = ("schedule", "data", "teacher", "default_hooks", "randomness")
"""Entries that may gain a key: who reads them refuses one that it does not know."""
READ = (
    *MADE_FROM,
    *("train_dataloader", "train_cfg", "val_dataloader", "val_cfg", "val_evaluator"),
    *("optim_wrapper", "param_scheduler", "auto_scale_lr", "randomness", "load_from"),
    *("default_hooks", "custom_hooks", "default_scope", "env_cfg"),
    *("log_processor", "log_level", "vis_backends", "activation_checkpointing"),
    *("fast", "precision", "tensorboard"),
)
"""Entries that a training reads; mmdet's files say more, to build these from."""


def within(key: str, *places: str) -> bool:
    """Whether a dotted key is one of these entries or lies below one."""
    return any(f"{key}.".startswith(f"{place}.") for place in places)


def check_read(settings: Mapping[str, Any]) -> None:
    """Raise LabError for a key that no training reads, whatever its config."""
    for key, value in settings.items():
        if within(key, "randomness.seed"):
            raise LabError(f"--set {key} would be of the weights alone: say --seed")
        if key == "randomness":  # the seed is in it
            raise LabError(f"--set {key}={value!r}: name an entry below it, or say --seed")
        if key.partition(".")[0] not in READ:
            raise LabError(f"--set {key}: the config's entries are {', '.join(sorted(READ))}")


def replace(cfg: Config, settings: Mapping[str, Any]) -> None:
    """Put values at dotted keys, such as ``{"schedule.steps": 400, "methods.0.i": 2}``.

    LabError for a key that nothing would read, or one by which nothing would change.
    """
    check_read(settings)
    for key, value in settings.items():
        node: Any = cfg
        *parents, last = key.split(".")
        first = key.partition(".")[0]
        if first not in cfg and key not in MAY_BE_NEW:
            entries = sorted(entry for entry in cfg if entry in READ)
            raise LabError(f"--set {key}: the config's entries are {', '.join(entries)}")
        for part in parents:
            node = _below(node, part)
            if node is None:
                raise LabError(f"--set {key}: the config has no {part!r} there")
        if isinstance(node, Mapping) and last not in node:
            place = ".".join(parents)
            # a new entry needs a reader that refuses unknown ones: a class, a loader, the lab
            if not ("type" in node or place in GROWING or place.endswith("_dataloader")):
                known = ", ".join(sorted(node))
                raise LabError(f"--set {key}: no {last!r} is read there, but {known}")
        for kind, said in ((Mapping, "a dict"), ((list, tuple), "a list")):
            needed = key in MADE_FROM or isinstance(node, list)
            may = kind if needed else (kind, type(None))
            if isinstance(_below(node, last), kind) and not isinstance(value, may):
                raise LabError(f"--set {key}={value!r}: give {said}, or name an entry below it")
        try:
            node[int(last) if isinstance(node, list) else last] = value
        except (TypeError, ValueError, IndexError) as error:
            raise LabError(f"--set {key}: the config has no {last!r} there") from error


def check_applied(cfg: Config, settings: Mapping[str, Any], engine: Mapping[str, Any]) -> None:
    """Refuse a completed config that does not say what was set; ``engine`` is what the schedule
    made.

    LabError names the setting, and the one that decides where it is known.
    """
    for key, ours in DECIDED.items():
        now, due = value_at(cfg, key), value_at(engine, key)
        if engine and now != due:
            raise LabError(f"{key} = {now!r} is decided by {ours} ({due!r}): change that instead")
    for key, value in settings.items():
        found = [value_at(cfg, place) for place in (key, _moved(key))]
        if key not in RESOLVED and value not in found:
            made = next((one for one in found if one is not None), None)
            raise LabError(
                f"--set {key}={value!r} would change nothing: the data or another setting makes "
                f"it {made!r}"
            )


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """The words of a command line that make these settings."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def value_at(tree: Any, key: str) -> Any:
    """The entry of a dotted key; None where there is none."""
    for part in key.split("."):
        tree = _below(tree, part)
    return tree


def _below(node: Any, part: str) -> Any:
    try:
        return node[int(part)] if isinstance(node, (list, tuple)) else node[part]
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        return None


def _moved(key: str) -> str:
    """Where an entry of an experiment has gone when student and teacher are one model."""
    first, _, rest = key.partition(".")
    return f"model.student.{rest}".strip(".") if first == "model" else f"model.{key}"
