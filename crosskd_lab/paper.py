"""From a place in the paper to the code that implements it: ``show("Eq. (2)")``.

Wang et al., CrossKD: Cross-Head Knowledge Distillation for Object Detection, CVPR 2024. Statements
are in our words; ``data/paper`` has the tables.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from pkgutil import resolve_name
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from .errors import LabError
from .files import PROJECT, portable_path

if TYPE_CHECKING:
    import pandas as pd

AP_COLUMNS = ["AP", "AP50", "AP75", "APS", "APM", "APL"]
PAPER = PROJECT / "data" / "paper"


@dataclass(frozen=True)
class Entry:
    """A place in the paper: its ``label`` ("Eq. (2)"), what stands there in Markdown with LaTeX,
    and the ``target``, ``module:name`` of what implements it; None for a table, which is data.
    """

    label: str
    statement: str
    target: str | None = None

    @property
    def object(self) -> Any:
        """The class, function or data frame."""
        if self.target is None:
            return paper_table(int(re.sub(r"\D", "", self.label)))
        return resolve_name(self.target)

    @property
    def where(self) -> str:
        """Dotted name, file and line of the implementation; of a table, its file."""
        if self.target is None:
            return f"data/paper/table{re.sub(r'[^0-9]', '', self.label)}.csv"
        found = inspect.unwrap(self.object)
        file, (lines, line) = inspect.getsourcefile(found), inspect.getsourcelines(found)
        line += next(k for k, at in enumerate(lines) if at.lstrip().startswith(("class ", "def ")))
        dotted = f"{found.__module__}.{found.__qualname__}"
        return f"{dotted}, {portable_path(file or '')}:{line}"

    @property
    def source(self) -> str:
        """The implementation's own text, or the table's."""
        return self.object.to_string() if self.target is None else inspect.getsource(self.object)


_PACKAGE = "crosskd_lab."
_SAID = [
    (
        "Eq. (1)",
        "Prediction mimicking: "
        r"$\mathcal{L}_\text{KD} = \frac{1}{|S|}\sum_r S(r)\,\mathcal{D}_\text{pred}"
        r"(p^s(r), p^t(r))$",
        "methods.crosskd:PredictionMimicking",
    ),
    (
        "Eq. (2)",
        "CrossKD: "
        r"$\mathcal{L}_\text{CrossKD} = \frac{1}{|S|}\sum_r S(r)\,\mathcal{D}_\text{pred}"
        r"(\hat p^s(r), p^t(r))$, with $S(r) = 1$ in the paper",
        "methods.crosskd:CrossKD",
    ),
    (
        "Eq. (3)",
        "The total loss: the detection losses on the student's own predictions plus the "
        "distillation losses on the cross-head predictions, branch by branch",
        "distiller:Distiller.loss",
    ),
    (
        "Sec. 3.1",
        r"Target conflict: $d(r) = \max_c |p^{gt}_c(r) - p^t_c(r)|$, in conflict above 0.5, and "
        "counted per positive location",
        "conflict:Conflict",
    ),
    (
        "Sec. 3.2",
        r"Cross-head prediction: $\hat p^s = C^t_n \circ \dots \circ C^t_{i+1}(f^s_i)$",
        "cross_head:cross_head",
    ),
    (
        "Sec. 3.3, classification",
        r"$\mathcal{D}_\text{pred}$ of the classification branch: quality focal loss towards "
        r"the soft label $\sigma(p^t)$",
        "losses:kd_quality_focal",
    ),
    (
        "Sec. 3.3, regression",
        r"$\mathcal{D}_\text{pred}$ of the regression branch where boxes are distributions: KL",
        "losses:distribution_kl",
    ),
    (
        "Sec. 3.3, boxes",
        r"$\mathcal{D}_\text{pred}$ of the regression branch where boxes are four numbers: GIoU",
        "losses:giou_distance",
    ),
    (
        "Fig. 2",
        "Target conflict on one image: the assigner's targets, the teacher's scores, and where "
        "they contradict each other",
        "conflict:conflict_view",
    ),
    (
        "Fig. 3",
        "How often teachers contradict the student's assigner: locations above a threshold of the "
        "discrepancy, per positive location",
        "conflict:ConflictHistogram",
    ),
    (
        "Fig. 4",
        "The framework: both detectors see a batch, the student's features enter the teacher's "
        "head, and two kinds of losses act on two kinds of predictions",
        "taps:collect",
    ),
    (
        "Fig. 5",
        "Where a distillation loss pulls at the student's features: the gradient, summed over "
        "channels, on one image",
        "gradients:gradient_view",
    ),
    (
        "Fig. 6",
        "Training dynamics: the L1 distance of the student's scores to the teacher's and to the "
        "ground truth, and AP, over training",
        "engine.metrics:ScoreDistances",
    ),
    ("Tab. 1", "Which feature $f_i^s$ to deliver: AP by $i$"),
    ("Tab. 2", "PKD on the neck, on either tower or on both, against CrossKD"),
    ("Tab. 3", "Which branches to distil"),
    ("Tab. 4", "CrossKD and mimicking on the student's own head, alone and together"),
    ("Tab. 5", "CrossKD beside other distillation methods, GFL-R101 teaching GFL-R50"),
    ("Tab. 6", "CrossKD on other detectors: RetinaNet, FCOS, ATSS"),
    ("Tab. 7", "A teacher with another label assigner than the student: ATSS or RetinaNet to GFL"),
    ("Tab. 8", "Teachers and students with unlike backbones"),
]
ENTRIES: dict[str, Entry] = {
    label: Entry(label, statement, *(_PACKAGE + target for target in targets))
    for label, statement, *targets in _SAID
}


def paper_table(number: int) -> pd.DataFrame:
    """Table 1-8 of the paper, one row a row of the table; ``data/paper/README.md`` has the columns.

    AP and its parts in points from 0 to 100, NaN where the paper prints none. Words that the
    paper leaves out are empty. ``source`` is "paper". LabError for another number.
    """
    import pandas as pd  # the method itself needs none

    if number not in range(1, 9):
        raise LabError(f"the paper's text has Tables 1 to 8, not {number}")
    path = PAPER / f"table{number}.csv"
    if not path.is_file():
        raise LabError(f"data/paper/{path.name} is missing: use a whole checkout of the project")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in ["row", *AP_COLUMNS, "gain"]:
        frame[column] = pd.to_numeric(frame[column])
    frame.insert(0, "source", "paper")
    return frame


def entry(label: str) -> Entry:
    """The entry of a place; "eq 2", "Equation (2)" and "Table 3" are understood, LabError for
    others.
    """
    known = {_plain(name): place for name, place in ENTRIES.items()}
    if _plain(label) not in known:
        raise LabError(f"nothing here implements {label!r}; there are: {'; '.join(ENTRIES)}")
    return known[_plain(label)]


def show(label: str) -> None:
    """Print what stands at a place in the paper, where it is implemented, and the source."""
    place = entry(label)
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        print(f"{place.label}. {place.statement}\n{place.where}\n\n{place.source}")
        return
    from IPython.display import Markdown, display

    display(Markdown(f"**{place.label}** {place.statement}\n\n`{place.where}`"))
    display(
        place.object
        if place.target is None
        else Markdown(f"```python\n{dedent(place.source).strip()}\n```")
    )


def _plain(label: str) -> str:
    """A label without the ways of writing it: "eq2" for "Eq. (2)" and "Equation 2"."""
    words = re.sub(r"[^a-z0-9]", "", label.lower())
    return re.sub(r"^(eq|tab|fig|sec)[a-z]+", r"\1", words)
