"""Addresses are personal data: the store keeps their hash, never the address itself."""

from __future__ import annotations

import hashlib
import re

# What mail servers really take; a display name, a quote or a line break is no part of an address.
_MAILBOX = re.compile(
    r'[^\s@<>()\[\],;:\\"]{1,64}@[^\s@<>()\[\],;:\\"]+\.[^\s@<>()\[\],;:\\".]{2,}'
)


def address_hash(address: str) -> str:
    """SHA-256, in hex, of the trimmed and lower-cased address."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()


def mailbox(address: str) -> str | None:
    """The address as mail servers want it, its domain in ASCII; None when it is not one, or its
    local part is not ASCII, which hardly a server takes."""
    trimmed = address.strip()
    local, _, domain = trimmed.rpartition("@")
    if not _MAILBOX.fullmatch(trimmed) or not local.isascii():
        return None
    try:
        plain = f"{local}@{_in_ascii(domain)}"
    except UnicodeError:
        return None
    # In ASCII a wide comma is a comma: without another look one address would become two.
    return plain if plain.isprintable() and _MAILBOX.fullmatch(plain) else None


def _in_ascii(domain: str) -> str:
    """As registries have it since 2008, when `straße` was told from `strasse`; what they never had, such as
    ☃, as before. UnicodeError: it is no domain."""
    if domain.isascii():
        return domain.encode("idna").decode()
    import idna  # its tables take as long to import as a command's help may take to come

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.encode("idna").decode()
