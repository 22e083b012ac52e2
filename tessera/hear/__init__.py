"""Hear: what providers say of our messages, and the engine's own rows on their way back in."""

from tessera.hear.export import ExportReport, export
from tessera.hear.hearing import HearReport, hear

__all__ = ["ExportReport", "HearReport", "export", "hear"]
