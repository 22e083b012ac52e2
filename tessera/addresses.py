"""Addresses are personal data: the store keeps their hash, never the address itself."""

from __future__ import annotations

import hashlib


def address_hash(address: str) -> str:
    """SHA-256, in hex, of the trimmed and lower-cased address."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()
