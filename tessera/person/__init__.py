"""A person's rights: to see everything that is held of them, to be forgotten, to be one person."""

from tessera.person.erasure import Erasure, erase, resume
from tessera.person.export import Export, export
from tessera.person.journey import journey
from tessera.person.lift import Lifted, lift
from tessera.person.merge import merge, refuse_strangers, undo

__all__ = [
    "Erasure",
    "Export",
    "Lifted",
    "erase",
    "export",
    "journey",
    "lift",
    "merge",
    "refuse_strangers",
    "resume",
    "undo",
]
