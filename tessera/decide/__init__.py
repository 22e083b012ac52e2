"""Decide: every campaign, every candidate, one reason each."""
