"""Land: a retailer's files, read through a source mapping, become canonical Parquet."""

from tessera.land.land import LandReport, land, land_engine

__all__ = ["LandReport", "land", "land_engine"]
