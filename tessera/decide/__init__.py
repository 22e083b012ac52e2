"""Decide: who gets what, when, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tessera.decide.planner import decide
    from tessera.decide.report import DecideReport

__all__ = ["DecideReport", "decide"]


def __getattr__(name: str) -> Any:
    """The pass when it is asked for: `tessera explain` has no need to wait for its libraries."""
    if name not in __all__:
        raise AttributeError(name)
    from tessera.decide import planner, report

    return planner.decide if name == "decide" else report.DecideReport
