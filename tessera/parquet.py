"""Parquet files that were cut short, or are gone, told from whole ones without reading them."""

from __future__ import annotations

import os
from pathlib import Path

MAGIC = b"PAR1"  # at both ends; the last thing written


def is_whole(path: Path) -> bool:
    """Whether the file is there and was written to its end. What was changed inside is not seen."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
            file.seek(-len(MAGIC), os.SEEK_END)
            return begins == MAGIC and file.read() == MAGIC
    except OSError:  # not there, or shorter than its end
        return False
