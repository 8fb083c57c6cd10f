"""What all tests share: calm threads, a tiny scene set, and the real data where there is some."""

import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported here or in a child process: idle threads must soon sleep, not spin.
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_configure(config: pytest.Config) -> None:
    """Only ``-m cuda`` sees a GPU: the other tests are of the CPU's numbers and its step."""
    gc.disable()  # it finds nothing in what is imported, and takes a quarter of the time for it
    if "cuda" not in (config.option.markexpr or ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


LONG = ["test_processes_run", "test_browser", "test_sweep", "test_notebooks"]  # the longest files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first: late, they would keep one process alone.

    What needs a GPU says, where there is none, that it did not run.
    """
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="without -m cuda or a GPU this did NOT run"))


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process takes a whole file, in the order above, and of the notebooks one at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return nodeid if file.endswith("test_notebooks.py") else file

    config.option.loadscopereorder = False  # it would put the files of most tests first
    return ByFile(config, log)


@pytest.fixture
def as_at_a_terminal() -> Iterator[None]:
    """As at a terminal; a process that nohup started in the background ignores two signals."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    closed = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGHUP, closed)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """``until(holds)``: wait for what comes true by itself, on a busy machine perhaps late."""

    def wait(holds: Callable[[], Any], patience: float = 200.0) -> None:
        deadline = time.monotonic() + patience
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def begin() -> Callable[..., Path]:
    """``begin(folder, **about)``: give a folder the record of a run under way; the folder."""

    def start(folder: Path, **about: Any) -> Path:
        from crosskd_lab.engine.record import start_record

        given: dict[str, Any] = dict(command=["x"], config="", seed=0, teacher=None, methods=None)
        start_record(folder, **given | {"data": {"path": "d", "checksum": "1"}} | about)
        return folder

    return start


@pytest.fixture(autouse=True)
def nothing_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once a process is said once a test."""
    monkeypatch.setattr("crosskd_lab.errors._told", set())


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As many processes train at once as there are threads, and sums are split by them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def memory_given_back() -> Iterator[None]:
    """After each file its models go, and so does what the C library keeps of their memory.

    Little is alive after a training, but its many small tensors leave holes: without this a
    process grows with every file.
    """
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


PRELOADED = ["crosskd_lab.notebook.students", "crosskd_lab.runs.launch", "ipykernel.kernelapp"]
CHILD = """
import os, runpy, sys
import torch
for number, file in ((1, out), (2, err)):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), number)
os.environ.clear()
os.environ.update(env)
os.chdir(cwd)
torch.set_num_threads(1)
sys.argv[:] = words
sys.path[:0] = [str(at) for at in path]
if os.path.isfile(words[0]):
    runpy.run_path(words[0], run_name="__main__")
else:
    exec(words[0], {"__name__": "__main__"})
"""


class Child:
    """A process that runs a file or a text of code as ``python`` would, without its imports' time.

    It is forked from one that has imported the library and done nothing else; ``env`` is this
    process's own by default.
    """

    def __init__(
        self,
        folder: Path,
        words: Sequence[Any],
        path: Sequence[Any] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.out, self.err = folder / "out", folder / "err"
        given = dict(out=self.out, err=self.err, env=env or dict(os.environ), cwd=os.getcwd())
        given |= dict(words=[str(word) for word in words], path=path)
        self.process = context.Process(target=exec, args=(CHILD, given))
        self.process.start()

    def end(self, patience: float = 200) -> tuple[int, str, str]:
        """Wait for its end: exit code, or minus the signal, and what it wrote to both streams."""
        self.process.join(patience)
        assert self.process.exitcode is not None, f"no end in {patience} s: {self.err.read_text()}"
        return self.process.exitcode, self.out.read_text(), self.err.read_text()


@pytest.fixture(scope="session")
def child(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Child]:
    """``child(file or code, *words, path=())`` starts one; ``path`` comes first on ``sys.path``."""
    return lambda *words, **given: Child(tmp_path_factory.mktemp("child"), words, **given)


@pytest.fixture(scope="session")
def scenes_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene set of 24 training and 8 validation images of 96 by 96 pixels; read it only."""
    from crosskd_lab.data.scene_sets import write_scenes

    out = tmp_path_factory.mktemp("scenes") / "tiny"
    return write_scenes(out, size=96, train=24, val=8, seed=0)


@pytest.fixture(scope="session")
def turned_dir(scenes_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene set with its val categories' ids and order turned round; names and boxes stay."""
    out = shutil.copytree(scenes_dir, tmp_path_factory.mktemp("scenes") / "turned")
    file = out / "annotations" / "val.json"
    document = json.loads(file.read_text())
    last = len(document["categories"]) + 1
    for category in document["categories"]:
        category["id"] = last - category["id"]
    for box in document["annotations"]:
        box["category_id"] = last - box["category_id"]
    document["categories"].sort(key=lambda category: category["id"])
    file.write_text(json.dumps(document))
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real COCO-format sets that ``CROSSKD_REAL_DATA`` names; read it only."""
    named = os.environ.get("CROSSKD_REAL_DATA")
    if not named:
        pytest.skip("CROSSKD_REAL_DATA names no folder of real COCO-format sets")
    if not (folder := Path(named)).is_dir():
        pytest.fail(f"CROSSKD_REAL_DATA={named} is no folder: correct it or unset it")
    return folder


@pytest.fixture(scope="session")
def gfl_config() -> Callable[..., dict[str, Any]]:
    """``gfl_config(depth=4, norm=True, classes=3, channels=16)``: a very small GFL's model dict."""

    from mmengine.config import ConfigDict

    def config(
        depth: int = 4, norm: bool = True, classes: int = 3, channels: int = 16, **head: Any
    ) -> dict[str, Any]:
        return dict(
            type="GFL",
            data_preprocessor=dict(type="DetDataPreprocessor", mean=[1.0] * 3, std=[2.0] * 3),
            backbone=dict(type="ResNet", depth=18, base_channels=8, norm_eval=False),
            neck=dict(
                type="FPN",
                in_channels=[8, 16, 32, 64],
                out_channels=channels,
                start_level=1,
                add_extra_convs="on_output",
                num_outs=5,
            ),
            bbox_head=dict(
                type="GFLHead",
                num_classes=classes,
                in_channels=channels,
                feat_channels=channels,
                stacked_convs=depth,
                reg_max=6,
                norm_cfg=dict(type="GN", num_groups=4) if norm else None,
                anchor_generator=dict(
                    type="AnchorGenerator",
                    ratios=[1.0],
                    octave_base_scale=4,
                    scales_per_octave=1,
                    strides=[8, 16, 32, 64, 128],
                ),
                loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0),
                loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
                loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
            )
            | head,
            train_cfg=dict(
                assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1
            ),
            test_cfg=ConfigDict(
                nms_pre=1000,
                min_bbox_size=0,
                score_thr=0.05,
                nms=dict(type="nms", iou_threshold=0.6),
                max_per_img=100,
            ),
        )

    return config


@pytest.fixture(scope="session")
def make_detector(gfl_config: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """``make_detector(seed, **config)``: that GFL with seeded weights and unequal level scales."""

    def make(seed: int = 0, **config: Any) -> Any:
        import torch

        from crosskd_lab.engine.train import prepare_engine
        from crosskd_lab.pair import build_detector

        prepare_engine()
        torch.manual_seed(seed)
        detector = build_detector(gfl_config(**config))
        for level, scale in enumerate(detector.bbox_head.scales):
            scale.scale.data.fill_(1 + 0.1 * level + 0.01 * seed)
        return detector

    return make


@pytest.fixture(scope="session")
def make_pair(make_detector: Callable[..., Any]) -> Callable[..., Any]:
    """``make_pair(seed, **config)``: a student and another teacher of the same build."""

    def make(seed: int = 0, **config: Any) -> Any:
        from crosskd_lab.pair import Pair

        return Pair(make_detector(seed, **config), make_detector(seed + 1, **config))

    return make


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Any]:
    """``make_batch(boxes, seed)``: 64-pixel images, and samples with those boxes (label 0, 1...).

    The last image is padded from 40 pixels of width, so some of its priors count for nothing.
    """

    def make(boxes: Any = None, seed: int = 0) -> tuple[Any, list[Any]]:
        import torch
        from mmdet.structures import DetDataSample
        from mmengine.structures import InstanceData

        if boxes is None:
            boxes = [[[8, 8, 30, 40], [20, 20, 60, 60]], [[2, 4, 34, 50]]]
        samples = []
        for index, of_image in enumerate(boxes):
            width = 40 if index == len(boxes) - 1 else 64
            meta = dict(ori_shape=(64, width), img_shape=(64, width), pad_shape=(64, width))
            sample = DetDataSample(metainfo=dict(meta, batch_input_shape=(64, 64)))
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor(of_image, dtype=torch.float32).reshape(-1, 4),
                labels=torch.arange(len(of_image)),
            )
            samples.append(sample)
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(len(boxes), 3, 64, 64, generator=generator), samples

    return make


