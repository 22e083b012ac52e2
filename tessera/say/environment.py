"""The Jinja2 environment of one language: sandboxed, strict, and with people's own numbers and dates."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateAssertionError,
    Undefined,
    nodes,
    pass_eval_context,
    select_autoescape,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from tessera.say.languages import Language
from tessera.say.slots import FILTER, SHARED_FILTER, Code, Marker, Slots, shared
from tessera.units import to_major

# What the libraries say of a name where a date should be, of a currency that is none, and the like.
NOT_ITS_KIND = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class Speaking(ImmutableSandboxedEnvironment):
    """Translates texts without placeholders while it compiles: they are the same for everybody,
    and so cost nothing per message. With a marker, what is printed goes through its slots."""

    code_generator_class = Code
    language: Language
    marker: Marker | None = None

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        translated = _Translator(self.language, name, filename).visit(source)
        if self.marker is not None:
            translated = Slots(source).visit(translated)
        return super()._generate(translated, name, filename, defer_init)


class _Translator(NodeTransformer):
    def __init__(self, language: Language, name: str | None, filename: str | None) -> None:
        self.gettext = language.translations.gettext
        self.where = name, filename

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        named = isinstance(node.node, nodes.Name) and node.node.name in ("_", "gettext")
        if not named or len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return node
        text = node.args[0]
        if not isinstance(text, nodes.Const):
            return node
        spoken = nodes.Const(self._spoken(text.value, node.lineno), lineno=node.lineno)
        return nodes.MarkSafeIfAutoescape(spoken, lineno=node.lineno)

    def _spoken(self, text: str, line: int) -> str:
        try:
            return self.gettext(text) % {}
        except (KeyError, TypeError, ValueError):
            problem = f'"{text}" lacks the value of a placeholder, or has a % that should be %%'
            raise TemplateAssertionError(problem, line, *self.where) from None


def make_environment(folder: Path, language: Language, marker: Marker | None = None) -> Speaking:
    """Sandboxed, strict about unknown names, escaping in HTML parts, speaking `language`, and
    with a marker keeping aside what differs from person to person."""
    environment = Speaking(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html"], default=False),
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.language = language
    environment.marker = marker
    if marker is not None:
        environment.filters |= {FILTER: marker.slot, SHARED_FILTER: shared}
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        _=environment.globals["gettext"],  # the extension's own `_` looks it up at every text
        lang=language.tag,
        dir=language.direction,
        start="right" if language.direction == "rtl" else "left",
    )
    environment.filters.update(
        number=_given("number", partial(number, language)),
        date=_given("date", partial(date_, language)),
        money=_given("money", partial(money, language)),
        isolate=isolate,
    )
    return environment


def _given(name: str, function: Callable[..., str]) -> Callable[..., str]:
    """A filter that says of an empty field that it is empty, rather than stumble over it, and of a
    value it cannot write that it cannot, without the value, which is somebody's."""

    def wrapped(value: Any, *args: Any) -> str:
        given = str(value) if isinstance(value, Undefined) else value
        try:
            return function(given, *args)
        except NOT_ITS_KIND:
            with_what = f" with {', '.join(map(repr, args))}" if args else ""
            raise ValueError(f"the filter '{name}' cannot write this value{with_what}") from None

    return wrapped


@lru_cache(maxsize=4096)  # the same few balances and dates come again and again
def number(language: Language, value: int | Decimal) -> str:
    """1250 as `1,250`, `1.250` or `۱٬۲۵۰`."""
    text = format_decimal(value, locale=language.locale, numbering_system="default")
    return native_digits(text, language)


@lru_cache(maxsize=4096)
def date_(language: Language, value: Any, style: str = "long") -> str:
    """A date as people write it, in the digits they use."""
    return native_digits(format_date(value, style, locale=language.locale), language)


@lru_cache(maxsize=4096)
def money(language: Language, minor: int, currency: str) -> str:
    """Minor units of `currency` as people write an amount."""
    amount = to_major(minor, currency)
    text = format_currency(amount, currency, locale=language.locale, numbering_system="default")
    return native_digits(text, language)


def native_digits(text: str, language: Language) -> str:
    """Babel takes a locale's own separators and month names, but leaves the digits Latin."""
    own = DIGITS.get(language.locale.default_numbering_system)
    return text.translate(own) if own else text


DIGITS = {
    "arab": str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"),
    "arabext": str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"),
}


@pass_eval_context
def isolate(context: nodes.EvalContext, value: str) -> str:
    """Keeps a name's writing direction from disturbing the sentence around it."""
    return Markup("<bdi>{}</bdi>").format(value) if context.autoescape else value
