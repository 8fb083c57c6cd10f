"""Several runs of one process, step by step in turn: one loader, one look of the teacher a batch.

Each run is what :func:`crosskd_lab.engine.train.train` makes of it alone, to the bit. The runs are
greenlets of one thread, of which one works at a time, and a step begins with random numbers of its
own; so nothing that a process has once (random numbers, loggers, registries) is used by two. In
threads of their own they would be slower: each has its own pool of OpenMP threads and its own heap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from ..configs import RANDOM
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

    def take(self, step: int) -> None:
        """Let the others work until this run is the next to begin a step."""
        began = time.perf_counter()
        self.together.steps[self.run] = step
        self.together.scheduler.switch()
        self.waited += time.perf_counter() - began

    @contextmanager
    def step_of(self, step: int) -> Iterator[None]:
        """A step of this run, when its turn has come."""
        self.take(step)
        self.step = step
        try:
            yield
        finally:
            self.step = None

    def join(self, runner: Any, cfg: Any) -> None:
        """Give a built run its turns, and the batches and teacher's tensors of runs like it."""
        seen = repr((cfg.train_dataloader, runner.seed))
        self.batch_key = "batch", seen
        runner.train_loop.turn = self
        pair = getattr(bare(runner.model), "pair", None)
        if pair is None or not isinstance(pair.teacher_head, HeadAdapter):
            return  # what teachers of RoIs and queries see depends on the student
        if pair.teacher_id["checkpoint"] == RANDOM:
            return  # each has its own
        student = cfg.model.student.get("data_preprocessor")
        key = "teacher", seen, repr((cfg.model.teacher, cfg.model.get("tap"), student))
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


def train_together(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Train several runs side by side, each by its arguments of ``train``; their last validations.

    What stops one (an error, Ctrl-C, SIGTERM) stops all, with their records closed; the runs can be
    resumed together or one by one. LabError: what the first run that failed raised.
    """
    from .train import train

    together = Together(len(runs))
    results: list[dict[str, float]] = [{} for _ in runs]

    def work(number: int) -> None:
        results[number] = train(**runs[number], turn=Turn(together, number))

    tasks = [greenlet(partial(work, number)) for number in range(len(runs))]
    with terminated_as_exit():
        try:
            while together.steps:
                run = together.next()
                tasks[run].switch()
                if tasks[run].dead:
                    del together.steps[run]
        except BaseException:
            for task in filter(None, tasks):  # those that have begun and not ended
                with suppress(KeyboardInterrupt):
                    task.throw(KeyboardInterrupt)
            raise
    return results
