"""Several runs side by side, step by step in turn: one loader, one look of the teacher a batch.

Each run is what :func:`crosskd_lab.engine.train.train` makes of it alone with as many threads, to
the bit. The runs of a process are greenlets of one thread, of which one works at a time, and a step
begins with random numbers of its own; so nothing that a process has once (random numbers, loggers,
registries) is used by two. In threads of their own they would be slower: each has its own pool of
OpenMP threads and its own heap. On a CPU the runs are parted among processes, as many as there are
threads: a small detector's step gains half as much from a second thread as from a second core.
"""

import _thread
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import mmdet.registry
import torch
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]
from mmengine.registry import Registry

from ..configs import RANDOM
from ..errors import LabError
from ..heads.dense import HeadAdapter
from .hooks import bare, terminated_as_exit


class Together:
    """Whose turn it is among so many ``runs``, and what they share."""

    def __init__(self, runs: int) -> None:
        self.steps = dict.fromkeys(range(runs), -1)  # before which step each run stands
        self.scheduler = getcurrent()
        self.kept: dict[Hashable, dict[int, Any]] = {}
        self.loading: dict[Hashable, tuple[int, Iterator[Any]]] = {}

    def next(self) -> int:
        """The run with the fewest steps, of these the first."""
        return min(self.steps, key=lambda run: (self.steps[run], run))

    def once(self, key: Hashable, step: int, make: Callable[[], Any]) -> Any:
        """What the first run to ask for it at a step has made; kept until all are past the step."""
        made = self.kept.setdefault(key, {})
        if step not in made:
            for old in [old for old in made if old < min(self.steps.values())]:
                del made[old]
            made[step] = make()
        return made[step]

    def load(self, key: Hashable, loader: Any, step: int) -> Any:
        """The batch of a step, from the loader that is at work or from this one."""
        at, batches = self.loading.get(key, (-1, iter(())))
        if at != step:  # the first batch, or a run was resumed from another step than the others
            loader.sampler.start = step * loader.batch_size
            batches = iter(loader)
        self.loading[key] = step + 1, batches
        return next(batches)


class Turn:
    """One run's part in :class:`Together`; ``waited`` so many seconds while others worked."""

    def __init__(self, together: Together, run: int) -> None:
        self.together, self.run, self.waited = together, run, 0.0
        self.step: int | None = None  # the step that the run is in
        self.batch_key: Hashable = None

    @contextmanager
    def step_of(self, step: int) -> Iterator[None]:
        """A step of this run; the others work until it is the next to begin one."""
        began = time.perf_counter()
        self.together.steps[self.run] = step
        self.together.scheduler.switch()
        self.waited += time.perf_counter() - began
        self.step = step
        try:
            yield
        finally:
            self.step = None

    def join(self, runner: Any, cfg: Any) -> None:
        """Give a built run its turns, and the batches and teacher's tensors of runs like it."""
        seen = repr((cfg.train_dataloader, runner.seed))
        fixed = "train_step" in vars(bare(runner.model))  # its batches are numbers of draws
        self.batch_key = "batch", fixed, seen
        runner.train_loop.turn = self
        pair = getattr(bare(runner.model), "pair", None)
        if fixed:
            return  # its step is recorded with the teacher in it
        if pair is None or not isinstance(pair.teacher_head, HeadAdapter):
            return  # what teachers of RoIs and queries see depends on the student
        if pair.teacher_id["checkpoint"] == RANDOM:
            return  # each has its own
        from .train import takes_fast

        looks = cfg.model.teacher, cfg.model.get("tap"), cfg.model.student.get("data_preprocessor")
        form = cfg.get("precision", "fp32"), takes_fast(cfg)
        key = "teacher", seen, repr((*looks, *form))
        look = pair.teacher_step

        def teacher_step(*batch: Any) -> Any:
            if self.step is None:  # outside a step, a validation for instance
                return look(*batch)
            return self.together.once(key, self.step, lambda: look(*batch))

        pair.teacher_step = teacher_step

    def batches(self, loader: Any, step: int) -> Iterator[Any]:
        """Batches from a step on. Each run gets copies: preprocessing changes samples in place."""
        while True:
            load = partial(self.together.load, self.batch_key, loader, step)
            yield deepcopy(self.together.once(self.batch_key, step, load))
            step += 1


