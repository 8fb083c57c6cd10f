"""A race tells of its validations and of nothing else."""

from __future__ import annotations

import warnings

from crosskd_lab.notebook.the_race import calm, tell


def test_every_validation_is_told(capsys):
    tell("crosskd", 0, {"kind": "train", "step": 1, "loss": 3.0})
    tell("crosskd", 0, {"kind": "val", "step": 2, "AP": 12.34})
    assert capsys.readouterr().out == "crosskd, seed 0, step 2: AP 12.3\n"


def test_warnings_are_not(recwarn):
    with calm():
        warnings.warn("an engine's own", stacklevel=1)
    assert not recwarn.list
