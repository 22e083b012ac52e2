"""Consent: what people agreed to and refused, which addresses are not written to, and whether so many
complain that marketing has to stop."""

from tessera.consent.guard import Guard, complaint_guard
from tessera.consent.ledger import Word, record
from tessera.consent.wordings import Wording, Wordings

__all__ = ["Guard", "Word", "Wording", "Wordings", "complaint_guard", "record"]