@pytest.fixture(scope="session")
def beyond_dense() -> Callable[..., Any]:
    """``beyond_dense("faster" or "deformable", seed, **changes)``: the pocket student, small.

    ``changes`` are dotted keys of its model. Normalisation layers use their running statistics, so
    that a copy in evaluation mode says the same.
    """

    def make(kind: str, seed: int = 0, **changes: Any) -> Any:
        import torch

        from crosskd_lab.configs import read_config
        from crosskd_lab.engine.train import prepare_engine
        from crosskd_lab.pair import build_detector

        prepare_engine()
        cfg = read_config(f"pocket/{kind}_r18_w16")
        cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
        model = cfg.model
        model.backbone.update(base_channels=8, norm_eval=True, init_cfg=None)
        model.neck.in_channels = [8, 16, 32, 64][-len(model.neck.in_channels) :]
        torch.manual_seed(seed)
        detector = build_detector(model)
        detector.init_weights()
        generator = torch.Generator().manual_seed(seed)
        for weight in detector.parameters():  # zero-initialised box branches would hide mistakes
            weight.data += 0.02 * torch.randn(weight.shape, generator=generator)
        return detector.train()  # which is when norm_eval takes effect

    return make


class Halves:
    """Stands in for scikit-learn's mixture: the better half of the losses, and how near it is."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.middle = 0.0

    def fit(self, losses: Any) -> None:
        self.middle = float(losses.mean())

    def predict(self, losses: Any) -> Any:
        return (losses[:, 0] > self.middle).astype(int)

    def score_samples(self, losses: Any) -> Any:
        return -abs(losses[:, 0] - self.middle)


@pytest.fixture
def mixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    """PAA's students without scikit-learn, which the lab does not need otherwise."""
    from mmdet.models.dense_heads import paa_head

    monkeypatch.setattr(paa_head, "skm", types.SimpleNamespace(GaussianMixture=Halves))


