"""Several runs of one process, step by step in turn: one loader, one look of the teacher a batch.

Each run is what :func:`crosskd_lab.engine.train.train` makes of it alone, to the bit. The runs are
threads of which only one works at a time, and a step begins with random numbers of its own; so
nothing that a process has once (random numbers, loggers, registries) is used by two.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from ..configs import RANDOM
from ..heads.dense import HeadAdapter
from .hooks import bare, terminated_as_exit


class Together:
    """Whose turn it is among so many ``runs``, and what they share."""

    def __init__(self, runs: int) -> None:
        self.steps = dict.fromkeys(range(runs), -1)  # before which step each run stands
        self.changed = threading.Condition()
        self.working: int | None = None
        self.stopped = False
        self.kept: dict[Hashable, dict[int, Any]] = {}
        self.loading: dict[Hashable, tuple[int, Iterator[Any]]] = {}

    def next(self) -> int:
        """The run with the fewest steps, of these the first."""
        return min(self.steps, key=lambda run: (self.steps[run], run))

    def leave(self, run: int) -> None:
        """The run is over."""
        with self.changed:
            del self.steps[run]
            self.working = None
            self.changed.notify_all()

    def stop(self) -> None:
        """No run begins another step."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()

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
        """Wait until this run may begin a step; KeyboardInterrupt where the runs are to stop."""
        together, began = self.together, time.perf_counter()
        with together.changed:
            together.steps[self.run], together.working = step, None
            together.changed.notify_all()
            together.changed.wait_for(
                lambda: (
                    together.stopped or (together.working is None and together.next() == self.run)
                )
            )
            if together.stopped:
                raise KeyboardInterrupt
            together.working = self.run
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
            load = lambda step=step: self.together.load(self.batch_key, loader, step)  # noqa: E731
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
    errors: list[BaseException] = []

    def work(number: int, arguments: Mapping[str, Any]) -> None:
        turn = Turn(together, number)
        try:
            turn.take(-1)  # building is a turn, too
            results[number] = train(**arguments, turn=turn)
        except BaseException as error:
            errors.append(error)
            together.stop()
        finally:
            together.leave(number)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(runs)]
    with terminated_as_exit():
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C and SIGTERM reach the main thread
            together.stop()
            for thread in threads:
                thread.join()
            raise
    if errors:
        raise errors[0]
    return results
