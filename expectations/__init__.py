"""The guard at the door: one Great Expectations suite per canonical feed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite


def suite_of(feed: str) -> ExpectationSuite:
    """The suite of `feed`. Great Expectations is imported here: it takes seconds."""
    found: ExpectationSuite = import_module(f"expectations.{feed}").suite
    return found
