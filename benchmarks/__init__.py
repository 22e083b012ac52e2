"""Benchmarks: each against a limit or an alternative measured in the same run."""
