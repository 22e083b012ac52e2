"""YAML that people write: read into typed models; a mistake names its file, line and key."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from tessera.errors import BadInput
from tessera.plain import reason

Loc = tuple[int | str, ...]
M = TypeVar("M", bound="Document")
# An editor's date-time would want seconds and a zone.
_INSTANT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"}
Instant = Annotated[datetime, WithJsonSchema(_INSTANT)]


def as_day(text: str) -> date | str:
    """A day that is written as text, as in quotes or JSON, is a day and not its first instant."""
    with suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
    return text


class Document(BaseModel):
    """A model of something people write: frozen, and a key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Misplaced(ValueError):
    """A mistake that shows in the document as a whole and stands `at` one place of it."""

    def __init__(self, at: Loc, message: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands, and a sentence that says what to do."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Source:
    """One YAML file as text and as nodes that know their lines."""

    path: Path
    file: str  # as shown to people
    root: yaml.Node | None

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at `loc`: the line of the key itself, or of the nearest key above it."""
        return Problem(self.file, self._line(loc), ".".join(map(str, loc)), message)

    def _line(self, loc: Loc) -> int:
        node, line = self.root, 1
        for part in loc:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a key written twice, the second
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's plain scalars: 19:30 stays text rather than 1170, and `on` is not true. Read by libyaml where
    PyYAML has it: a tenth of the time."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")
)


def _date_or_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    """A day that is none, such as 2026-02-31, stays text: whose key it is can say so."""
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date_or_text)


def _whole_number(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """040 is forty, as in YAML 1.2, and not thirty-two."""
    return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)

NO_COMMA = "write a number with a point, as a comma begins the next key"
NO_KEYS = "this must be keys with values"
# What libyaml says, and what people have usually done. A tab is found by itself.
YAML = {
    "mapping values are not allowed": "check the indentation, and put a text with ': ' in it in quotes",
    "did not find expected key": "check the indentation and the quotes, of the lines before too",
    "did not find expected '-'": "check the indentation",
    "expected alphabetic or numeric": "put a text that begins with * or & in quotes",
    "could not find expected ':'": "write a key as 'key: value', with a space",
    "did not find expected ',' or": "a bracket is not closed, or a comma is missing",
    "cannot start any token": "put a text that begins with @, ` or % in quotes",
    "found undefined alias": "put a text that begins with * or & in quotes",
    "another document": "write one document in a file, without '---' in the middle",
}


def _parsed(text: str) -> tuple[yaml.Node | None, list[Loc], Any]:
    """Where everything stands, which keys are written twice, and what it is. What `<<` merges in stands among
    the keys afterwards, and may be said otherwise beside it."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        doubled = list(_doubled(root))
        return root, doubled, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def read(path: Path, model: type[M], *, project: Path) -> tuple[M | None, list[Problem], Source]:
    """The document at `path`, or every problem that keeps it from being one."""
    file = str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
    source = Source(path, file, None)
    try:
        text = path.read_text(encoding="utf-8")
        root, doubled, value = _parsed(text)
        source = Source(path, file, root)
    except FileNotFoundError:
        return None, [source.problem((), "there is no such file; write one or restore it.")], source
    except UnicodeDecodeError:
        return None, [source.problem((), "this is not UTF-8 text.")], source
    except RecursionError:
        said = "this is nested too deeply, or leads back to itself by a word with *; write it out."
        return None, [source.problem((), said)], source
    except (yaml.YAMLError, ValueError) as error:
        return None, [_yaml_problem(source, text, error)], source
    problems = [source.problem(loc, "this key is written twice.") for loc in doubled]
    try:
        return model.model_validate({} if value is None else value), problems, source
    except ValidationError as error:
        found = [_problem(source, model, one) for one in _causes(error.errors())]
        # A value that fits no member of a union fails once for each of them.
        return (
            None,
            problems + list({(p.line, p.key): p for p in reversed(found)}.values())[::-1],
            source,
        )


def load(path: Path, model: type[M], *, project: Path) -> M:
    """The document at `path`; BadInput with one line per problem."""
    document, problems, _ = read(path, model, project=project)
    refuse(problems)
    assert document is not None  # noqa: S101 - there are no problems
    return document


def refuse(problems: Sequence[Problem]) -> None:
    """Raise BadInput when there are problems, one line each."""
    if problems:
        raise BadInput("\n       ".join(map(str, problems)))


def nearest(word: object, valid: Iterable[str]) -> str:
    """' Did you mean …?', or the valid words when none is near."""
    words = sorted(valid)
    close = difflib.get_close_matches(str(word), words, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Valid: {', '.join(words)}." if words else ""


def _yaml_problem(source: Source, text: str, error: Exception) -> Problem:
    mark, context = (getattr(error, f"{kind}_mark", None) for kind in ("problem", "context"))
    if context and re.search("simple key|flow", getattr(error, "context", None) or ""):
        mark = context  # where what is not closed, or no key, begins
    lines = text.splitlines() or [""]
    line = min(mark.line, len(lines) - 1) + 1 if mark else 1  # libyaml's end is the line after
    what = " ".join(str(getattr(error, "problem", None) or error).split())
    hint = next((f"; {said}" for words, said in YAML.items() if words in what), "")
    if "\t" in lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]:
        hint = "; indent with spaces, not with tabs"
    if "\u00a0" in lines[line - 1]:  # as word processors and web pages write it
        hint = "; there is a non-breaking space in this line, type a plain one"
    return Problem(source.file, line, "", f"this is not YAML: {what}{hint}.")


def _doubled(node: yaml.Node | None, loc: Loc = ()) -> Iterator[Loc]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from ((*loc, key) for i, key in enumerate(keys) if key in keys[:i])
        for key, value in node.value:
            yield from _doubled(value, (*loc, key.value))
    if isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _doubled(value, (*loc, i))


def _causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without a list being too short for the mistakes that are in its members."""
    within = {one["loc"][:length] for one in errors for length in range(len(one["loc"]))}
    return [one for one in errors if one["type"] != "too_short" or one["loc"] not in within]


def _problem(source: Source, model: type[BaseModel], error: ErrorDetails) -> Problem:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Misplaced):
        return source.problem((*_written(source.root, error["loc"]), *cause.at), str(cause))
    loc = _written(source.root, error["loc"])
    key = str(loc[-1]) if loc else ""
    if error["type"] == "extra_forbidden":
        others = set(_keys(reduce(_into, loc[:-1], [model]))) - {key}  # it may be one elsewhere
        return source.problem(loc, f"'{key}' is not a key here.{nearest(key, others)}")
    if error["type"] == "missing":
        missing = error["loc"][-1]
        few = f"'{key}': write {missing + 1} values at least." if isinstance(missing, int) else None
        return source.problem((*loc, missing), few or f"'{missing}' is missing; write it.")
    name = f"{loc[-2]} {loc[-1] + 1}" if loc[1:] and isinstance(loc[-1], int) else key
    if error["type"] == "literal_error":
        valid = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
        said = f"'{name}' cannot be '{error['input']}'.{nearest(error['input'], valid)}"
        return source.problem(loc, said)
    said = f"'{name}'{_cannot_be(error['input'])}: {reason(error)}."
    if not loc:
        said = f"{reason(error) if error['type'] == 'value_error' else NO_KEYS}."
    if error["type"] == "invalid_key":
        loc, said = error["loc"], f"'{error['input']}' is not a key here; {NO_COMMA}."
    return source.problem(loc, said)


def _cannot_be(given: object) -> str:
    if given is None:
        return " is empty"
    if isinstance(given, dict | list | tuple):
        return ""
    return f" cannot be {given.isoformat() if isinstance(given, date) else given!r}"


def _written(root: yaml.Node | None, loc: Loc) -> Loc:
    """The part of pydantic's `loc` that stands in the file: it also names members of unions."""
    written: list[int | str] = []
    node = root
    for part in loc:
        found = _child(node, part)
        if found is not None:
            node = found[1]
            written.append(part)
    return tuple(written)


def _keys(models: Sequence[type[BaseModel]]) -> list[str]:
    return [f.alias or name for model in models for name, f in model.model_fields.items()]


def _into(kinds: Sequence[type[BaseModel]], part: int | str) -> list[type[BaseModel]]:
    """The models that may stand below `part` of `kinds`, whatever lists and unions are between."""
    if isinstance(part, int):
        return list(kinds)
    fields = [(n, f) for kind in kinds for n, f in kind.model_fields.items()]
    found = [f.annotation for name, f in fields if part in (name, f.alias)]
    return [one for annotation in found for one in _models_within(annotation)] or list(kinds)


def _models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) in (Annotated, Union, types.UnionType, list, tuple, dict):
        for argument in get_args(annotation):
            yield from _models_within(argument)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
