"""A campaign of 6 KB mails in four languages, with products of each customer's favourite shelf, sent
through the SendGrid messenger to a stand-in for the provider in another process, which checks and
journals every message; beside plain Jinja2 rendering of the same mails (the limit), one request per
person through the same client, and the same from 10,000 messages (for the memory, case T18). Then SMTP to a
local server, beside smtplib in a bare loop over mails that are written already. Set BENCH_MESSAGES
for another size than a million."""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from benchmarks._steps import Step, measured, tell
from tessera.provider import Journal
from tessera.settings import CHECKOUT
from tessera.testing import MARTS, publish, workspace
from tessera.workspace import Workspace

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1000000"))
FEW, SAMPLE, BY_SMTP, ALONE = 10_000, 5_000, 2_000, 1_000
TEMPLATE = "bench/offers"
PARTS = {
    "subject.txt": "{% if given_name %}{{ _('%(name)s, we would love to see you again', name=given_name) }}"
    "{% else %}{{ _('We would love to see you again') }}{% endif %}",
    "body.html": """{% extends "_layout.html" %}
{% import "_parts.html" as parts with context %}
{% block title %}{{ _("We would love to see you again") }}{% endblock %}
{% block preheader %}{{ _("Your card is ready whenever you are.") }}{% endblock %}
{% block heading %}{{ _("It has been a while") }}{% endblock %}
{% block content %}
{% if points_balance %}
{% call parts.paragraph() %}{{ ngettext("%(points)s point is waiting for you.",
    "%(points)s points are waiting for you.", points_balance, points=points_balance | number) }}{% endcall %}
{% endif %}
{% for number in range(1, 5) %}
{% call parts.facts() %}
{% call parts.fact(_("Your favourite shelf")) %}{{ favourite_category }} {{ number | number }}{% endcall %}
{% call parts.fact(_("Your last visit")) %}{{ (number * 199 + points_expiring) | money("EUR") }}{% endcall %}
{% endcall %}
{% endfor %}
{% if favourite_store %}
{% call parts.facts() %}{% call parts.fact(_("Your store")) %}{{ favourite_store }}{% endcall %}{% endcall %}
{% endif %}
{% call parts.button(links.shop) %}{{ _("See what is new") }}{% endcall %}
{% endblock %}
""",
    "body.txt": """{% extends "_layout.txt" %}
{% block content %}
{% for number in range(1, 5) %}
{{ favourite_category }} {{ number | number }}: {{ (number * 199 + points_expiring) | money("EUR") }}
{% endfor %}
{{ _("See what is new") }}: {{ links.shop }}
{% endblock %}
""",
}
CUSTOMERS = """
select
    'c' || i as customer_id,
    'Name' || (i % 5000) as given_name,
    'person' || i || '@mail' || (i % 40) || '.example' as email,
    ['en', 'de', 'ru', 'fa'][i % 4 + 1] as language,
    'Shelf ' || (i % 300) as favourite_category,
    case when i % 10 < 7 then 's' || (i % 50) end as favourite_store_id,
    case when i % 5 > 0 then i % 700 else 0 end as points_expiring,
from range({number}) as t (i)
"""
OUTBOX = """
select
    md5('key' || i) as send_key, 'c' || i as customer_id, 'offers' as campaign,
    '1' as campaign_version, 'first' as step, 'once' as occurrence, 'email' as channel,
    'marketing' as purpose, '{template}' as template, ['en', 'de', 'ru', 'fa'][i % 4 + 1] as language,
    'Europe/Riga' as timezone, '2026-03-31' as business_date, '{at}' as decided_at,
    '2026-03-31T09:00:00+00:00' as send_at, '2026-04-02T00:00:00+00:00' as not_after,
    'ready' as state, '{at}' as state_at
from range({number}) as t (i)
"""


def _workspace(folder: Path) -> Workspace:
    return workspace(folder / "home", project=folder / "project")


def prepare(folder: Path) -> dict[str, Any]:
    """In a process of its own: a child's peak of memory begins with what its parent holds."""
    _prepare(folder, int((folder / "size").read_text(encoding="utf-8")))
    return {}