def train_together(
    runs: Sequence[Mapping[str, Any]], among: int | None = None
) -> list[dict[str, float]]:
    """Train several runs side by side, each by its arguments of ``train``; their last validations.

    What stops one (an error, Ctrl-C, SIGTERM) stops all, with their records closed; the runs can be
    resumed together or one by one. ``among``: of so many runs these are what is left to do, so that
    each has as many threads as if all ran. LabError: what the first run that failed raised.
    """
    threads, own = torch.get_num_threads(), _modules_of_users()
    told = [pickle.dumps({**run, "listeners": ()}) for run in runs]
    here = "__main__" in own or any(b"__main__" in run for run in told)  # a notebook's own classes
    alone = torch.cuda.is_available() or here
    share = threads if alone else threads // max(1, min(threads, among or len(runs)))
    apart = max(1, min(threads // share, len(runs)))  # processes
    results: list[dict[str, float]] = [{} for _ in runs]
    others = [Others(runs[k::apart], told[k::apart], share, own) for k in range(1, apart)]

    def hear() -> None:
        for other in others:
            other.hear()

    torch.set_num_threads(share)
    try:
        with terminated_as_exit():
            try:
                results[::apart] = _in_turn(runs[::apart], hear)
                for k, other in enumerate(others, 1):
                    results[k::apart] = other.end()
            finally:
                for other in others:
                    other.stop()
    finally:
        torch.set_num_threads(threads)
    return results


def _in_turn(
    runs: Sequence[Mapping[str, Any]], between: Callable[[], None]
) -> list[dict[str, float]]:
    """Train the runs of this process; ``between`` is called after each turn."""
    from .train import train

    together = Together(len(runs))
    results: list[dict[str, float]] = [{} for _ in runs]

    def work(number: int) -> None:
        results[number] = train(**runs[number], turn=Turn(together, number))

    tasks = [greenlet(partial(work, number)) for number in range(len(runs))]
    try:
        while together.steps:
            run = together.next()
            tasks[run].switch()
            if tasks[run].dead:
                del together.steps[run]
            between()
    except BaseException:
        for task in filter(None, tasks):  # those that have begun and not ended
            with suppress(KeyboardInterrupt):
                task.throw(KeyboardInterrupt)
        raise
    return results


def _modules_of_users() -> set[str]:
    """Modules that have registered classes and are neither ours nor OpenMMLab's."""
    kinds = [kind for kind in vars(mmdet.registry).values() if isinstance(kind, Registry)]
    kinds += [kind.parent for kind in kinds if kind.parent]
    found = {known.__module__ for kind in kinds for known in kind.module_dict.values()}
    ours = {"crosskd_lab", "mmdet", "mmcv", "mmengine", "torch"}
    return {module for module in found if module.partition(".")[0] not in ours}


class Others:
    """Runs in a process of their own, told of by a pipe. It stops when the pipe is closed.

    So it does whatever becomes of this process: a kill closes the pipe, too.
    """

    def __init__(
        self,
        runs: Sequence[Mapping[str, Any]],
        told: Sequence[bytes],
        threads: int,
        modules: set[str],
    ) -> None:
        self.listeners = [run.get("listeners", ()) for run in runs]
        self.results: list[dict[str, float]] | None = None
        self.pipe, theirs = Pipe()
        work = "from crosskd_lab.engine.together import work_for_another as w; w(%d)"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", work % theirs.fileno()],  # this one has warned
            pass_fds=[theirs.fileno()],
            stdout=sys.__stderr__,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C is for this process, which stops that one
        )
        theirs.close()
        with suppress(OSError):  # it has failed, and `hear` will tell
            self.pipe.send((threads, sorted(modules), sys.path))
            self.pipe.send(told)

    def hear(self, wait: bool = False) -> None:
        """Hand on the rows that have come; LabError if the runs have failed.

        With ``wait`` until their end.
        """
        while self.results is None and (wait or self.pipe.poll()):
            try:
                kind, told = self.pipe.recv()
            except (EOFError, OSError):
                raise LabError(
                    "one of the processes that trained side by side was killed, by lack of memory "
                    "perhaps: the same command goes on, with fewer at once if OMP_NUM_THREADS=1"
                ) from None
            if kind == "row":
                for listener in self.listeners[told[0]]:
                    listener(told[1])
            elif kind == "end":
                self.results = told
            else:
                raise told

    def end(self) -> list[dict[str, float]]:
        """The last validations, when all have come to their end."""
        self.hear(wait=True)
        return self.results or []

    def stop(self) -> None:
        """Have the process close its records, if it is still at work, and wait for its end."""
        self.pipe.close()
        self.process.wait()


def work_for_another(handle: int) -> None:
    """What the process of :class:`Others` does; ``handle`` is its end of the pipe."""
    pipe = Connection(handle)
    threads, modules, sys.path[:] = pipe.recv()
    from .train import prepare_engine

    prepare_engine()
    for module in modules:
        import_module(module)
    runs = [pickle.loads(told) for told in pipe.recv()]
    over = threading.Event()

    def stop_when_it_is_closed() -> None:
        with suppress(EOFError, OSError):
            pipe.recv()
        if not over.is_set():
            _thread.interrupt_main()

    def tell(kind: str, what: Any) -> None:
        with suppress(OSError):  # nobody hears any more: the runs are being stopped
            pipe.send((kind, what))

    threading.Thread(target=stop_when_it_is_closed, daemon=True).start()
    torch.set_num_threads(threads)
    for number, run in enumerate(runs):
        run["listeners"] = [lambda row, number=number: tell("row", (number, row))]
    ended: tuple[str, Any]
    try:
        ended = ("end", _in_turn(runs, lambda: None))
    except KeyboardInterrupt:
        sys.exit(130)
    except LabError as error:
        ended = ("fault", error)
    except Exception as error:  # a bug, whose traceback cannot be sent
        traceback.print_exc()
        ended = ("fault", LabError(str(error).strip() or type(error).__name__))
    over.set()
    tell(*ended)
