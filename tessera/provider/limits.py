"""What the provider's documentation asks of a request; each problem names its field."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Problem = tuple[str, str]  # the field, and what is wrong with it
Body = Mapping[str, Any]
PEOPLE = 1000  # personalizations, and recipients in all
CUSTOM_ARGS_BYTES = SUBSTITUTION_BYTES = 10_000
SUBSTITUTIONS = 10_000
CATEGORIES, CATEGORY_LENGTH = 10, 255
BYTES = 30_000_000
AHEAD_SECONDS = 72 * 3600
GROUPS_TO_DISPLAY = 25
TOP = {"personalizations": list, "from": dict, "subject": str, "content": list, "categories": list,
       "custom_args": dict, "headers": dict, "send_at": int, "batch_id": str, "asm": dict,
       "mail_settings": dict, "tracking_settings": dict, "reply_to": dict, "ip_pool_name": str}  # fmt: skip
PERSON = {"to": list, "cc": list, "bcc": list, "from": dict, "subject": str, "headers": dict,
          "substitutions": dict, "custom_args": dict, "send_at": int}  # fmt: skip
RESERVED = frozenset({"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
                      "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc"})  # fmt: skip
ADDRESS = re.compile(r"[^@\s<>,;]{1,64}@[^@\s<>,;]+\.[^@\s<>,;.]+")
KINDS = ("text/plain", "text/html")


def problems(body: object, now: float) -> list[Problem]:
    """All that is wrong with a request; nothing when it would be taken."""
    if not isinstance(body, dict):
        return [("", "the body is not a JSON object")]
    wrong = list(_types("", body, TOP))
    if wrong:
        return wrong
    people = body.get("personalizations", [])
    found = [*_envelope(body, now), *_crowd(people)]
    for number, person in enumerate(people):
        found += _person(f"personalizations.{number}", person, body, now)
    return found


def _types(where: str, value: Body, known: Mapping[str, type]) -> Iterator[Problem]:
    for name, one in value.items():
        if name not in known:
            yield f"{where}{name}", "is no field of this request"
        elif not isinstance(one, known[name]) or isinstance(one, bool):
            yield f"{where}{name}", f"is not of the type {known[name].__name__}"


def _envelope(body: Body, now: float) -> Iterator[Problem]:
    for name in ("personalizations", "from", "content"):
        if not body.get(name):
            yield name, "is required"
    yield from _address("from", body.get("from"))
    yield from _contents(body.get("content", []))
    yield from _categories(body.get("categories", []))
    yield from _texts("headers", body.get("headers", {}))
    yield from _arguments("custom_args", body.get("custom_args", {}))
    yield from _due("send_at", body.get("send_at"), now)
    asm = body.get("asm")
    if asm is not None and not isinstance(asm.get("group_id"), int):
        yield "asm.group_id", "is required and is a whole number"
    if asm is not None and len(asm.get("groups_to_display", ())) > GROUPS_TO_DISPLAY:
        yield "asm.groups_to_display", f"is more than {GROUPS_TO_DISPLAY}"


def _contents(contents: Sequence[Any]) -> Iterator[Problem]:
    kinds = []
    for number, part in enumerate(contents):
        if not isinstance(part, dict) or not isinstance(part.get("value"), str):
            yield f"content.{number}", "needs a type and a value"
        elif not part["value"]:
            yield f"content.{number}.value", "is empty"
        else:
            kinds.append(part.get("type"))
    if [kind for kind in KINDS if kind in kinds] != kinds:
        yield "content", "is text/plain first, then text/html"


def _categories(categories: Sequence[Any]) -> Iterator[Problem]:
    if len(categories) > CATEGORIES:
        yield "categories", f"is more than {CATEGORIES}"
    if len(set(map(str, categories))) < len(categories):
        yield "categories", "has one twice"
    if any(not isinstance(one, str) or len(one) > CATEGORY_LENGTH for one in categories):
        yield "categories", f"has one that is longer than {CATEGORY_LENGTH} characters"


def _crowd(people: Sequence[Any]) -> Iterator[Problem]:
    """What is asked of all personalizations together."""
    if len(people) > PEOPLE:
        yield "personalizations", f"is more than {PEOPLE}"
    each = [to for person in people if isinstance(person, dict) for to in _recipients(person)]
    if len(each) > PEOPLE:
        yield "personalizations", f"has more than {PEOPLE} recipients"
    if any(times > 1 for times in Counter(each).values()):
        yield "personalizations", "has an address twice"


def _recipients(person: Body) -> Iterator[str]:
    for kind in ("to", "cc", "bcc"):
        for one in person.get(kind, ()):
            yield str(one.get("email", "")).lower() if isinstance(one, dict) else ""


def _person(where: str, person: Any, body: Body, now: float) -> Iterator[Problem]:
    if not isinstance(person, dict):
        yield where, "is not an object"
        return
    wrong = list(_types(f"{where}.", person, PERSON))
    if wrong or not person.get("to"):
        yield from wrong or [(f"{where}.to", "is required")]
        return
    for kind in ("to", "cc", "bcc"):
        for number, one in enumerate(person.get(kind, ())):
            yield from _address(f"{where}.{kind}.{number}", one)
    if not (person.get("subject") or body.get("subject")):
        yield f"{where}.subject", "is required, here or for all"
    yield from _texts(f"{where}.headers", person.get("headers", {}))
    if RESERVED & {name.lower() for name in person.get("headers", {})}:
        yield f"{where}.headers", "has one that is the provider's own"
    yield from _arguments(f"{where}.custom_args", person.get("custom_args", {}))
    yield from _substitutions(f"{where}.substitutions", person.get("substitutions", {}))
    yield from _due(f"{where}.send_at", person.get("send_at"), now)


def _address(where: str, value: Any) -> Iterator[Problem]:
    email = value.get("email") if isinstance(value, dict) else None
    if not isinstance(email, str) or not ADDRESS.fullmatch(email):
        yield f"{where}.email", "is not an address"


def _texts(where: str, values: Body) -> Iterator[Problem]:
    if not all(isinstance(value, str) for value in values.values()):
        yield where, "has a value that is not a text"


def _arguments(where: str, values: Body) -> Iterator[Problem]:
    yield from _texts(where, values)
    if values and len(json.dumps(values, ensure_ascii=False).encode()) > CUSTOM_ARGS_BYTES:
        yield where, f"is more than {CUSTOM_ARGS_BYTES} bytes"


def _substitutions(where: str, values: Body) -> Iterator[Problem]:
    yield from _texts(where, values)
    if len(values) > SUBSTITUTIONS:
        yield where, f"is more than {SUBSTITUTIONS}"
    if len("".join(map(str, (*values, *values.values()))).encode()) > SUBSTITUTION_BYTES:
        yield where, f"is more than {SUBSTITUTION_BYTES} bytes"


def _due(where: str, moment: int | None, now: float) -> Iterator[Problem]:
    if moment is not None and moment > now + AHEAD_SECONDS:
        yield where, "is more than 72 hours ahead"
