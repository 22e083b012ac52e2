"""Shows one customer's message as they would see it, without sending anything."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment

from tessera.errors import BadInput
from tessera.say.customers import Customers
from tessera.say.fields import REFERRAL, VOUCHER, sample
from tessera.say.links import links
from tessera.say.templates import Rendered, Templates, Unrenderable
from tessera.workspace import Workspace


def preview(
    ws: Workspace,
    template: str,
    *,
    customer_id: str | None = None,
    language: str | None = None,
    campaign: str = "preview",
    step: str = "preview",
    channel: str = "email",
) -> Path:
    """Writes a page with the message on a desktop, on a phone, in the dark and as text; its path.

    Without a customer it is a made-up one. The links in it are signed for nobody.
    """
    rendered = written(
        ws,
        template,
        customer_id=customer_id,
        language=language,
        campaign=campaign,
        step=step,
        channel=channel,
    )
    whom = f"customer {customer_id}" if customer_id else "a made-up customer"
    return _write(ws, template, rendered, whom)


def written(
    ws: Workspace,
    template: str,
    *,
    campaign: str,
    step: str,
    customer_id: str | None = None,
    language: str | None = None,
    channel: str = "email",
) -> Rendered:
    """The message as this or, without one, a made-up customer would get it; BadInput where it cannot be."""
    data, spoken = _data(ws, customer_id, campaign, step)
    templates = Templates(ws.project / "templates", ws.settings.language)
    try:
        return templates.render(template, language or spoken, data, channel)
    except Unrenderable as error:
        raise BadInput(f"{templates.folder}/{error}.") from error


def _data(
    ws: Workspace, customer_id: str | None, campaign: str, step: str
) -> tuple[dict[str, Any], str | None]:
    surroundings = {
        "campaign": {"name": campaign, "step": step, "occurrence": "preview"},
        "links": links(ws.settings.public_url, b"preview", "preview"),
        "shop": shop(ws),
        "voucher": VOUCHER,  # a preview never takes a code from anybody
        "referral": {**REFERRAL, "invited_by": None},
    }
    if customer_id is None:
        return {**sample(), **surroundings}, None
    customer = Customers(ws).read([customer_id]).get(customer_id)
    if customer is None:
        raise BadInput(f"There is no customer '{customer_id}' in the published marts.")
    return {**customer.fields, **surroundings}, customer.language


def shop(ws: Workspace) -> dict[str, str]:
    """What a template may say of the shop."""
    return {
        "name": ws.settings.sender_name,
        "postal_address": ws.settings.postal_address,
        "email": ws.settings.sender_email,
    }


DARK = "(prefers-color-scheme: dark)"


def _write(ws: Workspace, template: str, rendered: Rendered, whom: str) -> Path:
    source = resources.files("tessera.say").joinpath("preview.html").read_text(encoding="utf-8")
    page = (
        Environment(autoescape=True)
        .from_string(source)
        .render(
            template=template,
            rendered=rendered,
            whom=whom,
            size=f"{len(rendered.html.encode()):,}",
            # A page cannot tell a frame how light it is, so its dark rules are made the only ones, or
            # none: whoever looks at it in the dark would see no other.
            light=rendered.html.replace(DARK, "not all").replace("light dark", "light"),
            dark=rendered.html.replace(DARK, "all"),
        )
    )
    path = ws.home.root / "preview" / f"{template.replace('/', '-')}.{rendered.language}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
