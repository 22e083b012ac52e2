"""Decide: who gets what, when, and why not."""

from tessera.decide.planner import DecideReport, decide

__all__ = ["DecideReport", "decide"]
