"""The events the provider posts back: signed batches, late, shuffled, repeated, under new ids."""

from __future__ import annotations

import base64
import json
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tessera import clock
from tessera.errors import BadInput
from tessera.provider.journal import Journal

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
BATCH = 1000
SHARE = (0, 1)  # and no or yes
RANGES = {"repeat": (1, 1000), "late_seconds": (0, 86_400), "batch": (1, 100_000),
          "seed": (0, 2**32)}  # fmt: skip
Event = dict[str, Any]


@dataclass(frozen=True)
class Manner:
    """How unlike a good neighbour it posts."""

    repeat: int = 1  # how often each event comes
    shuffle: bool = False
    change_ids: bool = False  # a repeated event comes under another id
    late_seconds: float = 0.0  # between one batch and the next
    bounces: float = 0.0  # the share of messages that bounce
    complaints: float = 0.0
    opens: float = 0.0
    clicks: float = 0.0
    batch: int = BATCH
    seed: int = 0


def manner(texts: Sequence[str], seed: int = 0) -> Manner:
    """`repeat=3`, `shuffle=1`, `late_seconds=2` and the like."""
    found: dict[str, Any] = {}
    kinds: dict[str, Any] = {one.name: type(one.default) for one in fields(Manner)}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            kind, number = kinds[name], float(value or 1)
        except (KeyError, ValueError):
            raise BadInput(
                f"'{text}' is no manner of posting; there are {', '.join(kinds)}, as repeat=3."
            ) from None
        least, most = RANGES.get(name, SHARE)
        if not least <= number <= most:
            raise BadInput(f"'{text}' is no manner of posting; {name} is from {least} to {most}.")
        found[name] = kind(number)
    return Manner(**{"seed": seed, **found})


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key to sign with."""
    return ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """The other half, as the provider shows it for the settings."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(key: ec.EllipticCurvePrivateKey, timestamp: str, raw: bytes) -> str:
    """The signature over timestamp and raw body."""
    signature = key.sign(timestamp.encode() + raw, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(signature).decode()


def events(journal: Journal, manner: Manner, *, since: int = 0) -> Iterator[Event]:
    """What becomes of every mail that was accepted after the journal's row `since`."""
    chance = random.Random(manner.seed)  # noqa: S311 - a rehearsal, not a secret
    rows = journal.query(
        "select a.send_key, a.address, a.category, a.at, r.id from accepted as a "
        "join request as r on r.number = a.request "
        "where a.channel = 'email' and a.number > ? order by a.number",
        since,
    )
    for send_key, address, category, at, request in rows:
        common = {
            "email": address,
            "send_key": send_key,
            "category": [category] if category else [],
            "sg_message_id": f"{request}.{str(send_key)[:8]}",
        }
        for later, (name, more) in enumerate(_fate(chance, manner)):
            moment = int(float(str(at))) + later
            yield {**common, "event": name, "timestamp": moment, "sg_event_id": _id(), **more}


def _fate(chance: random.Random, manner: Manner) -> Iterator[tuple[str, Event]]:
    yield "processed", {}
    if chance.random() < manner.bounces:
        yield "bounce", {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown"}
        return
    yield "delivered", {"response": "250 OK"}
    if chance.random() < manner.opens:
        yield "open", {"useragent": "Mozilla/5.0", "ip": "192.0.2.1"}
    if chance.random() < manner.clicks:
        yield "click", {"url": "http://localhost/", "useragent": "Mozilla/5.0", "ip": "192.0.2.1"}
    if chance.random() < manner.complaints:
        yield "spamreport", {}


def batches(found: Iterable[Event], manner: Manner) -> list[list[Event]]:
    """The events as they are posted."""
    chance = random.Random(manner.seed)  # noqa: S311 - a rehearsal, not a secret
    each = [again for event in found for again in _repeated(event, manner)]
    if manner.shuffle:
        chance.shuffle(each)
    return [each[start : start + manner.batch] for start in range(0, len(each), manner.batch)]


def _repeated(event: Event, manner: Manner) -> Iterator[Event]:
    yield event
    for _ in range(manner.repeat - 1):
        yield {**event, "sg_event_id": _id()} if manner.change_ids else event


def post(url: str, key: ec.EllipticCurvePrivateKey, batch: Sequence[Event]) -> int:
    """One signed batch; the status that came back, 0 when nobody answered."""
    raw = json.dumps(batch, ensure_ascii=False).encode()
    timestamp = str(int(clock.now().timestamp()))
    headers = {
        SIGNATURE: sign(key, timestamp, raw),
        TIMESTAMP: timestamp,
        "Content-Type": "application/json",
    }
    try:
        return httpx.post(url, content=raw, headers=headers, timeout=30).status_code
    except httpx.HTTPError:
        return 0


def post_all(
    url: str,
    key: ec.EllipticCurvePrivateKey,
    found: Iterable[Event],
    manner: Manner,
    say: Callable[[str], object] = lambda _: None,
) -> int:
    """Post everything, a batch again until it is taken, as the provider does, and say why it is not;
    how many events."""
    number = 0
    for batch in batches(found, manner):
        time.sleep(manner.late_seconds)
        told = None
        while (status := post(url, key, batch)) // 100 != 2:  # noqa: PLR2004
            if status != told:
                say(f"{url} answered {status or 'nothing'}; asking every second.")
            told = status
            time.sleep(1)
        number += len(batch)
    return number


def _id() -> str:
    return secrets.token_urlsafe(16)
