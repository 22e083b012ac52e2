"""Slots: what differs from person to person in a template's output is marked and kept aside, so that
people whose remainder, the skeleton, is the same can share one request.

While a template compiles, every expression it prints goes through `slot`, which hands out a mark and
keeps the escaped value. What a macro or a block gives back is printed as it is: it holds marks
already. Marks carry a nonce, so that no value can pass for one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import meta, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from tessera.say.fields import CUSTOMER, GROUPS

FILTER, SHARED_FILTER = "slot", "shared"
# What is the same in every message of a campaign and language stays in the skeleton.
SHARED = frozenset({"shop", "lang", "dir", "start", "_", "gettext", "ngettext"})
SHARED_FIELDS = frozenset({("links", "shop"), ("campaign", "name"), ("campaign", "step")})
# Calls of these, or of a method of these, give values and never a macro's text.
VALUES = frozenset({"_", "gettext", "ngettext", "range", "dict"})
DATA = frozenset({*CUSTOMER, *GROUPS})
PRINTING = (nodes.CallBlock, nodes.Include, nodes.Block, nodes.Call)


class Part:
    """The skeleton of one part of a message: its own texts, and which value goes between them."""

    def __init__(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        self.texts, self.numbers = tuple(texts), tuple(numbers)
        self._both = [""] * (len(self.texts) + len(self.numbers))
        self._both[::2] = self.texts

    def fill(self, values: Sequence[str]) -> str:
        """The part as one person reads it; with tags for values, as a provider wants it."""
        both = self._both.copy()
        both[1::2] = [values[number] for number in self.numbers]
        return "".join(both)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """What messages share; of the same skeleton there is one object."""

    html: Part
    text: Part


class Marker:
    """Hands out the marks of one message at a time; not for two threads at once."""

    def __init__(self) -> None:
        self.nonce = secrets.token_hex(8)
        self.skeleton = lru_cache(maxsize=256)(self._skeleton)
        self._values: list[str] = []
        self._marks: list[Markup] = []
        self._pattern = re.compile(rf"\[{self.nonce}(\d+)\]")

    @pass_eval_context
    def slot(self, context: nodes.EvalContext, value: object) -> str:
        """The mark that stands for `value`, or the value itself, escaped, when marks are within it."""
        if isinstance(value, ANY_SHARED):
            return escape(value) if context.autoescape else str(value)
        if type(value) is str and not (context.autoescape and ESCAPED.search(value)):
            text = value
        else:
            text = str(escape(value)) if context.autoescape else str(value)
        if self.nonce in text:
            return text
        number = len(self._values)
        self._values.append(text)
        if number == len(self._marks):
            self._marks.append(Markup(f"[{self.nonce}{number}]"))  # noqa: S704 - our own letters
        return self._marks[number]

    def take(self) -> tuple[str, ...]:
        """The values kept aside since the last time."""
        taken = tuple(self._values)
        self._values.clear()
        return taken

    def part(self, marked: str) -> Part:
        found = self._pattern.split(marked)
        return Part(found[::2], [int(number) for number in found[1::2]])

    def _skeleton(self, html: str, text: str) -> Skeleton:
        return Skeleton(self.part(html), self.part(text))


class SharedText(str):
    """A text handed to a macro that is the same for everybody."""

    __slots__ = ()


class SharedMarkup(Markup):
    """The same, escaped already."""

    __slots__ = ()


ANY_SHARED = (SharedText, SharedMarkup)
ESCAPED = re.compile("[&<>'\"]")  # to look is quicker than to escape what needs none


class Code(CodeGenerator):
    """Jinja2's own, but what went through `slot` is not escaped again: there is nothing left to be."""

    def _output_child_pre(self, node: nodes.Expr, frame: Any, finalize: Any) -> None:
        if not _is_slot(node):
            super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Any, finalize: Any) -> None:
        if not _is_slot(node):
            super()._output_child_post(node, frame, finalize)


def _is_slot(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Filter) and node.name == FILTER


def shared(value: object) -> object:
    """`value`, so that a macro that prints it leaves it in the skeleton."""
    if isinstance(value, Markup):
        return SharedMarkup(value)
    return SharedText(value) if isinstance(value, str) else value