def _prepare(folder: Path, number: int) -> None:
    """Customers, and a message for each in the outbox."""
    project = folder / "project"
    shutil.copytree(CHECKOUT / "templates", project / "templates")
    parts = project / "templates" / TEMPLATE
    parts.mkdir(parents=True)
    for name, source in PARTS.items():
        (parts / name).write_text(source, encoding="utf-8")
    ws = _workspace(folder)
    stores = [{"store_id": f"s{n}", "name": f"High Street {n}"} for n in range(50)]
    publish(ws, stores=stores)
    with duckdb.connect() as db:
        types = ", ".join(f"{name} {kind}" for name, kind in MARTS["customers"].items())
        db.execute(f"create table made ({types})")
        db.execute("insert into made by name " + CUSTOMERS.format(number=number))
        db.execute(f"copy made to '{ws.home.marts}/by-hand/customers/rows.parquet'")
        sql = OUTBOX.format(template=TEMPLATE, at=ws.as_of.isoformat(), number=number)
        rows = db.execute(sql).to_arrow_table()
    with ws.store.write() as connection:
        connection.insert_new("outbox", rows)
        account = ("programme", "owner_type", "bucket")
        connection.run(
            f"insert into account ({', '.join(account)}, owner_id, balance) select 'p', 'member', "
            "'available', customer_id, message_id % 3000 from outbox where message_id % 5 > 0"
        )


@contextmanager
def _provider(folder: Path) -> Iterator[str]:
    """The stand-in for the provider, in a process of its own; its address."""
    command = [sys.executable, "-c", "from tessera.cli import main; main()", "fake-provider"]
    options = ["--port", "0", "--journal", str(folder / "journal.sqlite")]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.terminate()
        process.wait()


def _send(folder: Path, *, compress: bool = True, capacity: int = 1000) -> dict[str, Any]:
    from tessera.send import send as send_due
    from tessera.send.messengers.sendgrid import SendGridMessenger

    host = (folder / "host").read_text(encoding="utf-8")
    messenger = SendGridMessenger("key", host, compress=compress, capacity=capacity)
    report = send_due(_workspace(folder), messenger=messenger)
    return {"messages": report.accepted}


def plain(folder: Path) -> dict[str, Any]:
    """Subject, HTML and text of a sample, by Jinja2 alone."""
    from tessera.say import Templates
    from tessera.say.environment import make_environment
    from tessera.say.fields import fill
    from tessera.say.templates import PARTS as NAMES

    ws = _workspace(folder)
    languages = Templates(ws.project / "templates").languages
    found = {}
    for language in ("en", "de", "ru", "fa"):
        environment = make_environment(ws.project / "templates", languages.speak(language))
        found[language] = [environment.get_template(f"{TEMPLATE}/{name}") for name in NAMES]
    data = [(language, fill(values)) for language, values in _data(ws)]
    started, before = time.perf_counter(), time.process_time()
    size = sum(len(part.render(d).encode()) for code, d in data for part in found[code])
    used = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - before}
    return {"messages": len(data), "bytes": size, **used}


def _data(ws: Workspace) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the sample's templates are rendered with."""
    from tessera.say.customers import Customers
    from tessera.say.fields import sample
    from tessera.say.links import links

    people = Customers(ws).read([f"c{n}" for n in range(SAMPLE)])
    with ws.store.read() as connection:
        rows = connection.all(
            "select * from outbox where message_id <= :n order by message_id", n=SAMPLE
        )
    for row in rows:
        person = people[row["customer_id"]]
        urls = links(ws.settings.public_url, b"secret", row["send_key"])
        yield row["language"], {**sample(full=False), **person.fields, "links": urls}


@contextmanager
def _postbox() -> Iterator[str]:
    """A local SMTP server that takes everything, in a process of its own."""
    code = (
        "import time\nfrom aiosmtpd.controller import Controller\n"
        "class Box:\n    async def handle_DATA(self, server, session, envelope): return '250 OK'\n"
        "c = Controller(Box(), hostname='127.0.0.1', port=8827); c.start(); print('up', flush=True)\n"
        "time.sleep(100000)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield "127.0.0.1:8827"
    finally:
        process.terminate()
        process.wait()


def by_smtp(folder: Path) -> dict[str, Any]:
    from tessera.send import send as send_due
    from tessera.send.messengers.smtp import SmtpMessenger

    with _postbox() as address:
        started, before = time.perf_counter(), time.process_time()
        messenger = SmtpMessenger(f"smtp://{address}")
        report = send_due(_workspace(folder), messenger=messenger)
        used = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - before}
    return {"messages": report.accepted, **used}


