"""Decide: who gets what, when, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tessera.decide.planner import DecideReport, decide

__all__ = ["DecideReport", "decide"]


def __getattr__(name: str) -> Any:
    """The pass when it is asked for: `tessera explain` has no need to wait for its libraries."""
    if name in __all__:
        from tessera.decide import planner

        return getattr(planner, name)
    raise AttributeError(name)
