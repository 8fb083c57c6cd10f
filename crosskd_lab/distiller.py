"""The one model that trains: taps, then methods, then one flat dict of losses."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmengine.utils import get_object_from_string
from torch import Tensor, nn

from . import methods
from .configs import RANDOM
from .errors import LabError, one_of
from .heads.base import TAPS
from .methods.base import Method
from .pair import Pair, build_pair, check_teacher_confidence
from .taps import collect


@MODELS.register_module()
class Distiller(BaseDetector):
    """A student that learns from annotations and from a frozen teacher (eq. 3).

    To everything outside it *is* the student: it owns the student's modules under the student's
    own names, so its state dict has exactly the stock detector's keys and loads strictly into
    stock mmdet. The teacher belongs to a plain :class:`Pair` and is in no parameter list, state
    dict, optimiser or process group; it only follows the student to its device. Trainable parts
    of the methods live under ``methods.``; the lab's engine cuts them out of saved students, in a
    script of your own leave out the keys that begin so.

    Args:
        student: ``model`` dict of an mmdet config.
        teacher: ``dict(config=..., checkpoint=...)``, see :func:`crosskd_lab.pair.build_pair`.
        methods: ``[dict(type=CrossKD, i=3), ...]``, or ready methods; their losses add up.
        tap: Where f_i is read: "post_relu" (what made the published numbers) or "pre_relu".
        pair: A ready pair instead of ``student`` and ``teacher``.
        classes: Names of the student's classes, to be matched with ``teacher["classes"]``, by
            default those in the teacher's file.
        data_preprocessor: For mmengine's runner, which hands over that of a config; the student's
            own counts.

    Raises:
        LabError: where these do not fit together.
    """

    def __init__(
        self,
        student: Mapping[str, Any] | None = None,
        teacher: Mapping[str, Any] | None = None,
        methods: Sequence[Mapping[str, Any] | Method | type[Method]] = (),
        tap: str = "post_relu",
        pair: Pair | None = None,
        classes: Sequence[str] | None = None,
        data_preprocessor: Any = None,
    ) -> None:
        one_of("tap", tap, TAPS)
        if isinstance(methods, (Mapping, Method, type)):
            raise LabError("methods is a list, [dict(type=CrossKD, i=3), ...]")
        if pair is not None and (student, teacher, classes) != (None, None, None):
            raise LabError("a ready pair=... has its student, teacher and classes: name it alone")
        if data_preprocessor not in (None, (student or {}).get("data_preprocessor")):
            raise LabError("name the data_preprocessor in the student's model, not beside it")
        if (pair is None) == (student is None or teacher is None):
            raise LabError("a Distiller needs student=... and teacher=..., or a ready pair=...")
        pair = pair or build_pair(student or {}, teacher or {}, classes)
        if tap != "post_relu" and pair.student_head.family != "dense":
            raise LabError(f"tap={tap!r} is for dense heads: leave it out")
        super().__init__(data_preprocessor=pair.student.data_preprocessor)
        self.pair, self.tap = pair, tap
        self.logged = False  # whether the step's numbers are written down, so that methods measure
        self._teacher_checked = pair.young or pair.teacher_id.get("checkpoint") == RANDOM
        for name, module in pair.student.named_children():
            self.add_module(name, module)
        for name, parameter in pair.student.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.methods: Any = nn.ModuleList()
        with torch.random.fork_rng(devices=[]):  # the student starts the same beside any method
            torch.default_generator.manual_seed((torch.initial_seed() + 1) % 2**63)
            for method in map(build_method, methods):
                check_family(method, pair.student_head.family)
                method.attach(pair.student_head, pair.teacher_head)
                self.methods.append(method)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[Any]) -> dict[str, Any]:
        """Scalars by name: the student's own detection losses and every method's; where
        ``logged``, what the methods measure, too.

        LabError where two methods give one name or one gives what is not added up, or the teacher
        scores near nothing.
        """
        if not self.methods:  # nothing to distil: stock training, without the teacher's forward
            head, student = self.pair.student_head, self.pair.student
            if getattr(head, "fast", None) is None:
                return student.loss(batch_inputs, batch_data_samples)
            return head.student_step(student, batch_inputs, batch_data_samples, self.tap)[1]
        taps, losses = collect(self.pair, batch_inputs, batch_data_samples, self.tap)
        if not self._teacher_checked and any(len(gt) for gt in taps.gt_instances):
            head = taps.teacher_head
            check_teacher_confidence(head.flat_cls(taps.teacher.predictions), head.least_confidence)
            self._teacher_checked = True
        for method in self.methods:
            for name, value in _checked(method, method.losses(taps)).items():
                if name in losses:
                    raise LabError(
                        f"two methods give a loss named {name}: list each method once, or "
                        "subclass it with another name"
                    )
                losses[name] = value
            if self.logged:
                losses |= _measured(method, taps, losses)
        return losses

    def predict(self, batch_inputs: Tensor, batch_data_samples: list[Any], **kwargs: Any) -> Any:
        """The student's own detections on ``(N, 3, H, W)``."""
        return self.pair.student.predict(batch_inputs, batch_data_samples, **kwargs)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Any = None) -> Any:
        return self.pair.student._forward(batch_inputs, batch_data_samples)

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """The student's neck features ``(N, C, H_l, W_l)``."""
        return self.pair.student.extract_feat(batch_inputs)

    def init_weights(self) -> None:
        """Initialise the student as stock mmdet would."""
        self.pair.student.init_weights()

    def train(self, mode: bool = True) -> Distiller:
        """Switch the student; the teacher stays in evaluation mode."""
        super().train(mode)
        self.pair.student.training = mode
        return self

    def _apply(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Distiller:
        self.pair.teacher._apply(fn)  # follows .to(), .cuda(), .half() without being registered
        return super()._apply(fn, *args, **kwargs)


def _checked(method: Method, losses: Any) -> dict[str, Tensor]:
    """A method's losses; LabError for what would be left out of the sum, or averaged in silence."""
    name = type(method).__name__
    if not isinstance(losses, Mapping):
        raise LabError(f"{name}.losses gives {type(losses).__name__}: give a dict of named losses")
    for key, value in losses.items():
        if not key.startswith("loss_"):
            raise LabError(f"{name}.losses names {key!r}: only names that begin with loss_ count")
        if not isinstance(value, Tensor):
            raise LabError(f"{name}: {key} is a {type(value).__name__}: give a tensor, a scalar")
        if value.ndim:
            shape = tuple(value.shape)
            raise LabError(f"{name}: {key} is no scalar but {shape}: sum or average it")
    return dict(losses)


def _measured(method: Method, taps: Any, losses: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a method measures; LabError for a name that would be added up, or hide a loss."""
    found = method.measures(taps)
    if wrong := [name for name in found if "loss" in name or name in losses]:
        name = type(method).__name__
        raise LabError(f"{name}.measures names {wrong[0]!r}: give names of its own without 'loss'")
    return found


def check_family(method: Method, family: str) -> None:
    """Raise LabError if a method does not serve this kind of head."""
    if family not in method.families:
        raise LabError(
            f"{type(method).__name__} serves {' or '.join(method.families)} heads, not {family} "
            "ones: CrossKD serves dense and roi heads, DecoderCrossKD decoders"
        )


def build_method(method: Mapping[str, Any] | Method | type[Method]) -> Method:
    """A method from its class or ``dict(type=<class>, **arguments)``; LabError where they do not
    fit.

    Where a config cannot hold classes the type is a name: of one of :mod:`crosskd_lab.methods`
    ("CrossKD"), or a dotted one ("my_package.MyMethod").
    """
    if isinstance(method, Method):
        return method
    arguments = dict(method) if isinstance(method, Mapping) else {"type": method}
    said = arguments.pop("type", None)
    kind: Any = said
    if isinstance(said, str):
        known = {name: one for name, one in vars(methods).items() if _is_method(one)}
        if "." not in said:
            one_of("a method's type", said, [*sorted(known), "the dotted name of your own"])
        kind = known.get(said) or get_object_from_string(said)
    if not _is_method(kind):
        raise LabError(
            f"methods list Method classes, dict(type=CrossKD, i=3), or their dotted names; got "
            f"type={said!r}"
        )
    options = _options(kind)
    for name, value in arguments.items():
        if not options:
            raise LabError(f"{kind.__name__} takes no options, got {name}")
        one_of(f"an option of {kind.__name__}", name, options)
        _check_number(f"{kind.__name__}: {name}", value, options[name])
    try:
        return kind(**arguments)
    except TypeError as error:
        raise LabError(f"{kind.__name__}: {error}") from error


def _is_method(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Method) and kind is not Method


def _options(kind: type) -> dict[str, Any]:
    """Names and types of what a class takes, those that it hands on to its base, too."""
    found: dict[str, Any] = {}
    for build in (vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)):
        took = [*inspect.signature(build).parameters.values()][1:]
        named = [each for each in took if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        found = {each.name: each.annotation for each in named} | found
        if len(named) == len(took):
            break
    return found


POSITIVE = ("temperature", "count", "levels", "channels")
"""Last words of options' names at which 0 divides, or switches a method off."""


def _check_number(name: str, value: Any, kind: Any) -> None:
    """Raise LabError where a number is asked for and another thing, or none that counts, given."""
    kinds = set(get_args(kind)) or {kind}
    if not kinds <= {int, float, NoneType} or (value is None and NoneType in kinds):
        return
    asked, words = ((int, float), "a number") if float in kinds else (int, "a whole number")
    least = -math.inf
    if name.endswith("weight"):
        least, words = 0, f"{words}, 0 or more"
    elif name.replace("_", " ").split()[-1] in POSITIVE:
        least, words = math.ulp(0.0), f"{words} above 0"
    number = isinstance(value, asked) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < least:
        raise LabError(f"{name} = {value!r}: give {words}")
