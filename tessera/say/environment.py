"""The Jinja2 environment of one language: sandboxed, strict, and with people's own numbers and dates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from decimal import Decimal
from functools import lru_cache, partial
from gettext import NullTranslations
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
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from tessera.say.languages import Language
from tessera.say.slots import FILTER, SHARED_FILTER, Code, Marker, Slots, shared
from tessera.units import to_major

TURNS_MAX = 10_000  # that the loops of one message take, all together
CHARACTERS_MAX = 1_000_000  # of one message; Gmail clips at a tenth, few providers take more
POWER_MAX = 100
COUNTED = "counted"  # the filter that what a loop goes through passes
# What the libraries say of a name where a date should be, of a currency that is none, and the like.
NOT_ITS_KIND = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class Speaking(ImmutableSandboxedEnvironment):
    """Translates texts without placeholders while it compiles: they are the same for everybody,
    and so cost nothing per message. With a marker, what is printed goes through its slots."""

    code_generator_class = Code
    intercepted_binops = frozenset({"*", "**"})
    language: Language
    marker: Marker | None = None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuses what would fill the memory, or take for ever, in one go."""
        sizes = [len(one) if isinstance(one, Sized) else one for one in (left, right)]
        if operator == "**" and isinstance(right, int) and right > POWER_MAX:
            raise ValueError(f"a power of {right:,} is too much; {POWER_MAX} is the most")
        if sizes != [left, right] and operator == "*" and sizes[0] * sizes[1] > CHARACTERS_MAX:
            raise ValueError(f"'*' makes more here than the {CHARACTERS_MAX:,} a message may hold")
        return super().call_binop(context, operator, left, right)

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        prepared = _Prepared(self.language, name, filename).visit(source)
        if self.marker is not None:
            prepared = Slots(source).visit(prepared)
        return super()._generate(prepared, name, filename, defer_init)


class Turns:
    """Counts the turns that loops take, nested or one after the other; `begin` a message anew."""

    def begin(self) -> None:
        self.left = TURNS_MAX

    def count(self, turns: Iterable[Any]) -> Iterator[Any]:
        for turn in turns:
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"its loops take more than {TURNS_MAX:,} turns in one message")
            yield turn


class _Prepared(NodeTransformer):
    """Texts are translated, and the turns of loops counted."""

    def __init__(self, language: Language, name: str | None, filename: str | None) -> None:
        self.translations = language.translations
        self.where = name, filename

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        text = constant_text(node)
        if text is None:
            return node
        try:
            spoken = nodes.Const(translated(self.translations, text), lineno=node.lineno)
        except ValueError as problem:
            raise TemplateAssertionError(str(problem), node.lineno, *self.where) from None
        return nodes.MarkSafeIfAutoescape(spoken, lineno=node.lineno)


def constant_text(node: nodes.Call) -> str | None:
    """The text of a `_("…")` without placeholders, which is translated while the template compiles."""
    named = isinstance(node.node, nodes.Name) and node.node.name in ("_", "gettext")
    if not named or len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    return node.args[0].value if isinstance(node.args[0], nodes.Const) else None


def translated(translations: NullTranslations, text: str) -> str:
    """What `text` is in another language; ValueError when that asks for a value nobody gave."""
    try:
        return translations.gettext(text) % {}
    except (KeyError, TypeError, ValueError):
        problem = f'"{text}" lacks the value of a placeholder, or has a % that should be %%'
        raise ValueError(problem) from None


def make_environment(
    folder: Path, language: Language, marker: Marker | None = None, turns: Turns | None = None
) -> Speaking:
    """Sandboxed, strict about unknown names, escaping in HTML parts, speaking `language`, with a
    marker keeping aside what differs from person to person, and with `turns` counting loops."""
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
    environment.filters[COUNTED] = turns.count if turns else iter
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
