"""A made-up shop whose customers buy with rhythm, for demos, tests and benchmarks."""

from tessera.shop.shop import Made, make_shop

__all__ = ["Made", "make_shop"]
