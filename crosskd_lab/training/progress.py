"""A progress bar over a run's steps, with time left and the latest loss and AP."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm


class StepBar:
    """A listener for :func:`crosskd_lab.training.train` that draws one bar.

    Args:
        steps: Last step of the run.
        title: What is being trained.
        begun: Steps that were done before, when a run is resumed; they do not count as speed.
    """

    def __init__(self, steps: int, title: str, begun: int = 0) -> None:
        self.bar = tqdm(total=steps, desc=title, unit="step", dynamic_ncols=True, initial=begun)
        self.shown: dict[str, str] = {}

    def __call__(self, row: dict[str, Any]) -> None:
        """Move to a row's step."""
        self.bar.update(row["step"] - self.bar.n)
        if row["kind"] == "val" and "AP" in row:
            self.shown["AP"] = f"{row['AP']:.1f}"
        elif "loss" in row:
            self.shown["loss"] = f"{row['loss']:.2f}"
        self.bar.set_postfix(self.shown)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
