"""Student and frozen teacher: the only place that loads, checks, freezes and hides a teacher."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import WEIGHT_INITIALIZERS, DefaultScope
from torch import Tensor, nn

from .classes import listed, match_classes, trained_classes
from .configs import RANDOM, detector_of, read_config, teacher_file
from .errors import LabError
from .files import here_or_in_project, sha256
from .heads import adapter_of
from .heads.base import HeadTaps
from .heads.dense import HeadAdapter
from .stack.checkpoints import read_weights
from .stack.weights import register_checkpoint_loader

_PREFIX = re.compile(r"(?:(?:module|model|architecture|student|detector|_orig_mod|ema)\.|ema_)+")
"""What may stand before a weight's name: PyTorch's wrappers, MMRazor, Lightning, averages."""


@dataclass
class Pair:
    """Two detectors that see the same images. A plain object, so no module registers the teacher.

    Attributes:
        student: A stock mmdet detector, trained.
        teacher: A stock mmdet detector, frozen: eval mode, no gradient.
        teacher_id: Where the teacher came from and the sha256 of its file, for the run's record.
        young: Whether a teacher that scores near nothing is meant.
        classes: Names of the student's classes in the order of its channels, and of the teacher's;
            None where they are not known, and then only their number is compared. Equal names in
            another order are matched: the teacher's adapter gives its scores in the student's.
    """

    student: Any  # nn.Module's attributes are untyped
    teacher: Any
    teacher_id: dict[str, str | None] = field(default_factory=dict)
    young: bool = False
    classes: tuple[Sequence[str] | None, Sequence[str] | None] = (None, None)

    def __post_init__(self) -> None:
        self.teacher.eval().requires_grad_(False)
        self.student_head: Any = adapter_of(self.student)
        self.teacher_head: Any = adapter_of(self.teacher)
        self._match_classes()
        check_pair(self)

    @torch.no_grad()
    def teacher_step(
        self, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """What the teacher makes of ``(N, 3, H, W)``, see :meth:`HeadFamily.teacher_step`."""
        return self.teacher_head.teacher_step(self.teacher, inputs, data_samples, tap, student)

    def _match_classes(self) -> None:
        ours, theirs = self.classes
        order = match_classes(ours, theirs) if ours and theirs else None
        if order and not isinstance(self.teacher_head, HeadAdapter):
            raise LabError(
                "student and teacher have the same classes in another order, which only dense "
                "heads can be read in: order the categories of the data as the teacher's are"
            )
        if order:
            self.teacher_head.class_order = order


def build_pair(
    student: Mapping[str, Any], teacher: Mapping[str, Any], classes: Sequence[str] | None = None
) -> Pair:
    """Build both detectors and load the teacher.

    Args:
        student: The ``model`` part of an mmdet config, whose ``classes`` are known by these names.
        teacher: ``config`` (an mmdet config file, its name, or a ``model`` dict), ``checkpoint``
            (a file, a shipped teacher's name, or "random" for an untrained one), ``classes``, its
            classes' names, and ``young=True`` for one that has learnt too little to score anything
            yet.

    Raises:
        LabError: for a teacher that cannot be built, loaded in full, or paired.
    """
    unknown = set(teacher) - {"config", "checkpoint", "classes", "young"}
    if unknown or "config" not in teacher or "checkpoint" not in teacher:
        raise LabError(
            "a teacher is dict(config=..., checkpoint=...) "
            f"(checkpoint={RANDOM!r} for an untrained one), got keys: {', '.join(teacher)}"
        )
    if not isinstance(young := teacher.get("young", False), bool):
        raise LabError(f"teacher.young is True or False, got {young!r}")
    model, checkpoint = teacher["config"], teacher["checkpoint"]
    if not isinstance(checkpoint, (str, Path)):
        raise LabError(f"teacher.checkpoint is {checkpoint!r}: name a file, or {RANDOM!r}")
    if not isinstance(model, Mapping):
        model = detector_of(read_config(model)).model
    detector = build_detector(model)
    known, teacher_id = teacher.get("classes"), {"checkpoint": RANDOM, "sha256": None}
    if checkpoint == RANDOM:
        detector.init_weights()
    else:
        checkpoint = teacher_file(str(checkpoint))
        load_in_full(detector, checkpoint)
        teacher_id = {"checkpoint": Path(checkpoint).name, "sha256": sha256(checkpoint)}
        if classes and not known:
            known = trained_classes(Config(), checkpoint)
    return Pair(build_detector(student), detector, teacher_id, young, (classes, known))


def build_detector(model: Mapping[str, Any]) -> Any:
    """A stock mmdet detector from its ``model`` dict, weights not yet initialised.

    LabError, with mmdet's reason, where it cannot be built.
    """
    import mmdet.models  # noqa: F401  (registers what the config names)

    register_checkpoint_loader()  # for what a detector loads while it is built or initialised
    try:
        with DefaultScope.overwrite_default_scope("mmdet"):
            return MODELS.build(dict(model))
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise LabError(
            f"mmdet cannot build the detector: {reason[-1] if reason else error}"
        ) from error


def load_in_full(detector: nn.Module, checkpoint: str | Path) -> None:
    """Load weights so that nothing is missing, left over or of another shape; else LabError.

    Prefixes that wrappers, averages and other frameworks put before the names are taken off, and
    that is said.
    """
    weights = in_full(read_weights(checkpoint), detector.state_dict(), Path(checkpoint).name)
    detector.load_state_dict(weights, strict=False)


def in_full(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], file: str
) -> dict[str, Tensor]:
    """The weights of a ``file`` by a detector's ``own`` names, as :func:`load_in_full` has them."""
    weights, said = without_prefixes(weights, own)
    if said:
        print(f"{file}: {said}", file=sys.stderr)
    both = own.keys() & weights.keys()
    missing = {k for k in own.keys() - both if not k.endswith("num_batches_tracked")}
    reshaped = {k for k in both if own[k].shape != weights[k].shape}
    # what a cast in silence would make numbers of
    integers = {k for k in both if own[k].is_floating_point() > weights[k].is_floating_point()}
    config = "it belongs to another config; name the config that it was trained with"
    quantised = "quantised models have them; name the file that it was made from"
    for what, keys, remedy in (
        ("has integers for", integers, quantised),
        ("has no weights for", missing, config),
        ("has weights that the detector lacks:", weights.keys() - both, config),
        ("has other shapes for", reshaped, config),
    ):
        if keys:
            raise LabError(f"checkpoint {file} {what} {listed(sorted(keys), 3)}: {remedy}")
    return weights


@WEIGHT_INITIALIZERS.register_module()
class WholeBackbone:
    """Initialiser ``dict(type="WholeBackbone", checkpoint=FILE)`` for a detector's backbone.

    mmengine's own ``Pretrained`` passes over keys that do not fit; this one raises LabError.
    mmengine initialises a module's parts after the module itself, except for the initialiser of
    that name; so the parts are told here that they have been. ``checkpoint`` is a file with the
    backbone's own keys, relative to the project's folder.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = here_or_in_project(checkpoint)

    def __call__(self, module: nn.Module) -> None:
        """Load the file into ``module``, and let nothing initialise its parts after that."""
        load_in_full(module, self.checkpoint)
        for part in module.modules():
            if hasattr(part, "init_weights"):
                part.is_init = True  # type: ignore[assignment]


def without_prefixes(
    weights: Mapping[str, Tensor], own: Iterable[str]
) -> tuple[dict[str, Tensor], str]:
    """A file's weights by a detector's ``own`` names where only a known prefix differs; and how.

    Where a file holds one weight under several names, the detector's own name wins, then the
    shortest prefix. Unknown names stay as they are. What was done is said in words, or "".
    """
    flat = {name.replace(".", "_"): name for name in own}  # as mmdet 2 names averaged weights
    known = set(flat.values())
    found = {name: value for name, value in weights.items() if name in known}
    cut: Counter[str] = Counter()
    for name in sorted((name for name in weights if name not in known), key=len):
        prefix = _PREFIX.match(name)
        bare = name[prefix.end() :] if prefix else name
        bare = flat.get(bare, bare)
        if prefix and bare in known:
            found.setdefault(bare, weights[name])
            cut[prefix[0]] += 1
        else:
            found[name] = weights[name]
    words = ", ".join(f"{prefix!r} ({count})" for prefix, count in cut.items())
    return found, f"took prefixes off the names of weights: {words}" if cut else ""


def check_pair(pair: Pair) -> None:
    """Raise LabError where input normalisation, classes or strides differ: training would be
    nonsense.
    """
    ours, theirs = pair.student_head, pair.teacher_head
    if ours.family != theirs.family:
        raise LabError(
            f"the student has a {ours.family} head, the teacher a {theirs.family} head: nothing "
            "of one fits into the other; choose a teacher of the student's kind"
        )
    look, other = _look(pair.student.data_preprocessor), _look(pair.teacher.data_preprocessor)
    for name in look:
        if look[name] != other[name]:
            raise LabError(
                f"student and teacher normalise images by different {name} ({look[name]} and "
                f"{other[name]}): give both one data_preprocessor"
            )
    for head, names, whose in zip(
        (ours, theirs), pair.classes, ("student", "teacher"), strict=True
    ):
        if names and len(names) != head.num_classes:
            raise LabError(
                f"the {whose}'s head scores {head.num_classes} classes, but {len(names)} are "
                f"named: {', '.join(names)}"
            )
    if ours.num_classes != theirs.num_classes:
        raise LabError(
            f"the student knows {ours.num_classes} classes, the teacher {theirs.num_classes}: "
            "set num_classes of the student, or train a teacher on these classes"
        )
    if ours.strides != theirs.strides:
        raise LabError(
            f"the student's levels have strides {ours.strides}, the teacher's {theirs.strides}: "
            "give both necks the same start_level and num_outs"
        )


def _look(preprocessor: Any) -> dict[str, Any]:
    """How images are normalised: with nothing said, by a mean of 0 and a std of 1."""
    look: dict[str, Any] = {}
    for name, usual in (("mean", 0.0), ("std", 1.0)):
        said = getattr(preprocessor, name, torch.full((3,), usual))
        look[name] = [round(value, 4) for value in said.flatten().tolist()]
    look["order of channels"] = (
        "turned" if getattr(preprocessor, "_channel_conversion", False) else "as read"
    )
    return look


def check_teacher_confidence(teacher_scores: Tensor, least: float = 0.05) -> None:
    """Refuse a teacher that scores near nothing: it did not load, or belongs to other images.

    Of class log-odds ``(N, P, K)`` on a batch with objects, an untrained focal-loss head gives 0.01
    everywhere, a softmax head 1 / (K + 1).
    """
    best = teacher_scores.sigmoid().max().item()
    if not best >= least:
        raise LabError(
            f"the teacher's best score on the first batch is {best:.4f} (untrained heads stay "
            f"below {least:.2f}): its weights did not load or its images are normalised otherwise; "
            "check it with 'crosskd-lab eval'; if it has only begun to learn and you mean it, say "
            "--set teacher.young=True"
        )
