"""Slots: a skeleton filled with its values is, byte for byte, what plain rendering gives."""

from __future__ import annotations

import random
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.say import Rendered, Templates, Unrenderable
from tessera.say.environment import make_environment
from tessera.say.fields import fill, sample
from tessera.say.slots import tags
from tessera.say.templates import CONTROLS, PARTS
from tessera.settings import CHECKOUT

LAYOUT = (
    "{% macro box(label, more='') %}<div>{{ label }}: {{ caller() if caller else more }}</div>"
    "{% endmacro %}{% macro bold(x) %}<b>{{ x }}</b>{{ x | upper }}{% endmacro %}"
)
# What a template may be made of; `@` is another such thing.
LEAVES = [
    "plain & simple text",
    "{{ given_name }}",
    "{{ tier }}{{ given_name }}",
    "{{ given_name | isolate }}",
    "{{ given_name ~ '<' ~ tier }}",
    "{{ given_name | upper | e }}",
    "{{ given_name.title() }}",
    "{{ tier | safe }}",
    "{{ points_balance | number }}",
    "{{ _('Hello %(n)s & co,', n=given_name) }}",
    "{{ _('Save & smile') }}",
    "{{ ngettext('%(p)s point', '%(p)s points', points_balance, p=points_balance | number) }}",
    "{% trans n=given_name %}Dear {{ n }},{% endtrans %}",
    "{{ shop.name }}/{{ links.shop }}/{{ campaign.name }}/{{ lang }}",
    "{{ links.score }}/7",
    "{{ '<' ~ 3 }}{{ 1 + points_balance }}{{ none }}",
    "{{ parts.bold(given_name) }}",
    "{{ parts.bold(shop.name) }}",
    "{{ parts.box(tier, given_name) }}",
    "{% autoescape false %}{{ given_name }}{% endautoescape %}",
    "{% with name = given_name %}{{ name }}{% endwith %}",
    "{{ given_name if tier == 'gold' else tier }}",
]
# Here a text that might hold marks is looked at again: the whole template does without.
OPAQUE = [
    "{{ parts.bold(parts.bold(tier)) }}",
    "{{ parts.bold(given_name) | lower }}",
    "{{ '!' ~ parts.bold(tier) }}",
    "{% if parts.bold(tier) == '<b>gold</b>GOLD' %}equal{% endif %}",
    "{% for x in [tier, given_name] %}{{ loop.index }}{{ x }}{% endfor %}",
    "{% set v %}{{ given_name }} & {{ tier }}{% endset %}{{ v | upper }}{{ v | length }}",
    "{% set v = parts.bold(tier) %}{{ v }}",
    "{% set shop = {'name': given_name} %}{{ shop.name }}",
    "{% filter upper %}{{ given_name }}{% endfilter %}",
]
BRANCHES = [
    "{% if given_name == 'Anna' %}@{% else %}@{% endif %}",
    "{% if given_name.startswith('<') %}@{% endif %}",
    "{% for n in range(2) %}{{ n }}@{% endfor %}",
    "{% call parts.box('A & B') %}@{% endcall %}",
    "{% call parts.box(given_name) %}@{% endcall %}",
    "{% call parts.box(_('Your store')) %}@{% endcall %}",
]
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.builds(
        lambda frame, parts: "".join(
            piece + (parts[i % len(parts)] if i < frame.count("@") else "")
            for i, piece in enumerate(frame.split("@"))
        ),
        st.sampled_from(BRANCHES),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
SOURCES = st.lists(TREES, min_size=1, max_size=5).map(" ".join)
ANY_SOURCES = SOURCES | st.lists(TREES | st.sampled_from(OPAQUE), min_size=2).map(" ".join)
NASTY = [
    "Anna", "<b>O'Hara & \"Söhne\"</b>", "{{ given_name }}", "{% raw %}", "-0-", "%(n)s", "[0]",
    "مریم‌جان", "e\u0301\u0323", "👩‍👩‍👧", "a\nb\r\nc", "\u202eabc\u202c", "\u2028", "\x1f", "\ufeff", "%", "\\0",
]  # fmt: skip
VALUES = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PEOPLE = st.fixed_dictionaries(
    {"given_name": VALUES, "tier": VALUES, "points_balance": st.integers(0, 5000)}
)


@contextmanager
def folder(**parts: str) -> Iterator[Path]:
    """A folder with the template `t`."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "t").mkdir()
        (path / "parts.html").write_text(LAYOUT, encoding="utf-8")
        for part in PARTS:
            source = parts.get(part.replace(".", "_"), "")
            text = "{% import 'parts.html' as parts %}" + source
            (path / "t" / part).write_text(text, encoding="utf-8")
        yield path


def plain(path: Path, template: str, language: str, data: dict[str, Any]) -> tuple[str, ...]:
    """Subject, HTML and text as Jinja2 alone renders them."""
    environment = make_environment(path, Templates(path).languages.speak(language))
    made = [environment.get_template(f"{template}/{part}").render(fill(data)) for part in PARTS]
    return CONTROLS.sub(" ", made[0]).strip(), *made[1:]


def substituted(rendered: Rendered, seed: int) -> tuple[str, str]:
    """What a provider makes of skeleton and substitutions, replacing in an order of its own."""
    found = tags(secrets.token_hex(4), len(rendered.values))
    substitutions = dict(zip(found, rendered.values, strict=True))
    order = list(substitutions)
    random.Random(seed).shuffle(order)
    html, text = rendered.skeleton.html.fill(found), rendered.skeleton.text.fill(found)
    for tag in order:
        html, text = html.replace(tag, substitutions[tag]), text.replace(tag, substitutions[tag])
    return html, text


@settings(max_examples=300, deadline=None)
@given(subject=SOURCES, html=ANY_SOURCES, text=SOURCES, person=PEOPLE, seed=st.integers(0, 9))
def test_skeleton_and_substitutions_are_plain_rendering(
    subject: str, html: str, text: str, person: dict[str, Any], seed: int
) -> None:
    with folder(subject_txt=subject, body_html=html, body_txt=text) as path:
        data = {**sample(), **person}
        templates = Templates(path)
        try:
            expected = plain(path, "t", "en", data)
        except Exception:
            with pytest.raises(Unrenderable):
                templates.render("t", "en", data)
            return
        made = templates.render("t", "en", data)
        assert (made.subject, made.html, made.text) == expected
        assert (made.subject, *substituted(made, seed)) == expected


@settings(max_examples=25, deadline=None)
@given(person=PEOPLE, language=st.sampled_from(["en", "fa", "de-AT", "ru"]))
def test_the_templates_that_ship_are_sent_as_they_are_rendered(
    person: dict[str, Any], language: str
) -> None:
    for template in ("winback/reminder", "satisfaction/question", "welcome/points"):
        data = {**sample(), **person}
        made = SHIPPED.render(template, language, data)
        assert (made.subject, *substituted(made, 1)) == plain(
            CHECKOUT / "templates", template, language, data
        )


SHIPPED = Templates(CHECKOUT / "templates")
NAMES = sorted({path.parent for path in SHIPPED.folder.rglob("subject.txt")})


@pytest.mark.parametrize("name", [str(path.relative_to(SHIPPED.folder)) for path in NAMES])
def test_people_of_whom_as_much_is_known_share_a_skeleton(name: str) -> None:
    anna = {**sample(), "given_name": "Anna", "points_balance": 12}
    links = {kind: f"{url}/2" for kind, url in sample()["links"].items() if kind != "shop"}
    maria = {
        **sample(),
        "given_name": "مریم & <b>",
        "points_balance": 31,
        "favourite_store": "High Street",
        "last_purchase_on": date(2026, 3, 1),
        "links": {**sample()["links"], **links},
    }
    first, second = (SHIPPED.render(name, "fa", person) for person in (anna, maria))
    assert first.skeleton is second.skeleton
    assert first.values != second.values
    assert sum(map(len, first.values)) < len(first.html) / 2


def test_what_everybody_reads_is_not_sent_per_person() -> None:
    made = SHIPPED.render("winback/reminder", "en", sample())
    shop = sample()["shop"]
    assert not {"Your store", "rtl", "ltr", shop["name"], sample()["links"]["shop"]} & set(
        made.values
    )


def test_a_text_that_is_looked_at_again_is_rendered_without_slots() -> None:
    """Marks must not be counted, compared or written in capitals."""
    with folder(body_html="{{ parts.bold(given_name) | length }}") as path:
        made = Templates(path).render("t", "en", sample())
        assert made.values == ()
        assert made.html == plain(path, "t", "en", sample())[1]


def test_a_file_that_is_named_at_rendering_only_is_rendered_without_slots() -> None:
    """Nobody has looked whether it counts or compares marks."""
    with folder(body_html="{% set file = 'other.html' %}{% include file %}") as path:
        source = "{% import 'parts.html' as parts %}{{ parts.bold(given_name) | length }}"
        (path / "other.html").write_text(source, encoding="utf-8")
        made = Templates(path).render("t", "en", sample())
        assert made.html == plain(path, "t", "en", sample())[1]


def test_one_who_cannot_be_written_to_leaves_nothing_behind_for_the_next() -> None:
    with folder(body_html="{{ tier }}{{ given_name }}") as path:
        templates = Templates(path)
        with pytest.raises(Unrenderable):
            templates.render("t", "en", {**sample(), "given_name": None})
        assert templates.render("t", "en", sample()).html == f"{sample()['tier']}Anna"
