"""A stand-in for the mail API, for tests and rehearsals: strict, honest, and as unreliable as told."""

from tessera.provider.faults import Faults
from tessera.provider.journal import Journal
from tessera.provider.server import Provider, serve

__all__ = ["Faults", "Journal", "Provider", "serve"]
