"""A made-up shop whose customers buy with rhythm, for demos, tests and benchmarks."""
