"""Hear: what providers and customers say back."""
