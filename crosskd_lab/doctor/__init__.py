"""Is this machine fit for the lab? Each check answers in one line, and each FAIL has a remedy."""

from __future__ import annotations

from collections.abc import Iterator

from crosskd_lab.doctor.finding import Finding

__all__ = ["Finding", "examine", "findings"]


def examine() -> list[Finding]:
    """All findings, in an order in which the first FAIL may explain those after it.

    Takes some six seconds, most of them to import mmdet.
    """
    return list(findings())


def findings() -> Iterator[Finding]:
    """The findings of ``examine``, each as soon as it is there."""
    from crosskd_lab.doctor.checks import CHECKS
    from crosskd_lab.doctor.packages import package_findings

    python, *others = CHECKS
    yield python.finding()
    yield from package_findings()
    for check in others:
        yield check.finding()
