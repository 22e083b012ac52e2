"""The provider's HTTP side: takes mail and text messages, checks them, and answers as told."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tessera import clock
from tessera.errors import BadInput
from tessera.provider import limits
from tessera.provider.faults import TAKEN, Faults
from tessera.provider.journal import Accepted, Journal, Request
from tessera.provider.substitute import contents

Reply = tuple[int, dict[str, str], object]  # status, headers, JSON
NOTHING: Reply = (202, {}, None)
FIELDS_TOLD = 100


@dataclass
class Provider:
    """The state behind the server."""

    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    hang_seconds: float = 60.0
    retry_after_seconds: float = 1.0
    watch: Callable[[str, dict[str, Any]], None] = lambda _moment, _body: None
    url: str = ""
    unwelcome: frozenset[str] = frozenset()  # addresses it will not take, whatever they look like
    held: dict[str, str] = field(default_factory=dict)  # batches that are paused or cancelled
    _ended: threading.Event = field(default_factory=threading.Event)

    def mail(self, raw: bytes, *, compressed: bool) -> Reply | None:
        """One `mail/send` request; None means that the connection is cut."""
        size = len(raw)
        try:
            raw = gzip.decompress(raw) if compressed else raw
            body = json.loads(raw)
        except (OSError, EOFError, ValueError, zlib.error):
            return 400, {}, _errors([("", "the body is not JSON")])
        wrong = limits.problems(body, self._now()) or list(self._unwelcome(body))
        if len(raw) > limits.BYTES or wrong:
            return self._refused(body, wrong, size, len(raw))
        request = self._request(body, size, len(raw))
        if body.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            self.journal.write(request, "sandbox", 200, ())
            return 200, {}, None
        return self._answer(request, body, list(_mails(body)))

    def sms(self, raw: bytes) -> Reply | None:
        """One text message."""
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        wrong = list(_sms_problems(body))
        if wrong:
            return 400, {}, _errors(wrong)
        one = Accepted(
            "sms", body["send_key"], hashlib.sha256(body["text"].encode()).hexdigest(), body["to"]
        )
        return self._answer(self._request(body, len(raw), len(raw)), body, [one])

    def hold(self, raw: bytes) -> Reply:
        """Pauses or cancels what is scheduled under a batch id."""
        try:
            body = json.loads(raw)
            self.held[str(body["batch_id"])] = str(body["status"])
        except (ValueError, KeyError, TypeError):
            return 400, {}, _errors([("batch_id", "is required, and a status")])
        return 201, {}, body

    def let_go(self, batch_id: str) -> Reply:
        """What was paused is sent when it is due."""
        self.held.pop(batch_id, None)
        return 204, {}, None

    def control(self, raw: bytes) -> Reply:
        """`{"answers": [...], "chances": {...}}`: what to do with the requests to come."""
        try:
            asked = json.loads(raw or b"{}")
            if "answers" in asked:
                self.faults.will(*asked["answers"])
            if "chances" in asked:
                self.faults.chances(asked["chances"])
        except (BadInput, ValueError, TypeError, AttributeError) as error:
            return 400, {}, _errors([("", str(error))])
        return 200, {}, self.journal.totals()

    def close(self) -> None:
        """Ends what hangs."""
        self._ended.set()

    def _answer(
        self, request: Request, body: dict[str, Any], messages: list[Accepted]
    ) -> Reply | None:
        answer = self.faults.next()
        self.watch("before", body)
        half = messages[: (len(messages) + 1) // 2] if answer == "partly" else messages
        accepts = answer in (TAKEN, "partly") or answer.endswith("-after")
        status = {"partly": 500, "500-after": 500}.get(answer)
        if status is None and answer.isdigit():
            status = int(answer)
        self.journal.write(request, answer, status, half if accepts else ())
        self.watch("after", body)
        if answer.startswith("hang"):
            self._ended.wait(self.hang_seconds)
        if status is None:
            return None
        reset = str(int(self._now() + self.retry_after_seconds))
        headers = {"X-Message-Id": request.id, "X-RateLimit-Reset": reset}
        return status, headers, None if status == 202 else _errors([])  # noqa: PLR2004

    def _unwelcome(self, body: Mapping[str, Any]) -> Iterator[limits.Problem]:
        for number, person in enumerate(body["personalizations"]):
            if person["to"][0]["email"] in self.unwelcome:
                yield f"personalizations.{number}.to.0.email", "is not taken"

    def _refused(self, body: Any, wrong: list[limits.Problem], wire: int, size: int) -> Reply:
        status = 413 if size > limits.BYTES else 400
        people = body.get("personalizations", ()) if isinstance(body, dict) else ()
        request = Request(_id(), wire, size, len(people), self._now())
        self.journal.write(request, "refused", status, ())
        return status, {}, _errors(wrong)

    def _request(self, body: Mapping[str, Any], wire: int, size: int) -> Request:
        people = len(body.get("personalizations", (1,)))
        return Request(_id(), wire, size, people, self._now(), body.get("batch_id"))

    def _now(self) -> float:
        return clock.now().timestamp()


def _mails(body: Mapping[str, Any]) -> Iterator[Accepted]:
    category = next(iter(body.get("categories", ())), None)
    for person, parts in zip(body["personalizations"], contents(body), strict=True):
        arguments = {**body.get("custom_args", {}), **person.get("custom_args", {})}
        yield Accepted(
            "email",
            arguments.get("send_key", ""),
            hashlib.sha256("\0".join(parts).encode()).hexdigest(),
            person["to"][0]["email"],
            category,
            person.get("send_at", body.get("send_at")),
        )


def _sms_problems(body: Any) -> Iterator[limits.Problem]:
    if not isinstance(body, dict):
        yield "", "the body is not a JSON object"
        return
    for name in ("from", "to", "text", "send_key"):
        if not isinstance(body.get(name), str) or not body[name]:
            yield name, "is required and is a text"
    if not str(body.get("to", "")).startswith("+"):
        yield "to", "is a number with its country: +37120000000"


def _errors(wrong: list[limits.Problem]) -> dict[str, Any]:
    return {"errors": [{"message": text, "field": where} for where, text in wrong[:FIELDS_TOLD]]}


def _id() -> str:
    return secrets.token_hex(8)


@contextmanager
def serve(provider: Provider, port: int = 0) -> Iterator[Provider]:
    """The provider, listening on this machine until the block ends."""
    try:
        server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"provider": provider}))
    except OSError as error:
        raise BadInput(f"Port {port} cannot be listened on: {error}.") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        provider.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A caller that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.headers.get("Authorization") and self.path.startswith("/v"):
            self.answer((401, {}, _errors([])))
            return
        self.answer(self.route(raw))

    def do_DELETE(self) -> None:
        self.answer(self.provider.let_go(self.path.rpartition("/")[2]))

    def route(self, raw: bytes) -> Reply | None:
        gzipped = self.headers.get("Content-Encoding") == "gzip"
        routes: dict[str, Callable[[], Reply | None]] = {
            "/v3/mail/send": lambda: self.provider.mail(raw, compressed=gzipped),
            "/v3/mail/batch": lambda: (201, {}, {"batch_id": _id()}),
            "/v3/user/scheduled_sends": lambda: self.provider.hold(raw),
            "/v1/sms": lambda: self.provider.sms(raw),
            "/control": lambda: self.provider.control(raw),
        }
        return routes.get(self.path, lambda: (404, {}, _errors([])))()

    def answer(self, reply: Reply | None) -> None:
        if reply is None:
            self.close_connection = True
            self.connection.close()
            return
        status, headers, value = reply
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Requests hold addresses, and logs do not."""