def smtp_loop(folder: Path) -> dict[str, Any]:
    """The sample's mails, written before, over one connection."""
    from tessera.say import Templates
    from tessera.send.messengers.base import Message
    from tessera.send.messengers.mime import as_mail

    ws = _workspace(folder)
    templates, at = Templates(ws.project / "templates"), datetime(2026, 3, 31, 9, tzinfo=UTC)
    mails = []
    for number, (language, data) in enumerate(list(_data(ws))[:BY_SMTP]):
        content = templates.render(TEMPLATE, language, data)
        message = Message(
            f"{number:032x}", f"person{number}@mail.example", content, "club@shop.example",
            "The Shop", data["links"]["unsubscribe"], "offers", at, "Europe/Riga", "2026-03-31",
        )  # fmt: skip
        mails.append((message.to, as_mail(message, at)))
    with _postbox() as address:
        host, _, port = address.partition(":")
        started, before = time.perf_counter(), time.process_time()
        with smtplib.SMTP(host, int(port)) as server:
            for to, mail in mails:
                server.sendmail("club@shop.example", [to], mail)
        used = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - before}
    return {"messages": len(mails), **used}


STEPS: dict[str, Step] = {
    "plain Jinja2": plain,
    "one request each": lambda folder: _send(folder, compress=False, capacity=1),
    "one request each, compressed": lambda folder: _send(folder, capacity=1),
    "few, in slots": _send,
    "all, in slots": _send,
    "SMTP": by_smtp,
    "smtplib, bare loop": smtp_loop,
}
SIZES = {"plain Jinja2": SAMPLE, "few, in slots": FEW, "all, in slots": MESSAGES, "SMTP": BY_SMTP,
         "smtplib, bare loop": SAMPLE}  # fmt: skip


def imports() -> None:
    """What sending needs in memory before it begins; it is not timed."""
    import sendgrid  # noqa: F401

    import tessera.send.messengers.sendgrid
    import tessera.warehouse.marts  # noqa: F401


def _measured(step: str, parent: Path) -> dict[str, Any]:
    """One step in a home of its own, with the journal's totals."""
    folder = parent / step.replace(" ", "-").replace(",", "")
    folder.mkdir()
    (folder / "size").write_text(str(SIZES.get(step, ALONE)), encoding="utf-8")
    measured("sending", "prepare", folder)
    if "smtp" in step.lower() or step == "plain Jinja2":
        return measured("sending", step, folder)
    with _provider(folder) as host:
        (folder / "host").write_text(host, encoding="utf-8")
        told = measured("sending", step, folder)
    journal = Journal(folder / "journal.sqlite")
    told |= {f"journal_{name}": value for name, value in journal.totals().items()}
    journal.close()
    assert told["journal_messages"] == told["journal_send_keys"] == told["messages"], told
    shutil.rmtree(folder)
    return told


def main() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        found = {step: _measured(step, Path(folder)) for step in STEPS}
    limit, each = found["plain Jinja2"], found["one request each"]
    return [_row(step, its, limit, each) for step, its in found.items()]


def _row(
    step: str, its: dict[str, Any], limit: dict[str, Any], each: dict[str, Any]
) -> dict[str, object]:
    messages = its["messages"]
    cpu = its.get("cpu", its["cpu_seconds"])
    wire = its.get("journal_wire_bytes", 0) / messages
    return {
        "step": step,
        "messages": f"{messages:,}",
        "messages a second": f"{messages / its['seconds']:,.0f}",
        "of plain rendering": _ratio(its["seconds"], messages, limit, "seconds"),
        "of plain rendering, processor": _ratio(cpu, messages, limit, "cpu"),
        "requests": f"{its['journal_requests']:,}" if wire else "",
        "bytes a message": f"{wire:,.0f}" if wire else "",
        "of one request each": f"{wire / (each['journal_wire_bytes'] / each['messages']):.1%}"
        if wire
        else "",
        "peak memory, MB": f"{its['peak_mb']:,}",
    }


def _ratio(used: float, messages: int, limit: dict[str, Any], name: str) -> str:
    return f"{(messages / used) / (limit['messages'] / limit[name]):.2f}"


def run(names: Sequence[str]) -> None:
    if names:
        step = prepare if names[0] == "prepare" else STEPS[names[0]]
        tell(step, Path(names[1]), prepare=imports)
    else:
        for line in main():
            print(line)


if __name__ == "__main__":
    run(sys.argv[1:])
