"""The day as Prefect flows: one module per stage, no business rule."""

from tessera.settings import QUIET, export

export(QUIET)  # before Prefect is imported anywhere: importing it is enough for it to phone home