class Site(ThreadingHTTPServer):
    """Serves ``files``; each request for a path takes the next of its ``faults``.

    A fault is "truncate" (half of what is left, then the end), "stall" (half, then silence),
    "corrupt" (every byte changed), "no-range" (all from the start), a status code, or bytes, the
    whole answer word for word, the last of them again and again where they end in an ellipsis.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server  # type: ignore[assignment]
        wanted = self.headers.get("Range")
        site.asked.append((self.path, wanted))
        faults = site.faults.get(self.path, [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, bytes):
            answer = fault.removesuffix(b"...")
            self.wfile.write(answer)
            with contextlib.suppress(OSError):  # the client hangs up
                while answer != fault and not site.over.is_set():
                    self.wfile.write(answer[-1:] * 4096)
            self.close_connection = True
            return
        if isinstance(fault, int) or self.path not in site.files:
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        whole = site.files[self.path]
        begin = int(wanted[6:-1]) if wanted and fault != "no-range" else 0
        if begin and begin >= len(whole):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(whole)}")
            self.end_headers()
            return
        body = whole[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        if fault == "corrupt":
            body = bytes(byte ^ 1 for byte in body)
        self.wfile.write(body[: len(body) // 2] if fault in ("truncate", "stall") else body)
        self.wfile.flush()
        if fault == "stall":
            site.over.wait(20)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join(10)
