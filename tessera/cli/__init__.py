"""The `tessera` command."""

from tessera.cli.app import main

__all__ = ["main"]
