"""Which module holds which commands; one line each, in the order --help shows them."""

from __future__ import annotations

from importlib import import_module

import typer

MODULES = (
    "land",
    "run",
    "decide",
    "simulate",
    "calendar",
    "send",
    "hear",
    "bounces",
    "web",
    "answers",
    "customers",
    "quarantine",
    "campaign",
    "person",
    "audit",
    "know",
    "results",
    "ledger",
    "voucher",
    "till",
    "programme",
    "shop",
    "report",
    "up",
    "doctor",
    "provider",
)


def register(app: typer.Typer) -> None:
    """Let every module add its commands to `app`."""
    for name in MODULES:
        import_module(f"tessera.cli.{name}").register(app)