class Slots(NodeTransformer):
    """Sends what a template prints through the `slot` filter."""

    def __init__(self, tree: nodes.Template) -> None:
        own = _set_names(tree)
        self.shared = SHARED - own
        self.values = VALUES | (DATA - own)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        node.nodes = [self._printed(child) for child in node.nodes]
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        self._share_arguments(node.call)
        return self.generic_visit(node)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802
        return node  # what is kept in a variable may be compared or changed: it stays as it is

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> nodes.Node:  # noqa: N802
        return node

    def _printed(self, child: nodes.Expr) -> nodes.Expr:
        if isinstance(child, nodes.MarkSafeIfAutoescape) and isinstance(child.expr, nodes.Const):
            return nodes.TemplateData(str(child.expr.value), lineno=child.lineno)
        if isinstance(child, nodes.TemplateData) or self._is_shared(child):
            return child
        if isinstance(child, nodes.Call) and _root(child) not in self.values:
            self._share_arguments(child)  # of a macro, whose text holds marks already
            return child
        return nodes.Filter(child, FILTER, [], [], None, None, lineno=child.lineno)

    def _share_arguments(self, call: nodes.Call) -> None:
        call.args = [self._argument(one) for one in call.args]
        for keyword in call.kwargs:
            keyword.value = self._argument(keyword.value)

    def _argument(self, node: nodes.Expr) -> nodes.Expr:
        if not self._is_shared(node):
            return node
        return nodes.Filter(node, SHARED_FILTER, [], [], None, None, lineno=node.lineno)

    def _is_shared(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getattr) and (_root(node.node), node.attr) in SHARED_FIELDS:
            return True
        if isinstance(node, nodes.Name):
            return node.name in self.shared
        return all(self._is_shared(child) for child in node.iter_child_nodes())


def transparent(trees: Sequence[nodes.Template]) -> bool:
    """Whether marks can only ever be printed: nothing in these files looks at, or changes, a text
    that may hold some. A template for which this is not so is rendered without slots."""
    safe = VALUES | (DATA - {name for tree in trees for name in _set_names(tree)})
    return all(
        None not in meta.find_referenced_templates(tree)  # a file nobody has looked at
        and _captures_no_marks(tree)
        and _prints_its_calls(tree, safe)
        for tree in trees
    )


def _captures_no_marks(tree: nodes.Template) -> bool:
    blocks = tree.find_all((nodes.AssignBlock, nodes.FilterBlock))
    return not any(next(block.find_all(PRINTING), None) for block in blocks)


def _prints_its_calls(tree: nodes.Template, safe: frozenset[str]) -> bool:
    """Whether whatever may be a macro's or a block's text is printed and nothing else."""
    outputs = tree.find_all(nodes.Output)
    printed = [whole for output in outputs for node in output.nodes for whole in _wholes(node)]
    printed += [block.call for block in tree.find_all(nodes.CallBlock)]
    direct = {id(node) for node in printed}
    return all(id(call) in direct or _root(call) in safe for call in tree.find_all(nodes.Call))


def _wholes(node: nodes.Expr) -> Iterator[nodes.Expr]:
    """What a printed expression prints as it is: of `a() if b else c()` either end."""
    if isinstance(node, nodes.CondExpr):
        for end in (node.expr1, node.expr2):
            yield from () if end is None else _wholes(end)
    else:
        yield node


def _root(node: nodes.Node) -> str | None:
    """`a` of `a.b.c()`."""
    while isinstance(node, nodes.Call | nodes.Getattr | nodes.Getitem):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None


def _set_names(tree: nodes.Template) -> set[str]:
    """The names that a file gives a meaning of its own."""
    names = {n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param")}
    names |= {macro.name for macro in tree.find_all(nodes.Macro)}
    names |= {one.target for one in tree.find_all(nodes.Import)}
    found = [name for one in tree.find_all(nodes.FromImport) for name in one.names]
    return names | {name if isinstance(name, str) else name[1] for name in found}


def tags(nonce: str, count: int) -> list[str]:
    """What stands for each value in a request: with the request's own nonce no value can hold
    one, and none is the beginning of another."""
    return [f"-{nonce}.{number}-" for number in range(count)]
