"""Tessera: till receipts in; personal, capped, explainable messages and points out."""

import os

__version__ = "0.1.0"

# numpy asks for huge pages, once it is imported, unless it is told not to. What we take and give back by the gigabyte
# lies in pieces soon, and the system has to make room for each: a pass took a twentieth longer.
os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
