"""The till API's operations, and the OpenAPI document that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tessera import __version__
from tessera.web.till_messages import KEY, Problem

PREFIX = "/till/v1"
MODE: Literal["validation"] = "validation"
REF = "#/components/schemas/{model}"
PROBLEMS = {
    "400": "The body is not JSON, or the idempotency key is missing.",
    "401": "The key is wrong.",
    "404": "The card, the voucher or the redemption is nothing to this till.",
    "409": "It cannot be done; `type` says why.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The body is not as described; `mistakes` says where.",
    "429": "Too often; come again after `Retry-After` seconds.",
    "503": "The store is busy; nothing was done. Ask again with the same key.",
}


@dataclass(frozen=True)
class Operation:
    """One address of the API. `keyed`: it changes something, so it needs an idempotency key."""

    path: str
    name: str
    summary: str
    handler: Callable[..., Any]
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    keyed: bool = False
    method: str = "POST"


def document(operations: Sequence[Operation], server: str) -> dict[str, Any]:
    """OpenAPI 3.1."""
    bodies = [one.body for one in operations if one.body]
    models: list[type[BaseModel]] = [Problem, *bodies, *(one.answer for one in operations)]
    given = [(model, MODE) for model in dict.fromkeys(models)]
    _, schemas = models_json_schema(given, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(PREFIX + one.path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tessera till API",
            "version": __version__,
            "description": "Points, vouchers and cards at the till. Money is in minor units, points are "
            "whole numbers, instants are RFC 3339.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"till": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"till": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(one: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "responses": {"200": _content("It is done.", one.answer), **_problems(one)},
    }
    if one.body:
        content = {"application/json": {"schema": _ref(one.body)}}
        described["requestBody"] = {"required": True, "content": content}
    if parameters := [*_path(one), *([IDEMPOTENCY] if one.keyed else [])]:
        described["parameters"] = parameters
    return described


def _problems(one: Operation) -> dict[str, Any]:
    codes = set(PROBLEMS) - (set() if one.body else {"413", "415", "422"})
    if not one.keyed and not one.body:
        codes -= {"400", "409"}
    return {
        code: _content(PROBLEMS[code], Problem, "application/problem+json")
        for code in sorted(codes)
    }


def _content(text: str, model: type[BaseModel], kind: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": _ref(model)}}}


def _ref(model: type[BaseModel]) -> Mapping[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _path(one: Operation) -> list[dict[str, Any]]:
    if "{redemption}" not in one.path:
        return []
    schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    return [{"name": "redemption", "in": "path", "required": True, "schema": schema}]


IDEMPOTENCY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The request's own; the same key and body get the same answer, as long as it is kept.",
    "schema": {"type": "string", "pattern": KEY},
}
