"""What is set, where it comes from, and what is wrong with it."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from tessera import clock, settings, urls
from tessera.addresses import mailbox
from tessera.documents import nearest
from tessera.errors import TesseraError
from tessera.feeds import FEEDS
from tessera.home import Home
from tessera.settings import Settings
from tessera.urls import without_password
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from tessera.store import Store

PROJECT_FOLDERS = ("dbt", "deployments", "expectations", "flows", "templates")
FREE_BYTES_MIN = 500 * 1024**2
CONNECT_SECONDS_MAX = 5
LINK_SECRET_MIN = 16


@dataclass(frozen=True)
class Value:
    """One setting; `value` is text fit to be shown, secrets masked."""

    setting: str
    value: str
    source: str  # 'command line', 'environment', '.env' or 'default'


@dataclass(frozen=True)
class Problem:
    """What is wrong with a setting and what to do; `advice` does not stop anything."""

    setting: str
    problem: str
    advice: bool = False


def values(loaded: Settings, *, given: frozenset[str] = frozenset()) -> list[Value]:
    """Every setting in force; those in `given` came from the command line."""
    return [
        Value(
            _variable(name),
            _shown(name, getattr(loaded, name)),
            "command line" if name in given else settings.source_of(name),
        )
        for name in Settings.model_fields
    ]


def problems(loaded: Settings) -> list[Problem]:
    """Everything that is wrong, in the order of the settings."""
    checks: dict[str, Callable[[Settings], Iterator[str]]] = {
        "home": _home,
        "project": _project,
        "timezone": _timezone,
        "language": _language,
        "store_url": _store,
        "sendgrid_api_key": _sendgrid_key,
        "sendgrid_host": _sendgrid_host,
        "sms_url": _sms_url,
        "smtp_url": _smtp,
        "sender_email": _sender,
        "sender_name": _sender_name,
        "postal_address": _postal_address,
        "public_url": _public_url,
        "link_secret": _link_secret,
        "sendgrid_webhook_key": _webhook_key,
        "staff_email": _staff,
        "web_proxies": _proxies,
        "prefect_api_url": _prefect,
    }
    found = [
        Problem(_variable(name), sentence)
        for name, ask in checks.items()
        for sentence in ask(loaded)
    ]
    return found + _complaints(loaded) + _anybody(loaded) + _examples(loaded) + _unknown()


def _variable(name: str) -> str:
    return f"TESSERA_{name.upper()}"


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "********"
    text = str(value)
    return without_password(text) if name.endswith("_url") else text


def _home(loaded: Settings) -> Iterator[str]:
    home = loaded.home.expanduser().resolve()
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir():
        yield f"{nearest} is a file; name a folder."
        return
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        yield f"{nearest} cannot be written ({os.strerror(error.errno or 0)}); choose another."
        return
    if shutil.disk_usage(nearest).free < FREE_BYTES_MIN:
        yield f"The disk of {nearest} has less than {FREE_BYTES_MIN >> 20} MB left; free some space."


def _project(loaded: Settings) -> Iterator[str]:
    missing = [name for name in PROJECT_FOLDERS if not (loaded.project / name).is_dir()]
    if missing:
        yield f"{loaded.project} has no {', '.join(missing)}; name the folder of your checkout."
    for path in sorted((loaded.project / "expectations").glob("*.py")):
        if path.stem not in FEEDS and re.search(rb"(?m)^suite\b", path.read_bytes()):
            near = nearest(path.stem, FEEDS)
            yield f"expectations/{path.name} is the suite of no feed and judges nothing.{near}"


def _timezone(loaded: Settings) -> Iterator[str]:
    try:
        clock.zone(loaded.timezone)
    except TesseraError as error:
        yield str(error)


def _language(loaded: Settings) -> Iterator[str]:
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(loaded.language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        yield f"'{loaded.language}' is not a language; use a tag such as en, de or pt-BR."


def _store(loaded: Settings) -> Iterator[str]:
    """Whether the store opens, and can be written. A SQLite file that is not there yet is left to the first
    command."""
    if not _has_store(loaded):
        return
    try:
        with closing(Workspace(loaded, clock.now()).store) as store:
            yield from _unwritten(store)
    except TesseraError as error:
        yield str(error)
    except OSError as error:
        yield f"The store cannot be opened: {error.strerror}."


def _unwritten(store: Store) -> Iterator[str]:
    """SQLite opens what it can only read. It is not asked, for it would have us wait for who writes."""
    from sqlalchemy.exc import DBAPIError

    from tessera import audit
    from tessera.store import why

    says = "The store can be read but not written: {}. Let the user or role that Tessera works as write it."
    if store.engine.dialect.name == "sqlite":
        path = Path(store.engine.url.database or "").resolve()
        closed = [place for place in (path, path.parent) if not os.access(place, os.W_OK)]
        if closed:
            yield says.format(f"{closed[0]} is read-only")
        return
    try:
        with store.write() as connection:
            connection.run(audit.SQL["record_nothing"])
    except DBAPIError as error:
        yield says.format(why(error))


def _has_store(loaded: Settings) -> bool:
    return loaded.store_url is not None or Home(loaded.home.expanduser().resolve()).store.exists()


def _complaints(loaded: Settings) -> list[Problem]:
    """Whether so many complain that marketing is stopped, if the store opens."""
    from tessera.consent import complaint_guard

    if not _has_store(loaded) or any(_store(loaded)):
        return []
    ws = Workspace(loaded, clock.now())
    with ws.store.read() as connection:
        guard = complaint_guard(connection, ws.as_of)
    ws.store.close()
    if guard.state == "open":
        return []
    what = "Marketing is stopped" if guard.stopped else "Marketing will be stopped at 0.2 %"
    sentence = f"{what}: {guard}. Find out what people complain of."
    return [Problem("complaints", sentence, advice=not guard.stopped)]


def _sendgrid_key(loaded: Settings) -> Iterator[str]:
    if loaded.messenger == "sendgrid" and loaded.sendgrid_api_key is None:
        yield "The messenger is sendgrid, which needs an API key; set it, or TESSERA_MESSENGER=file."


def _sendgrid_host(loaded: Settings) -> Iterator[str]:
    return _web(loaded.sendgrid_host, "https://api.sendgrid.com")


def _public_url(loaded: Settings) -> Iterator[str]:
    return _web(loaded.public_url, "https://club.shop.example")


def _sms_url(loaded: Settings) -> Iterator[str]:
    return _web(loaded.sms_url, "https://gateway.example/messages") if loaded.sms_url else iter(())


def _web(url: str, example: str) -> Iterator[str]:
    parts = urls.split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        yield f"'{without_password(url)}' is not a web address; write it as {example}."


def _smtp(loaded: Settings) -> Iterator[str]:
    if loaded.messenger != "smtp":
        return
    if loaded.smtp_url is None:
        yield "The messenger is smtp, which needs a server; set smtp://user:password@host:port."
        return
    parts = urls.split(loaded.smtp_url.get_secret_value())
    if parts is None or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        yield "This is not a mail server's address; write smtp://user:password@host:port."
        return
    address = parts.hostname, parts.port or (465 if parts.scheme == "smtps" else 587)
    try:
        socket.create_connection(address, CONNECT_SECONDS_MAX).close()
    except (OSError, UnicodeError) as error:
        yield f"The mail server {address[0]}:{address[1]} does not answer: {error}."


def _webhook_key(loaded: Settings) -> Iterator[str]:
    from sendgrid.helpers.eventwebhook import EventWebhook

    if loaded.sendgrid_webhook_key is None:
        return
    try:
        EventWebhook(loaded.sendgrid_webhook_key)
    except Exception:
        yield "This is not a public key; copy it from SendGrid's page on signed event webhooks."


def _link_secret(loaded: Settings) -> Iterator[str]:
    secret = loaded.link_secret
    if secret is not None and len(secret.get_secret_value()) < LINK_SECRET_MIN:
        yield f"It has fewer than {LINK_SECRET_MIN} characters and can be guessed; use a random one."


def _sender(loaded: Settings) -> Iterator[str]:
    if mailbox(loaded.sender_email) != loaded.sender_email:  # as sending sees it
        yield f"'{loaded.sender_email}' is not an e-mail address; set the one your mail comes from."


def _sender_name(loaded: Settings) -> Iterator[str]:
    if not loaded.sender_name.isprintable():
        yield "It has a line end or control character; write one line."


def _postal_address(loaded: Settings) -> Iterator[str]:
    if not loaded.postal_address.strip():
        yield "It is blank; mail must say where the sender can be found."


def _staff(loaded: Settings) -> Iterator[str]:
    if loaded.staff_email is not None and mailbox(loaded.staff_email) is None:
        yield f"'{loaded.staff_email}' is not one e-mail address, so that nobody is written to."


def _proxies(loaded: Settings) -> Iterator[str]:
    """As the server reads them; what is no address or network would never be met."""
    given = [] if loaded.web_proxies == "*" else loaded.web_proxies.split(",")
    for one in map(str.strip, given):
        try:
            ipaddress.ip_network(one) if "/" in one else ipaddress.ip_address(one)
        except ValueError:
            yield f"'{one}' is no address or network of a proxy; write 10.0.0.7 or 10.0.0.0/24."


def _prefect(loaded: Settings) -> Iterator[str]:
    import httpx

    if loaded.prefect_api_url is None:
        return
    try:
        health = f"{loaded.prefect_api_url.rstrip('/')}/health"
        httpx.get(health, timeout=CONNECT_SECONDS_MAX).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        yield "No Prefect server answers there; start it, or unset this to use the home's own."


def _anybody(loaded: Settings) -> list[Problem]:
    """Whether whoever comes past the proxy may say who asks."""
    if loaded.web_proxies != "*":
        return []
    said = "'*' believes anybody who says who asks, so that no limit holds; name your proxies."
    return [Problem(_variable("web_proxies"), said, advice=True)]


def _examples(loaded: Settings) -> list[Problem]:
    """Example values that must not go out to real people."""
    if loaded.messenger == "file":
        return []
    return [
        Problem(_variable(name), "This is still the example; mail should carry your own.", True)
        for name in ("sender_email", "postal_address", "public_url")
        if getattr(loaded, name) == Settings.model_fields[name].default
    ]


def _unknown() -> list[Problem]:
    """Variables that look like settings and are none: usually a slip of the pen."""
    known = [_variable(name) for name in Settings.model_fields]
    given = [*settings.environment(), *settings.in_dotenv()]
    strangers = {name for name in given if re.match(r"(?i)\W*TESSERA_", name)}
    return [
        Problem(name, f"There is no such setting.{_nearest(name, known)}", True)
        for name in sorted(strangers)
        if name.upper() not in known
    ]


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
