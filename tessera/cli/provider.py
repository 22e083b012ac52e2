"""`tessera fake-provider`: a stand-in for the mail API, to rehearse with."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessera.errors import BadInput

if TYPE_CHECKING:
    from tessera.provider import Provider
    from tessera.provider.events import Manner


PortOption = Annotated[
    int, typer.Option(min=0, max=65535, help="Where it listens; 0: any free port.")
]
EveryOption = Annotated[
    float, typer.Option(min=0.1, max=86_400, help="Seconds between two rounds of events.")
]
WebhookOption = Annotated[
    str | None, typer.Option(help="Post signed event batches to this address.")
]
JournalOption = Annotated[Path, typer.Option(help="What it accepted, an SQLite file.")]


def register(app: typer.Typer) -> None:
    app.command("fake-provider")(fake_provider)


def fake_provider(
    port: PortOption = 8825,
    *,
    journal: JournalOption = Path("fake-provider.sqlite"),
    fault: Annotated[
        list[str] | None, typer.Option(help="How likely a fault is, such as 500=0.05; repeatable.")
    ] = None,
    answers: Annotated[
        str, typer.Option(help="The next answers, such as '429 cut-after 500 202'.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of its chances.")] = 0,
    webhook: WebhookOption = None,
    every: EveryOption = 5.0,
    manner: Annotated[
        list[str] | None,
        typer.Option(
            help="How they come: repeat=3, shuffle=1, change_ids=1, late_seconds=2, bounces=0.1."
        ),
    ] = None,
) -> None:
    """Take mail as the provider would, send none, and misbehave as told. Ctrl-C ends it.

    POST /control changes its behaviour and tells its totals:
    {"answers": ["429", "202"], "chances": {"cut-after": 0.1}}

    Example: tessera fake-provider --fault 500=0.05 --fault cut-after=0.02
    """
    from tessera.provider import Faults, Journal, Provider, faults, serve
    from tessera.provider.events import manner as parsed

    if webhook is not None and not webhook.startswith(("http://", "https://")):
        raise BadInput(f"--webhook '{webhook}' is not a web address; write http://….")
    misbehaves = Faults(seed)
    misbehaves.chances(faults.parse(fault or []))
    misbehaves.will(*answers.split())
    how = parsed(manner or [], seed)
    with serve(Provider(Journal(journal), misbehaves), port) as provider:
        typer.echo(f"TESSERA_SENDGRID_HOST={provider.url}")
        with suppress(KeyboardInterrupt):
            _post(provider, webhook, how, every) if webhook else threading.Event().wait()


def _post(provider: Provider, webhook: str, manner: Manner, every: float) -> None:
    """Post what happened since the last round, for ever."""
    import time

    from tessera.provider.events import events, new_key, post_all, public

    key, seen = new_key(), 0
    typer.echo(f"TESSERA_SENDGRID_WEBHOOK_KEY={public(key)}")
    while True:
        ((last,),) = provider.journal.query("select coalesce(max(number), 0) from accepted")
        found = events(provider.journal, manner, since=seen)
        post_all(webhook, key, found, manner, lambda said: typer.echo(said, err=True))
        seen = int(str(last))
        time.sleep(every)
