"""Tessera: till receipts in; personal, capped, explainable messages and points out."""

__version__ = "0.1.0"
