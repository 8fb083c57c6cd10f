"""Numbers sent elsewhere by mmengine's own backends: nowhere unless asked, and then all of them."""

import sys

import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization.vis_backend import BaseVisBackend

from crosskd_lab.cli.options import parse_settings
from crosskd_lab.engine.train import build_runner, prepare_engine, train, visualizer
from crosskd_lab.errors import LabError

HEARD: list[tuple[str, float, int]] = []


@VISBACKENDS.register_module(force=True)
class Eavesdropper(BaseVisBackend):
    """Keeps what it is told."""

    def _init_env(self) -> None:
        pass

    @property
    def experiment(self) -> object:
        return self

    def add_scalars(self, scalar_dict, step=0, file_path=None, **more) -> None:
        HEARD.extend((name, float(value), step) for name, value in scalar_dict.items())


def every_step(cfg):
    cfg.default_hooks.logger = dict(type="LoggerHook", interval=1)
    return cfg


def smoothed(rows):
    """mmengine sends the mean of the last steps."""
    first, second = (row["loss"] for row in rows if row["kind"] == "train")
    return {1: first, 2: (first + second) / 2}


@pytest.fixture(autouse=True)
def _registered():
    prepare_engine()
    HEARD.clear()


def test_scalars_arrive(tiny, tmp_path):
    asked = {"vis_backends": [{"type": "Eavesdropper"}]}
    cfg = every_step(tiny({**asked, "schedule.steps": 2}))
    rows = []
    results = train(cfg, tmp_path / "run", listeners=[rows.append])
    losses = {step: value for name, value, step in HEARD if name == "loss"}
    assert losses == pytest.approx(smoothed(rows), rel=1e-4)
    assert {"loss_crosskd_cls", "lr"} <= {name for name, _, _ in HEARD}
    (ap,) = [value for name, value, step in HEARD if name == "AP"]
    assert ap == pytest.approx(results["AP"])


def test_tensorboard_by_its_own_reader(tiny, tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard here"
    )
    asked = {"vis_backends": [{"type": "TensorboardVisBackend"}]}
    rows = []
    train(every_step(tiny({**asked, "schedule.steps": 2})), tmp_path, listeners=[rows.append])
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    read = reader.EventAccumulator(str(events.parent))
    read.Reload()
    told = {event.step: event.value for event in read.Scalars("loss")}
    assert told == pytest.approx(smoothed(rows), rel=1e-4)


def test_the_flag_adds_tensorboard_to_the_configs_own(tiny):
    own = {"vis_backends": [{"type": "Eavesdropper"}]}
    given = parse_settings([], tensorboard=True)
    both = visualizer(tiny({**own, **given}))["vis_backends"]
    kinds = ["LocalVisBackend", "Eavesdropper", "TensorboardVisBackend"]
    assert [one["type"] for one in both] == kinds


def test_nothing_is_sent_unless_asked(tiny):
    cfg = tiny()
    assert [one.type for one in cfg.vis_backends] == ["LocalVisBackend"], "mmdet's own"
    assert visualizer(cfg) is None and visualizer(Config()) is None


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ([dict(type="ChalkBackend")], "cannot build .*ChalkBackend is not in the"),
        ([dict(type="WandbVisBackend")], "cannot build .*pip install wandb"),
    ],
)
def test_a_slip_is_told(tiny, tmp_path, monkeypatch, named, says):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(LabError, match=says):
        build_runner(tiny({"vis_backends": named}), tmp_path)
